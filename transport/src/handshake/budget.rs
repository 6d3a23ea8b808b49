//! Time for an opening exchange: each face's own.

use std::time::Duration;

use proto::machine::Face;
use tokio::time::Instant;

use super::HandshakeError;
use crate::deadline::before;

/// Time that is left to each face. It runs while the exchange waits for that face: a database that asks somebody's
/// telephone does not use up the application's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The application's.
    pub application: Duration,
    /// The database's.
    pub database: Duration,
}

impl Budget {
    /// As much for each face.
    pub const fn of_each(time: Duration) -> Self {
        Self {
            application: time,
            database: time,
        }
    }

    /// The end of a face's time if the exchange waits for it from now on.
    pub fn deadline(&self, face: Face) -> Instant {
        let left = match face {
            Face::Application => self.application,
            Face::Database => self.database,
        };
        Instant::now() + left
    }

    /// Takes the time since `begun` off a face's.
    pub fn spend(&mut self, face: Face, begun: Instant) {
        let left = match face {
            Face::Application => &mut self.application,
            Face::Database => &mut self.database,
        };
        *left = left.saturating_sub(begun.elapsed());
    }

    /// Waits for a face within its time.
    pub(super) async fn within<F: Future>(
        &mut self,
        face: Face,
        exchange: F,
    ) -> Result<F::Output, HandshakeError> {
        let begun = Instant::now();
        let done = before(self.deadline(face), exchange).await;
        self.spend(face, begun);
        done.ok_or(HandshakeError::Deadline(face))
    }
}
