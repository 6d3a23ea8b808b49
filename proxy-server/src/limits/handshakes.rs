//! Room for peers that have not authenticated, where the oldest makes room for the newest.
//!
//! Refusing the newest would let silent connections hold the room against everybody else for as long as a handshake may
//! take. A true handshake is over long before as many newer connections have come as there is room for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use transport::accept::Source;

/// The room of one kind of listener.
#[derive(Debug)]
pub(super) struct Handshakes {
    most: usize,
    most_of_one: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    last: u64,
    /// All permits, those of authenticated peers too.
    total: usize,
    /// Unauthenticated peers, from the oldest to the newest.
    waiting: BTreeMap<u64, (Option<Source>, CancellationToken)>,
    /// Sources without any are not kept.
    of: HashMap<Source, OfSource>,
}

#[derive(Debug, Default)]
struct OfSource {
    count: usize,
    waiting: BTreeSet<u64>,
}

/// The room of one peer.
#[derive(Debug)]
pub(crate) struct HandshakePermit {
    /// Cancelled when a newer peer has taken the room.
    pub(crate) gone: CancellationToken,
    number: u64,
    source: Option<Source>,
    room: Arc<Handshakes>,
}

impl Handshakes {
    pub(super) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_of_one,
            held: Mutex::default(),
        })
    }

    /// Returns room for one more peer. A source that is at its bound loses its own oldest peer; when all room is taken,
    /// the oldest of all goes. `None` where all of them have authenticated: these are not sent away.
    pub(super) fn enter(self: &Arc<Self>, source: Option<Source>) -> Option<HandshakePermit> {
        let mut held = self.lock();
        let of_source = source.and_then(|source| held.of.get(&source));
        let is_crowded = of_source.is_some_and(|of| of.count >= self.most_of_one);
        if is_crowded || held.total >= self.most {
            let oldest = match of_source {
                Some(of) if is_crowded => of.waiting.first().copied(),
                _ => held.waiting.keys().next().copied(),
            };
            held.send_away(oldest?);
        }
        held.last = held.last.wrapping_add(1);
        let (number, gone) = (held.last, CancellationToken::new());
        held.total = held.total.saturating_add(1);
        held.waiting.insert(number, (source, gone.clone()));
        if let Some(source) = source {
            let of = held.of.entry(source).or_default();
            of.count = of.count.saturating_add(1);
            of.waiting.insert(number);
        }
        Some(HandshakePermit {
            gone,
            number,
            source,
            room: Arc::clone(self),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn send_away(&mut self, number: u64) {
        if let Some((source, gone)) = self.waiting.remove(&number) {
            gone.cancel();
            self.release(number, source);
        }
    }

    fn release(&mut self, number: u64, source: Option<Source>) {
        self.total = self.total.saturating_sub(1);
        let Some(source) = source else { return };
        if let Some(of) = self.of.get_mut(&source) {
            of.count = of.count.saturating_sub(1);
            of.waiting.remove(&number);
            if of.count == 0 {
                self.of.remove(&source);
            }
        }
    }
}

impl HandshakePermit {
    /// Notes that the peer has authenticated: from here on no newer one takes its room.
    pub(crate) fn authenticated(&self) {
        let mut held = self.room.lock();
        held.waiting.remove(&self.number);
        if let Some(of) = self.source.and_then(|source| held.of.get_mut(&source)) {
            of.waiting.remove(&self.number);
        }
    }
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        let mut held = self.room.lock();
        // Whoever was sent away has given its room back already.
        if !self.gone.is_cancelled() {
            held.waiting.remove(&self.number);
            held.release(self.number, self.source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Option<Source> {
        Some(Source::of(text.parse().unwrap()))
    }

    fn gone(permits: &[HandshakePermit]) -> Vec<bool> {
        let gone = |permit: &HandshakePermit| permit.gone.is_cancelled();
        permits.iter().map(gone).collect()
    }

    #[test]
    fn the_oldest_of_all_makes_room_when_all_room_is_taken() {
        let room = Handshakes::new(3, 9);
        let enter = |last: u8| room.enter(source(&format!("192.0.2.{last}"))).unwrap();
        let permits: Vec<_> = (0..5).map(enter).collect();
        assert_eq!(gone(&permits), [true, true, false, false, false]);
        drop(permits);
        let held = room.lock();
        assert_eq!((held.total, held.of.len(), held.waiting.len()), (0, 0, 0));
    }

    #[test]
    fn a_source_at_its_bound_loses_its_own_oldest_and_nobody_elses() {
        let room = Handshakes::new(9, 2);
        let other = room.enter(source("2001:db8:0:1::1")).unwrap();
        let one = |last: u8| room.enter(source(&format!("2001:db8::{last}"))).unwrap();
        let permits: Vec<_> = (1..5).map(one).collect();
        assert_eq!(gone(&permits), [true, true, false, false]);
        assert!(!other.gone.is_cancelled());
        let mapped: Vec<_> = ["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.1"]
            .map(|text| room.enter(source(text)).unwrap())
            .into();
        assert_eq!(gone(&mapped), [true, false, false]);
    }

    #[test]
    fn who_has_authenticated_is_not_sent_away() {
        let room = Handshakes::new(2, 2);
        let permits = [room.enter(None).unwrap(), room.enter(None).unwrap()];
        for permit in &permits {
            permit.authenticated();
        }
        assert!(room.enter(source("192.0.2.1")).is_none());
        assert_eq!(gone(&permits), [false, false]);
        drop(permits);
        assert!(room.enter(source("192.0.2.1")).is_some());
        assert_eq!(room.lock().total, 0);
    }
}
