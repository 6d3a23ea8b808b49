//! Keeping what a connection needs fresh: settings and certificate of one instance.
//!
//! Everything is decided when a connection asks: a certificate is judged by the CA's clock when it is used, and one
//! attempt at a time serves all who wait. The background only makes that fast; all works without it.

mod attempt;
mod background;
mod info;
mod target;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};
use transport::authority::{Failure, Skew};
use transport::error::chain;

use crate::error::{RefreshError, SessionError};
pub use attempt::Source;
pub use background::keep_fresh;
pub(crate) use info::full_name;
pub use info::{ConnectionInfo, Told};
use target::Targets;
pub(crate) use target::resolve;

/// While the CA fails, connections make it one attempt in this time; the others are told the last error at once.
const PACE: Duration = Duration::from_secs(1);
/// The same when the CA asks for fewer requests.
const THROTTLED_PACE: Duration = Duration::from_secs(5);
/// Settings and certificate that no agent has accepted yet are not fetched again, for an agent's sake, while they are
/// younger: it would refuse the next ones too.
const MIN_AGE: Duration = Duration::from_secs(10);

/// Longest wait for DNS to say which instance is meant.
const AIM: Duration = Duration::from_secs(15);

/// The outcome of an attempt, for all who wait for it.
type Outcome = Result<Arc<ConnectionInfo>, RefreshError>;
/// `None` until the attempt has ended.
type Flight = watch::Receiver<Option<Outcome>>;

/// What is known of one instance, and how to know more.
pub struct Refresher {
    source: Source,
    /// Which instance is meant.
    targets: Targets,
    tracker: TaskTracker,
    current: ArcSwapOption<ConnectionInfo>,
    /// Known before the first certificate, and after the last.
    told: ArcSwapOption<Told>,
    state: Mutex<State>,
    /// Tells the background that an attempt has ended.
    attempts: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    flight: Option<Flight>,
    failures: Failures,
    /// When the current information came.
    fetched: Option<Instant>,
    /// Whether an agent has accepted it.
    has_worked: bool,
    last: u64,
}

/// Failures since the last success.
#[derive(Clone, Default)]
struct Failures {
    count: u32,
    last: Option<(Instant, RefreshError)>,
}

impl Refresher {
    /// Knows nothing yet and asks nobody.
    pub fn new(source: Source, tracker: TaskTracker) -> Arc<Self> {
        Arc::new(Self {
            targets: Targets::new(source.wanted(), &source.cut),
            source,
            tracker,
            current: ArcSwapOption::empty(),
            told: ArcSwapOption::empty(),
            state: Mutex::default(),
            attempts: watch::Sender::new(0),
        })
    }

    /// What a connection needs: at once while the certificate is valid, else from one attempt that all share.
    ///
    /// # Errors
    /// The attempt's error, or that of the last one if it is too early for another.
    pub async fn info(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Result<Arc<ConnectionInfo>, SessionError> {
        self.follow().await;
        if let Some(info) = self.valid() {
            if info.is_due(self.source.now()) && self.renew(info.number) {
                debug!(instance = %info.name, "certificate renewal begun by a connection");
            }
            return Ok(info);
        }
        let flight = {
            let state = self.state();
            // An attempt may have ended since we looked: its outcome is ours too.
            if let Some(info) = self.valid() {
                return Ok(info);
            }
            self.begin(state)?
        };
        wait(flight, deadline).await
    }

    /// Newer information than this, which an agent has refused; `None` when there can be none: the refusal stands.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn newer_than(
        self: &Arc<Self>,
        refused: &ConnectionInfo,
        deadline: Instant,
    ) -> Option<Result<Arc<ConnectionInfo>, SessionError>> {
        let flight = {
            let state = self.state();
            if let Some(info) = self.valid()
                && info.number != refused.number
            {
                return Some(Ok(info));
            }
            if state.is_young() {
                return None;
            }
            self.begin(state)
        };
        match flight {
            Ok(flight) => Some(wait(flight, deadline).await),
            Err(error) => Some(Err(error.into())),
        }
    }

    /// An agent has accepted this.
    pub fn worked(&self, info: &ConnectionInfo) {
        let current = self.current.load().as_ref().map(|info| info.number);
        if current == Some(info.number) {
            self.state().has_worked = true;
        }
    }

    /// The agent does not answer where the settings say: asks for newer ones in the background.
    pub fn suspect(self: &Arc<Self>) {
        let state = self.state();
        if !state.is_young() && self.begin(state).is_ok() {
            debug!(instance = %self.source.wanted(), "settings are asked for again");
        }
    }

    /// What the CA is asked with has changed: asks at once.
    pub fn refresh_now(self: &Arc<Self>) {
        if self.begin(self.state()).is_ok() {
            debug!(instance = %self.source.wanted(), "certificate renewal begun by a reload");
        }
    }

    /// Begins an attempt unless newer information than this has come. `false` when it is too early for one.
    fn renew(self: &Arc<Self>, number: u64) -> bool {
        let state = self.state();
        let current = self.current.load().as_ref().map(|info| info.number);
        current.unwrap_or_default() == number && self.begin(state).is_ok()
    }

    /// The information whose certificate is valid now.
    pub fn valid(&self) -> Option<Arc<ConnectionInfo>> {
        let now = self.source.now();
        self.current
            .load_full()
            .filter(|info| info.is_valid_at(now))
    }

    /// The last information, valid or not.
    pub fn last_known(&self) -> Option<Arc<ConnectionInfo>> {
        self.current.load_full()
    }

    /// What the CA has told of the instance, however long ago: its name and its engine stay true.
    pub fn told(&self) -> Option<Arc<Told>> {
        self.told.load_full()
    }

    /// The CA has told somebody else.
    pub(crate) fn tell(&self, told: Told) {
        self.told.store(Some(Arc::new(told)));
    }

    /// Asks for the name and the engine, and for no certificate.
    pub async fn look_up(&self, deadline: Instant) {
        let instance = self.source.wanted();
        let asking = async {
            let target = self.aim(deadline).await?;
            self.source.look_up(&target).await
        };
        match tokio::time::timeout_at(deadline, asking).await {
            Ok(Ok(told)) => self.told.store(Some(Arc::new(told))),
            Ok(Err(error)) => {
                debug!(%instance, error = chain(&error), "the CA did not tell the engine");
            }
            Err(_) => debug!(%instance, "the CA did not tell the engine in time"),
        }
    }

    /// Waits until the CA has told anything.
    pub async fn known(&self) {
        let mut attempts = self.attempts.subscribe();
        while self.told.load().is_none() {
            if attempts.changed().await.is_err() {
                return;
            }
        }
    }

    /// How far the clocks are apart, once the CA has told.
    pub fn skew(&self) -> Option<Skew> {
        self.source.authority.load().skew()
    }

    /// Why the last attempt failed, if it did.
    pub fn failure(&self) -> Option<RefreshError> {
        self.state()
            .failures
            .last
            .as_ref()
            .map(|(_, error)| error.clone())
    }

    /// Joins the attempt under way or begins one; while the CA fails, not more often than its pace.
    fn begin(self: &Arc<Self>, mut state: MutexGuard<'_, State>) -> Result<Flight, RefreshError> {
        if let Some(flight) = &state.flight {
            return Ok(flight.clone());
        }
        if let Some((at, error)) = &state.failures.last
            && at.elapsed() < pace(error)
        {
            return Err(error.clone());
        }
        let (told, flight) = watch::channel(None);
        state.flight = Some(flight.clone());
        state.last = state.last.wrapping_add(1);
        let number = state.last;
        drop(state);
        let refresher = Arc::clone(self);
        // A task of its own: a connection that gives up does not end the attempt that others wait for.
        self.tracker.spawn(async move {
            let outcome = refresher.attempt(number).await;
            refresher.end(number, &outcome);
            told.send_replace(Some(outcome));
        });
        Ok(flight)
    }

    /// Finds out which instance is meant, and asks for it.
    async fn attempt(&self, number: u64) -> Outcome {
        let aimed = self.aim(Instant::now() + AIM).await;
        self.source.fetch(number, &*aimed?).await
    }

    /// An attempt has ended. A failure keeps what we had.
    fn end(&self, number: u64, outcome: &Outcome) {
        let mut state = self.state();
        if state.last != number {
            // Another instance is meant by now.
            return;
        }
        state.flight = None;
        match outcome {
            Ok(info) => {
                if state.failures.count > 0 {
                    info!(instance = %info.name, "the CA gives certificates again");
                } else {
                    debug!(instance = %info.name, serial = info.serial, "certificate received");
                }
                self.told.store(Some(Arc::new(info.told())));
                self.current.store(Some(Arc::clone(info)));
                state.failures = Failures::default();
                state.fetched = Some(Instant::now());
                state.has_worked = false;
            }
            Err(error) => {
                // Once when it begins, and again when it becomes another failure.
                let known = state.failures.last.as_ref().map(|(_, last)| last.kind());
                if known != Some(error.kind()) {
                    let refusal = error.refusal();
                    warn!(
                        instance = %self.source.wanted(),
                        code = %refusal.code,
                        reason = refusal.reason,
                        hint = refusal.hint,
                        valid_for = ?self.remaining(),
                        "no new certificate"
                    );
                }
                state.failures.count = state.failures.count.saturating_add(1);
                state.failures.last = Some((Instant::now(), error.clone()));
            }
        }
        drop(state);
        self.attempts
            .send_modify(|count| *count = count.wrapping_add(1));
        let succeeded = outcome.is_ok();
        self.source.count(succeeded);
    }

    /// How long the certificate that we have is still valid.
    pub fn remaining(&self) -> Option<Duration> {
        let info = self.current.load_full()?;
        info.not_after.duration_since(self.source.now()).ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, and a half-written state cannot be.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether what we have is too young for another to be better.
    ///
    /// What worked once and does not any more has been overtaken: then a second is enough.
    fn is_young(&self) -> bool {
        let min_age = if self.has_worked { PACE } else { MIN_AGE };
        self.fetched.is_some_and(|at| at.elapsed() < min_age)
    }
}

fn pace(error: &RefreshError) -> Duration {
    match error {
        RefreshError::Authority(error) if matches!(error.failure, Failure::Throttled(_)) => {
            THROTTLED_PACE
        }
        _ => PACE,
    }
}

async fn wait(mut flight: Flight, deadline: Instant) -> Result<Arc<ConnectionInfo>, SessionError> {
    let ended = tokio::time::timeout_at(deadline, flight.wait_for(Option::is_some)).await;
    match ended {
        Ok(Ok(outcome)) => match outcome.as_ref() {
            Some(outcome) => Ok(outcome.clone()?),
            None => Err(SessionError::RefreshDeadline),
        },
        // The program is stopping, or too late.
        Ok(Err(_)) | Err(_) => Err(SessionError::RefreshDeadline),
    }
}
