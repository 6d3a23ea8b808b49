//! Bounds of a tunnel.

use std::time::Duration;

use proto::Engine;

/// The last packet of a MySQL client: COM_QUIT.
const COM_QUIT: [u8; 5] = [1, 0, 0, 0, 1];
/// The last message of a PostgreSQL client: Terminate.
const TERMINATE: [u8; 5] = [b'X', 0, 0, 0, 4];

/// Bounds of a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Longest silence after one side has ended; `None` for no limit.
    pub linger: Option<Duration>,
    /// Longest silence while both sides stand; `None` for no limit (connection pools rest for hours).
    pub idle: Option<Duration>,
    /// The application's bytes that end a session in its protocol. Whatever fails after them has cut nothing off.
    pub farewell: Option<[u8; 5]>,
}

impl Limits {
    /// These bounds for a session of that engine.
    #[must_use]
    pub const fn of_engine(self, engine: Engine) -> Self {
        Self {
            farewell: match engine {
                Engine::Mysql => Some(COM_QUIT),
                Engine::Postgres => Some(TERMINATE),
                Engine::Tcp => None,
            },
            ..self
        }
    }
}
