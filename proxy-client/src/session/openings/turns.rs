//! Permits for a bounded number at a time. When they are scarce, keys take turns, and each key's requests are in order.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// At most `MOST` permits at a time.
pub(crate) struct Turns<K: Copy + Eq + Hash, const MOST: usize>(Arc<Mutex<State<K, MOST>>>);

/// A permit. Its end gives it to the next in turn.
pub(crate) struct Turn<K: Copy + Eq + Hash, const MOST: usize>(Arc<Mutex<State<K, MOST>>>);

type Waiter<K, const MOST: usize> = oneshot::Sender<Turn<K, MOST>>;

struct State<K: Copy + Eq + Hash, const MOST: usize> {
    given: usize,
    waiting: HashMap<K, VecDeque<Waiter<K, MOST>>>,
    /// The keys that wait, each once, the next in turn first.
    order: VecDeque<K>,
}

impl<K: Copy + Eq + Hash, const MOST: usize> Default for Turns<K, MOST> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            given: 0,
            waiting: HashMap::new(),
            order: VecDeque::new(),
        })))
    }
}

impl<K: Copy + Eq + Hash, const MOST: usize> Turns<K, MOST> {
    /// Waits for a permit. Dropping the future gives up its place.
    pub(crate) async fn turn(&self, key: K) -> Turn<K, MOST> {
        let waiting = {
            let mut state = lock(&self.0);
            if state.given < MOST {
                state.given += 1;
                None
            } else {
                Some(state.wait(key))
            }
        };
        match waiting {
            None => Turn(Arc::clone(&self.0)),
            Some(turn) => match turn.await {
                Ok(turn) => turn,
                // Waiters are dropped only after their receivers.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl<K: Copy + Eq + Hash, const MOST: usize> State<K, MOST> {
    fn wait(&mut self, key: K) -> oneshot::Receiver<Turn<K, MOST>> {
        let (waiter, turn) = oneshot::channel();
        let queue = self.waiting.entry(key).or_insert_with(|| {
            self.order.push_back(key);
            VecDeque::new()
        });
        // Those that have left cost memory until their turn, but never more than those that wait.
        if queue.len() == queue.capacity() {
            queue.retain(|waiter| !waiter.is_closed());
        }
        queue.push_back(waiter);
        turn
    }

    /// The next in turn that still waits.
    fn next(&mut self) -> Option<Waiter<K, MOST>> {
        while let Some(key) = self.order.pop_front() {
            let Some(queue) = self.waiting.get_mut(&key) else {
                continue;
            };
            let mut next = queue.pop_front();
            while next.as_ref().is_some_and(oneshot::Sender::is_closed) {
                next = queue.pop_front();
            }
            if queue.is_empty() {
                self.waiting.remove(&key);
            } else {
                self.order.push_back(key);
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

impl<K: Copy + Eq + Hash, const MOST: usize> Drop for Turn<K, MOST> {
    fn drop(&mut self) {
        let next = {
            let mut state = lock(&self.0);
            let next = state.next();
            if next.is_none() {
                state.given -= 1;
            }
            next
        };
        if let Some(waiter) = next {
            // One that left in this moment drops its turn, and so passes it on.
            waiter.send(Self(Arc::clone(&self.0))).ok();
        }
    }
}

fn lock<K: Copy + Eq + Hash, const MOST: usize>(
    state: &Mutex<State<K, MOST>>,
) -> MutexGuard<'_, State<K, MOST>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Two = Turns<&'static str, 2>;
    type Waiting<'a> = Pin<Box<dyn Future<Output = Turn<&'static str, 2>> + 'a>>;

    fn ask<'a>(turns: &'a Two, key: &'static str) -> Waiting<'a> {
        let mut asked: Waiting<'a> = Box::pin(turns.turn(key));
        assert!(poll(&mut asked).is_none(), "it is not full");
        asked
    }

    fn poll(waiting: &mut Waiting<'_>) -> Option<Turn<&'static str, 2>> {
        match waiting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn keys_take_turns_and_a_crowd_of_one_keeps_none_of_the_others_waiting() {
        let turns = Two::default();
        let (first, second) = (turns.turn("a").await, turns.turn("a").await);
        let mut crowd: Vec<_> = (0..100).map(|_| ask(&turns, "a")).collect();
        let mut other = ask(&turns, "b");
        drop(first);
        let third = poll(&mut crowd[0]).unwrap();
        drop(third);
        let fourth = poll(&mut other).unwrap();
        assert!(poll(&mut crowd[1]).is_none());
        drop((fourth, second));
        assert!(poll(&mut crowd[1]).is_some() && poll(&mut crowd[2]).is_some());
    }

    #[tokio::test]
    async fn those_that_left_are_passed_over_and_cost_neither_permits_nor_memory() {
        let turns = Two::default();
        let (first, second) = (turns.turn("a").await, turns.turn("a").await);
        for _ in 0..10_000 {
            drop(ask(&turns, "a"));
        }
        assert!(lock(&turns.0).waiting["a"].capacity() < 100);
        let mut last = ask(&turns, "a");
        drop(first);
        let third = poll(&mut last).unwrap();
        // A turn that came and was not taken goes on to the next.
        let (unaware, mut next) = (ask(&turns, "a"), ask(&turns, "b"));
        drop(second);
        drop(unaware);
        let fourth = poll(&mut next).unwrap();
        drop((third, fourth));
        assert_eq!(lock(&turns.0).given, 0);
        assert!(lock(&turns.0).order.is_empty());
    }
}
