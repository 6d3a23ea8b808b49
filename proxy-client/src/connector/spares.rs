//! Tunnels that are kept ready: TLS is done, the agent has not yet joined them to the database.
//!
//! As many as applications that came of late could have used, made one after another behind their backs. They are only ever
//! faster than a fresh tunnel: whatever is wrong with one, a fresh one is opened in its place.

mod demand;
mod keep;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use daemon::metrics::prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use transport::tls::TlsStream;

use super::Connector;
use crate::metrics::{InstanceMetrics, SpareEnd};
use crate::refresh::ConnectionInfo;
use demand::Demand;

/// No tunnel is kept longer, however patient the agent is: middleboxes forget what is silent.
const MAX_AGE: Duration = Duration::from_secs(45);
/// Where the agent waits no longer than this, none is worth being made.
const MIN_PATIENCE: Duration = Duration::from_secs(2);
/// A crowd comes within so many times the time of a handshake, and within these bounds.
const CROWD: u32 = 2;
const SPAN: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// After the first failure; doubled with each further one.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The tunnels of one instance that are kept ready. With the last holder they end.
pub struct Spares {
    store: Arc<Store>,
    _ended: DropGuard,
}

/// What the keeper shares with those who take.
struct Store {
    most: usize,
    ended: CancellationToken,
    tracker: TaskTracker,
    metrics: InstanceMetrics,
    state: Mutex<State>,
    /// More may be wanted.
    news: Notify,
}

#[derive(Default)]
struct State {
    demand: Demand,
    ready: VecDeque<Spare>,
    is_kept: bool,
    /// How long the agent waits, as it last said; `None` when it does not.
    patience: Option<Duration>,
    /// How long the last handshake took.
    took: Duration,
    failures: u32,
    not_before: Option<Instant>,
    /// What was made with this information speaks Google's dialect: there the agent dials the database at once.
    bare: Option<u64>,
}

/// A tunnel that is kept ready.
pub(super) struct Spare {
    pub(super) stream: TlsStream,
    pub(super) info: Arc<ConnectionInfo>,
    made: Instant,
    /// Then the agent may have lost its patience.
    until: Instant,
    /// The runtime that watches it.
    home: Id,
    _counted: Counted,
}

/// Counts one that is ready.
struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Spares {
    /// None yet; at most so many, until then.
    pub fn new(
        most: usize,
        ended: &CancellationToken,
        tracker: TaskTracker,
        metrics: InstanceMetrics,
    ) -> Self {
        let ended = ended.child_token();
        Self {
            store: Arc::new(Store {
                most,
                ended: ended.clone(),
                tracker,
                metrics,
                state: Mutex::default(),
                news: Notify::new(),
            }),
            _ended: ended.drop_guard(),
        }
    }

    /// An application has come: a tunnel for it, made with this information, if one is ready.
    pub(super) fn take(&self, info: &ConnectionInfo) -> Option<Spare> {
        let store = &*self.store;
        if store.most == 0 {
            return None;
        }
        let now = Instant::now();
        let mut state = store.state();
        let span = state.took.saturating_mul(CROWD).clamp(SPAN.0, SPAN.1);
        state.demand.arrived(now, span, store.most);
        let spare = store.fit(&mut state, info, now);
        if spare.is_none() {
            store.metrics.spare_ended(SpareEnd::Missed);
        }
        spare
    }

    /// Their instance is not served any more, though sessions of its go on.
    pub(crate) fn end(&self) {
        self.store.ended.cancel();
    }

    /// A tunnel that was kept ready has been opened.
    pub(super) fn used(&self) {
        self.store.metrics.spare_ended(SpareEnd::Used);
        self.store.state().failures = 0;
    }

    /// One was dead when it was to be used: what has befallen it has befallen the others.
    pub(super) fn was_dead(&self) {
        self.store.metrics.spare_ended(SpareEnd::Dead);
        let mut state = self.store.state();
        self.store.drop_where(&mut state, SpareEnd::Dead, |_| true);
    }

    /// A handshake took so long, and so long the agent would have waited for the frame.
    pub(super) fn learn(&self, took: Option<Duration>, patience: Option<u32>) {
        let mut state = self.store.state();
        let patience = patience.map(|seconds| Duration::from_secs(seconds.into()));
        state.patience = patience.filter(|patience| *patience >= MIN_PATIENCE);
        if let Some(took) = took {
            state.took = took;
        }
    }

    /// Has more made behind everybody's back, where more are worth it.
    pub(super) fn refill(&self, connector: &Arc<Connector>) {
        let store = &self.store;
        let mut state = store.state();
        let wanted = state.demand.wanted(Instant::now(), store.most);
        if store.ended.is_cancelled() || state.patience.is_none() || wanted <= state.ready.len() {
            return;
        }
        if std::mem::replace(&mut state.is_kept, true) {
            store.news.notify_one();
            return;
        }
        let keeper = keep::keep(Arc::clone(store), Arc::downgrade(connector));
        store.tracker.spawn(keeper);
    }
}

impl Store {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest that is fit for use; those before it that are not are dropped.
    fn fit(&self, state: &mut State, info: &ConnectionInfo, now: Instant) -> Option<Spare> {
        while let Some(mut spare) = state.ready.pop_front() {
            let mut context = Context::from_waker(Waker::noop());
            let end = if spare.info.number() != info.number() {
                SpareEnd::Replaced
            } else if now >= spare.until {
                SpareEnd::Aged
            } else if spare.poll_ended(&mut context).is_ready() {
                SpareEnd::Closed
            } else {
                return Some(spare);
            };
            self.metrics.spare_ended(end);
        }
        None
    }

    /// Drops some; says how many.
    fn drop_where(
        &self,
        state: &mut State,
        end: SpareEnd,
        mut is: impl FnMut(&mut Spare) -> bool,
    ) -> usize {
        let before = state.ready.len();
        state.ready.retain_mut(|spare| !is(spare));
        let dropped = before.saturating_sub(state.ready.len());
        for _ in 0..dropped {
            self.metrics.spare_ended(end);
        }
        dropped
    }

    /// Waits until the agent ends one of them. It says nothing before it is asked, so whatever it says is an end.
    async fn closed(&self) {
        poll_fn(|context| {
            let mut state = self.state();
            let is_closed = |spare: &mut Spare| spare.poll_ended(context).is_ready();
            if self.drop_where(&mut state, SpareEnd::Closed, is_closed) == 0 {
                return Poll::Pending;
            }
            state.failed(Instant::now());
            Poll::Ready(())
        })
        .await;
    }
}

impl State {
    /// How old one may become: it must not come to the agent when that has lost its patience.
    fn max_age(&self) -> Duration {
        let patience = self.patience.unwrap_or_default();
        (patience * 3 / 4).min(MAX_AGE)
    }

    fn failed(&mut self, now: Instant) {
        let doubled = BACKOFF.0.saturating_mul(1 << self.failures.min(6));
        self.not_before = Some(now + doubled.min(BACKOFF.1));
        self.failures = self.failures.saturating_add(1);
    }
}

impl Spare {
    /// Has the current runtime watch it, wherever it was made.
    pub(super) fn watch_here(&mut self) -> io::Result<()> {
        let here = Handle::current().id();
        if here != self.home {
            self.stream.watch_here()?;
            self.home = here;
        }
        Ok(())
    }

    /// Ready when nothing can be done with it any more.
    fn poll_ended(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        Pin::new(&mut self.stream)
            .poll_read(context, &mut buf)
            .map(drop)
    }
}
