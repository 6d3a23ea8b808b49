//! The copy loop: one task for both directions, buffers borrowed only while data flows, half-close passed on.

mod direction;
mod ended;
mod limits;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use proto::machine::{Face, Inputs};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use direction::{Direction, Reader, State};
pub use ended::{Ended, EndedBy, Leg, reset_on_close};
pub use limits::Limits;

/// Time between two looks at a side that has ended while the other is silent.
const PROBE: Duration = Duration::from_secs(10);

/// Copies both ways until both sides have ended, one has failed, a limit passes, or we are told to stop.
///
/// The bytes of `rest` go first. When a face can no longer be written to, what it still has to say is passed on.
/// Only an orderly end is passed on as one. After any other the caller resets both connections ([`reset_on_close`]).
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
        probed: Instant::now(),
        sleep: pin!(tokio::time::sleep_until(Instant::now())),
        armed: false,
    };
    let mut cancelled = pin!(cancel.cancelled());
    let by = poll_fn(|cx| {
        if cancelled.as_mut().poll(cx).is_ready() {
            return Poll::Ready(EndedBy::Cancelled);
        }
        let (moved, ended) = (tunnel.moved(), tunnel.first.is_some());
        if let Some(by) = tunnel.poll(app, db, limits.farewell, cx) {
            return Poll::Ready(by);
        }
        let (limit, probe, by) = match tunnel.first {
            Some(_) => (limits.linger, Some(PROBE), EndedBy::Linger),
            None if limits.idle.is_none() => return Poll::Pending,
            None => (limits.idle, None, EndedBy::Idle),
        };
        if tunnel.moved() != moved || tunnel.first.is_some() != ended {
            quiet.since = Instant::now();
        }
        match quiet.poll(limit, probe, cx) {
            Poll::Ready(Due::Limit) => return Poll::Ready(by),
            Poll::Ready(Due::Probe) => tunnel.probe(app, db, cx),
            Poll::Pending => {}
        }
        Poll::Pending
    })
    .await;
    Ended {
        up: tunnel.up.moved,
        down: tunnel.down.moved,
        by,
        is_orderly: tunnel.is_orderly(limits.farewell),
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
    fn poll<A, D>(
        &mut self,
        app: &mut A,
        db: &mut D,
        farewell: Option<[u8; 5]>,
        cx: &mut Context<'_>,
    ) -> Option<EndedBy>
    where
        A: AsyncRead + AsyncWrite + Unpin,
        D: AsyncRead + AsyncWrite + Unpin,
    {
        let reader = Reader {
            is_broken: self.down.has_failed_to_write(),
            is_done: false,
            farewell,
        };
        self.up.poll(app, reader, db, cx);
        self.note(Face::Application);
        let reader = Reader {
            is_broken: self.up.has_failed_to_write(),
            is_done: self.up.ends_with(farewell),
            farewell: None,
        };
        self.down.poll(db, reader, app, cx);
        self.note(Face::Database);
        // A face that cannot be read has nothing more to say; one that cannot be written to may have.
        let over = matches!(self.up.state, State::ReadFailed(_))
            || matches!(self.down.state, State::ReadFailed(_))
            || (self.up.state.is_over() && self.down.state.is_over());
        if over { self.first } else { None }
    }

    /// Looks whether a side that has ended, and so is not read any more, is still there to be written to.
    fn probe<A, D>(&mut self, app: &mut A, db: &mut D, cx: &mut Context<'_>)
    where
        A: AsyncWrite + Unpin,
        D: AsyncWrite + Unpin,
    {
        if matches!(self.up.state, State::Over) {
            self.down.probe(app, cx);
        }
        if matches!(self.down.state, State::Over) {
            self.up.probe(db, cx);
        }
        // What was found is judged with the next look, which also sets the timer again.
        cx.waker().wake_by_ref();
    }

    /// Whether nothing can be missing anywhere.
    fn is_orderly(&self, farewell: Option<[u8; 5]>) -> bool {
        let (up, down) = (&self.up.state, &self.down.state);
        let is_whole = matches!((up, down), (State::Over, State::Over));
        is_whole || (up.is_over() && down.is_over() && self.up.ends_with(farewell))
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
        // An answer that breaks off says more than who ended first.
        let is_answer_cut =
            (self.first, by) == (Some(EndedBy::Application), EndedBy::Error(Face::Database));
        if self.first.is_none() || is_answer_cut {
            self.first = Some(by);
        }
    }
}

/// The one timer of a tunnel. It is moved only when it fires, not with every byte.
struct Quiet<'a> {
    since: Instant,
    probed: Instant,
    sleep: Pin<&'a mut Sleep>,
    armed: bool,
}

/// What a silence calls for.
enum Due {
    /// The end.
    Limit,
    /// A look whether a side that has ended is still there.
    Probe,
}

impl Quiet<'_> {
    fn poll(
        &mut self,
        limit: Option<Duration>,
        probe: Option<Duration>,
        cx: &mut Context<'_>,
    ) -> Poll<Due> {
        let end = limit.map(|limit| self.since + limit);
        let probe = probe.map(|probe| self.since.max(self.probed) + probe);
        let Some(due) = end.into_iter().chain(probe).min() else {
            return Poll::Pending;
        };
        if !self.armed || self.sleep.deadline() > due {
            self.sleep.as_mut().reset(due);
            self.armed = true;
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                return Poll::Ready(Due::Limit);
            }
            if now >= due {
                self.probed = now;
                return Poll::Ready(Due::Probe);
            }
            self.sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
