//! How a login ends, or pauses.

use crate::frame::Transport;
use crate::refusal::Refusal;

/// A login that the database accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedIn {
    /// The database user.
    pub user: String,
    /// The schema named at login.
    pub schema: Option<String>,
    /// The authentication plugin that was used last.
    pub plugin: String,
    /// `CONNECTION_ID()` of the session.
    pub connection_id: u32,
    /// How the application reached us in the end: TLS may have begun during the login.
    pub application: Transport,
    /// Whether what follows is compressed.
    pub compressed: bool,
    /// Whether the database may ask for a local file of the application's.
    pub local_files: bool,
}

/// How a login ended, or paused. Whatever the application is told has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The application's TLS begins here: what is left of its input is the TLS peer's, never the machine's. Step again
    /// with what TLS gives.
    StartTls,
    /// Our own TLS to the database begins here: it has been asked for, and answers next. Step again with what TLS gives.
    StartDatabaseTls,
    /// The database said OK; bytes pass untouched from here.
    LoggedIn(LoggedIn),
    /// The database said no, with this error number, and the application has its words.
    RefusedByDatabase(u16),
    /// We said no, and the application has our words.
    Refused(Refusal),
}
