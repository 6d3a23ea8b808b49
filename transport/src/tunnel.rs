//! The copy loop: one task for both directions, buffers borrowed only while data flows, half-close passed on.

mod direction;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use proto::machine::{Face, Inputs};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use direction::{Direction, State};

/// How long a tunnel may be quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Without traffic after one side has ended.
    pub linger: Duration,
    /// Without traffic while both sides stand; `None` for ever (connection pools rest for hours).
    pub idle: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            linger: Duration::from_secs(60),
            idle: None,
        }
    }
}

/// How a tunnel ended.
#[derive(Debug)]
pub struct Ended {
    /// Bytes written to the database.
    pub up: u64,
    /// Bytes written to the application.
    pub down: u64,
    /// What ended it first.
    pub by: EndedBy,
    /// The error of a face, if one failed.
    pub error: Option<io::Error>,
    /// Bytes that were read from a face and could not be written to the other any more.
    pub unsent: Inputs,
}

/// What ended a tunnel first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndedBy {
    /// The application said it was done.
    Application,
    /// The database (or the other end of the tunnel) said it was done.
    Database,
    /// One side was done and the other stayed quiet too long.
    Linger,
    /// Both sides stayed quiet too long.
    Idle,
    /// We were told to stop.
    Cancelled,
    /// A face failed.
    Error(Face),
}

impl EndedBy {
    /// The label in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Database => "database",
            Self::Linger => "linger",
            Self::Idle => "idle",
            Self::Cancelled => "cancelled",
            Self::Error(Face::Application) => "application-error",
            Self::Error(Face::Database) => "database-error",
        }
    }
}

/// Copies both ways until both sides have ended, one has failed, a limit passes, or we are told to stop.
///
/// The bytes of `rest` go first. When a face can no longer be written to, what it still has to say is passed on.
pub async fn copy<A, D>(
    app: &mut A,
    db: &mut D,
    rest: Inputs,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Ended
where
    A: AsyncRead + AsyncWrite + Unpin,
    D: AsyncRead + AsyncWrite + Unpin,
{
    let mut tunnel = Tunnel {
        up: Direction::new(rest.application),
        down: Direction::new(rest.database),
        first: None,
    };
    let mut quiet = Quiet {
        since: Instant::now(),
        sleep: pin!(tokio::time::sleep_until(Instant::now())),
        armed: false,
    };
    let mut cancelled = pin!(cancel.cancelled());
    let by = poll_fn(|cx| {
        if cancelled.as_mut().poll(cx).is_ready() {
            return Poll::Ready(EndedBy::Cancelled);
        }
        let (moved, ended) = (tunnel.moved(), tunnel.first.is_some());
        if let Some(by) = tunnel.poll(app, db, cx) {
            return Poll::Ready(by);
        }
        let (limit, by) = match tunnel.first {
            Some(_) => (Some(limits.linger), EndedBy::Linger),
            None => (limits.idle, EndedBy::Idle),
        };
        let Some(limit) = limit else {
            return Poll::Pending;
        };
        if tunnel.moved() != moved || tunnel.first.is_some() != ended {
            quiet.since = Instant::now();
        }
        quiet.poll(limit, cx).map(|()| by)
    })
    .await;
    if matches!(by, EndedBy::Linger | EndedBy::Idle | EndedBy::Cancelled) {
        say_goodbye(app, db).await;
    }
    Ended {
        up: tunnel.up.moved,
        down: tunnel.down.moved,
        by,
        unsent: Inputs {
            application: tunnel.up.take_unsent(),
            database: tunnel.down.take_unsent(),
        },
        error: tunnel.up.error().or_else(|| tunnel.down.error()),
    }
}

struct Tunnel {
    up: Direction,
    down: Direction,
    first: Option<EndedBy>,
}

impl Tunnel {
    const fn moved(&self) -> u64 {
        self.up.moved.wrapping_add(self.down.moved)
    }

    /// Moves what can be moved; says how it ended when nothing is left to do.
    fn poll<A, D>(&mut self, app: &mut A, db: &mut D, cx: &mut Context<'_>) -> Option<EndedBy>
    where
        A: AsyncRead + AsyncWrite + Unpin,
        D: AsyncRead + AsyncWrite + Unpin,
    {
        self.up.poll(app, db, cx);
        self.note(Face::Application);
        self.down.poll(db, app, cx);
        self.note(Face::Database);
        // A face that cannot be read has nothing more to say; one that cannot be written to may have.
        let over = matches!(self.up.state, State::ReadFailed(_))
            || matches!(self.down.state, State::ReadFailed(_))
            || (self.up.state.is_over() && self.down.state.is_over());
        if over { self.first } else { None }
    }

    /// Remembers the first end.
    fn note(&mut self, from: Face) {
        let direction = match from {
            Face::Application => &self.up,
            Face::Database => &self.down,
        };
        let by = match (&direction.state, from) {
            (State::Open, _) => return,
            (State::Ended | State::Over, Face::Application) => EndedBy::Application,
            (State::Ended | State::Over, Face::Database) => EndedBy::Database,
            (State::Failing(_) | State::ReadFailed(_), face) => EndedBy::Error(face),
            (State::WriteFailed(_), face) => EndedBy::Error(face.other()),
        };
        self.first.get_or_insert(by);
    }
}

/// The one timer of a tunnel. It is moved only when it fires, not with every byte.
struct Quiet<'a> {
    since: Instant,
    sleep: Pin<&'a mut Sleep>,
    armed: bool,
}

impl Quiet<'_> {
    fn poll(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.since + limit;
        if !self.armed || self.sleep.deadline() > due {
            self.sleep.as_mut().reset(due);
            self.armed = true;
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}

/// Ends both sides in order where that is possible at once: TLS peers then know that nothing was cut off.
async fn say_goodbye<A, D>(app: &mut A, db: &mut D)
where
    A: AsyncWrite + Unpin,
    D: AsyncWrite + Unpin,
{
    poll_fn(|cx| {
        let app = Pin::new(&mut *app).poll_shutdown(cx);
        let db = Pin::new(&mut *db).poll_shutdown(cx);
        if let (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) = (app, db) {
            tracing::debug!(%error, "a side was gone before its end could be said");
        }
        Poll::Ready(())
    })
    .await;
}

#[cfg(test)]
mod tests;
