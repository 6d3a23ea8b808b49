//! A tunnel that its client keeps ready: authenticated, and joined to no database until the opening frame comes.
//!
//! It waits longer than a frame may take, holds a place of its account's in place of the room for handshakes, and no
//! buffer. What it may do is decided when the frame comes, as for any other; who may do nothing does not wait either.

use std::time::Duration;

use proto::Refusal;
use proto::frame::{self, Answer};
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;
use transport::tls::{Dialect, TlsPeer};

use super::{Agent, admit, draining};
use crate::limits::SparePermit;
use crate::preamble::PreambleError;
use crate::refuse::say_and_close;

/// What the opening begins with.
#[derive(Debug)]
pub(super) struct Begun<R> {
    /// The room for handshakes, as long as it is not given back.
    pub(super) room: Option<R>,
    /// The frame's first byte, where it was waited for.
    pub(super) first: Option<u8>,
    /// For how many seconds this peer's next one may wait.
    pub(super) patience: Option<u32>,
}

/// Why a tunnel was never used.
enum Unused {
    /// The peer has gone.
    Left,
    /// It has to go: how that is counted, and what it is told.
    Sent(&'static str, Option<Refusal>),
}

/// Waits for the first byte of the opening frame; `None` when there will be none. A peer for which there is no place
/// has the time of a frame only, and keeps the room for handshakes.
pub(super) async fn wait<R>(agent: &Agent, tls: &mut TlsPeer, room: R) -> Option<Begun<R>> {
    let patience = agent.deadlines.spare;
    let at_once = |room| Begun {
        room: Some(room),
        first: None,
        patience: None,
    };
    if tls.dialect == Dialect::Bare || patience.is_zero() {
        return Some(at_once(room));
    }
    let Some(instance) = agent.served.find(&tls.identity.instance) else {
        return Some(at_once(room));
    };
    // Before the first look, so that no change is missed.
    let changes = instance.changes.subscribe();
    if admit(agent, tls, None).is_err() {
        return Some(at_once(room));
    }
    let Some(place) = agent.limits.spare(&tls.identity.account) else {
        return Some(at_once(room));
    };
    drop(room);
    let _waiting = agent.metrics.waiting();
    let until = Instant::now() + patience.min(life_left(agent, tls));
    match first_byte(agent, tls, (&place, changes), until).await {
        // A client that takes its own places from itself is not invited to go on.
        Ok(byte) => Some(Begun {
            room: None,
            first: Some(byte),
            patience: u32::try_from(patience.as_secs())
                .ok()
                .filter(|_| !place.is_taken),
        }),
        Err(unused) => {
            end(agent, tls, unused).await;
            None
        }
    }
}

/// How long until the certificate is not valid any more.
fn life_left(agent: &Agent, tls: &TlsPeer) -> Duration {
    let now = (agent.served.clock)();
    let left = tls.not_after.duration_since(now).unwrap_or_default();
    left.saturating_add(Duration::from_millis(1))
}

async fn first_byte(
    agent: &Agent,
    tls: &mut TlsPeer,
    (place, mut changes): (&SparePermit, watch::Receiver<u64>),
    until: Instant,
) -> Result<u8, Unused> {
    let mut byte = [0];
    loop {
        tokio::select! {
            biased;
            read = tls.stream.read(&mut byte) => {
                let [byte] = byte;
                return match read {
                    Ok(1..) => Ok(byte),
                    Ok(0) => Err(Unused::Left),
                    Err(error) => {
                        debug!(%error, "a spare tunnel has failed");
                        Err(Unused::Left)
                    }
                };
            }
            () = agent.drain.cancelled() => return Err(Unused::Sent("drain", Some(draining()))),
            () = place.gone.cancelled() => {
                return Err(Unused::Sent("crowded", PreambleError::Deadline.refusal()));
            }
            () = tokio::time::sleep_until(until) => {
                let refusal = match admit(agent, tls, None) {
                    Ok(_) => PreambleError::Deadline.refusal(),
                    Err(refusal) => Some(refusal),
                };
                return Err(Unused::Sent("timeout", refusal));
            }
            changed = changes.changed() => {
                if let (Ok(()), Err(refusal)) = (changed, admit(agent, tls, None)) {
                    return Err(Unused::Sent("refused", Some(refusal)));
                }
            }
        }
    }
}

/// Closes it. A frame that is on its way has its answer.
async fn end(agent: &Agent, tls: &mut TlsPeer, unused: Unused) {
    let (kind, refusal) = match unused {
        Unused::Left => ("left", None),
        Unused::Sent(kind, refusal) => (kind, refusal),
    };
    agent.metrics.spare_unused(kind);
    let identity = &tls.identity;
    debug!(account = %identity.account, instance = %identity.instance, kind, "a spare tunnel was not used");
    let words = refusal.and_then(|refusal| frame::encode(&Answer::Refused(refusal)).ok());
    say_and_close(&mut tls.stream, &words.unwrap_or_default()).await;
}
