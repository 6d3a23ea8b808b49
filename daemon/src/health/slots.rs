//! The places of a health server: the oldest connection that has made no request makes room for a new one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::{CancellationToken, DropGuard};

/// Most connections at once.
pub(super) const MAX_CONNECTIONS: usize = 64;

/// Open connections, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Slots(VecDeque<Taken>);

#[derive(Debug)]
struct Taken {
    ended: CancellationToken,
    served: Arc<AtomicBool>,
}

/// The place of one connection, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    ended: CancellationToken,
    served: Arc<AtomicBool>,
    _given_back: DropGuard,
}

impl Slots {
    /// A place for a new connection, until `cancel`.
    pub(super) fn take(&mut self, cancel: &CancellationToken) -> Slot {
        self.0.retain(|taken| !taken.ended.is_cancelled());
        if self.0.len() >= MAX_CONNECTIONS {
            let is_silent = |taken: &Taken| !taken.served.load(Ordering::Relaxed);
            let oldest = self.0.iter().position(is_silent).unwrap_or_default();
            if let Some(oldest) = self.0.remove(oldest) {
                oldest.ended.cancel();
            }
        }
        let (ended, served) = (cancel.child_token(), Arc::<AtomicBool>::default());
        self.0.push_back(Taken {
            ended: ended.clone(),
            served: Arc::clone(&served),
        });
        Slot {
            _given_back: ended.clone().drop_guard(),
            ended,
            served,
        }
    }
}

impl Slot {
    /// Cancelled when the connection is to end.
    pub(super) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Set once the connection has made a request.
    pub(super) fn served(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.served)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_silent_connection_makes_room_and_one_that_was_served_stays() {
        let (cancel, mut slots) = (CancellationToken::new(), Slots::default());
        let taken: Vec<Slot> = (0..MAX_CONNECTIONS).map(|_| slots.take(&cancel)).collect();
        taken[0].served.store(true, Ordering::Relaxed);
        let _new = slots.take(&cancel);
        assert!(!taken[0].ended.is_cancelled() && taken[1].ended.is_cancelled());
        assert!(taken[2..].iter().all(|slot| !slot.ended.is_cancelled()));
        drop(taken);
        let _next = slots.take(&cancel);
        assert_eq!(slots.0.len(), 2);
    }
}
