//! Messages to the service manager, where there is one (`sd_notify(3)`).
//!
//! A thread of its own sends them: the socket of a service manager that stands still would stop whoever writes to it.
//! What waits is merged, so that nothing is lost and nothing grows.

use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tracing::debug;

use crate::environment::Environment;

/// Longest wait for the service manager at the end of the program.
const FLUSH: Duration = Duration::from_millis(200);

/// Whether anybody listens.
pub fn is_wanted() -> bool {
    Environment::of_process().get("NOTIFY_SOCKET").is_some()
}

/// Time within which [`alive`] is expected again; `None` when it is not.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// The program is alive.
pub fn alive() {
    send(|waiting| waiting.mark(Mark::Alive));
}

/// The start takes longer, and is not to be given up for this time.
pub fn starting(patience: Duration) {
    let micros = u32::try_from(patience.as_micros()).unwrap_or(u32::MAX);
    send(|waiting| waiting.extension = Some(micros));
}

/// The program is ready for connections.
pub fn ready() {
    send(|waiting| waiting.mark(Mark::Ready));
}

/// The program is stopping.
pub fn stopping() {
    send(|waiting| waiting.mark(Mark::Stopping));
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    send(|waiting| waiting.status = Some(text.to_owned()));
}

/// Waits until all has been sent, but not long.
pub(crate) fn flush() {
    let until = Instant::now() + FLUSH;
    let mut waiting = MANAGER.waiting();
    while waiting.is_sending || !waiting.states().is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let waited = MANAGER.sent.wait_timeout(waiting, left);
        waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

static MANAGER: Manager = Manager {
    waiting: Mutex::new(Waiting::NOTHING),
    news: Condvar::new(),
    sent: Condvar::new(),
    thread: OnceLock::new(),
};

struct Manager {
    waiting: Mutex<Waiting>,
    news: Condvar,
    sent: Condvar,
    thread: OnceLock<()>,
}

/// A message without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Ready,
    Alive,
    Stopping,
}

/// All that is to be sent.
#[derive(Debug)]
struct Waiting {
    /// Each at most once, in the order in which they were first added.
    marks: Vec<Mark>,
    extension: Option<u32>,
    status: Option<String>,
    /// Whether something was taken from here and is not sent yet.
    is_sending: bool,
}

impl Waiting {
    const NOTHING: Self = Self {
        marks: Vec::new(),
        extension: None,
        status: None,
        is_sending: false,
    };

    fn mark(&mut self, mark: Mark) {
        if !self.marks.contains(&mark) {
            self.marks.push(mark);
        }
    }

    fn states(&self) -> Vec<NotifyState<'_>> {
        let extension = self.extension.map(NotifyState::ExtendTimeoutUsec);
        let marks = self.marks.iter().map(|mark| match mark {
            Mark::Ready => NotifyState::Ready,
            Mark::Alive => NotifyState::Watchdog,
            Mark::Stopping => NotifyState::Stopping,
        });
        let status = self.status.as_deref().map(NotifyState::Status);
        extension.into_iter().chain(marks).chain(status).collect()
    }
}

impl Manager {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        loop {
            let mut waiting = self.waiting();
            waiting.is_sending = false;
            self.sent.notify_all();
            while waiting.states().is_empty() {
                let woken = self.news.wait(waiting);
                waiting = woken.unwrap_or_else(PoisonError::into_inner);
            }
            let taken = std::mem::replace(&mut *waiting, Waiting::NOTHING);
            waiting.is_sending = true;
            drop(waiting);
            if let Err(error) = sd_notify::notify(&taken.states()) {
                debug!(%error, "the service manager could not be told");
            }
        }
    }
}

fn send(add: impl FnOnce(&mut Waiting)) {
    if !is_wanted() {
        return;
    }
    MANAGER.thread.get_or_init(|| {
        let thread = thread::Builder::new().name("notify".to_owned());
        if let Err(error) = thread.spawn(|| MANAGER.run()) {
            debug!(%error, "the service manager cannot be told anything");
        }
    });
    add(&mut MANAGER.waiting());
    MANAGER.news.notify_one();
}
