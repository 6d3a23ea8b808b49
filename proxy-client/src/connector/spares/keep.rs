//! The keeper of an instance's tunnels that are kept ready: there is one while there are any, or any are wanted.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::debug;
use transport::error::chain;
use transport::tls::Dialect;

use super::{Counted, Spare, Store};
use crate::connector::Connector;
use crate::metrics::SpareEnd;

/// Between two looks at what time does to them.
const TICK: Duration = Duration::from_secs(1);
/// Before one more is made: the session that has just taken one has the processor first.
const BREATH: Duration = Duration::from_millis(10);
/// Longest time for making one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be done.
enum Next {
    /// One more.
    Make,
    /// Nothing for now.
    Watch,
    /// Nothing any more.
    Leave,
}

/// Keeps them until none is wanted, or all is over.
pub(super) async fn keep(store: Arc<Store>, connector: Weak<Connector>) {
    let work = async {
        while let Some(connector) = connector.upgrade() {
            match store.sweep(&connector) {
                Next::Leave => return,
                Next::Make => {
                    tokio::time::sleep(BREATH).await;
                    let closed = async {
                        loop {
                            store.closed().await;
                        }
                    };
                    tokio::select! {
                        () = make(&store, &connector) => {}
                        () = closed => {}
                    }
                }
                Next::Watch => {
                    drop(connector);
                    tokio::select! {
                        () = store.news.notified() => {}
                        () = tokio::time::sleep(TICK) => {}
                        () = store.closed() => {}
                    }
                }
            }
        }
    };
    if store.ended.run_until_cancelled(work).await.is_none() {
        let mut state = store.state();
        store.drop_where(&mut state, SpareEnd::Stopped, |_| true);
    }
}

/// Makes one more.
async fn make(store: &Store, connector: &Connector) {
    let begun = Instant::now();
    let Some(info) = connector.refresher.valid() else {
        store.state().failed(begun);
        return;
    };
    let made = connector.handshake(&info, begun + PATIENCE).await;
    let now = Instant::now();
    let mut state = store.state();
    match made {
        Ok((stream, Dialect::Framed)) => {
            state.took = now - begun;
            let until = begun + state.max_age();
            state.ready.push_back(Spare {
                stream,
                info,
                made: now,
                until,
                home: Handle::current().id(),
                _counted: Counted::new(&store.metrics.spares),
            });
        }
        Ok((_, Dialect::Bare)) => state.bare = Some(info.number()),
        Err(error) => {
            state.failed(now);
            drop(state);
            debug!(error = chain(&error), "no tunnel could be kept ready");
            store.metrics.spare_ended(SpareEnd::Failed);
        }
    }
}

impl Store {
    /// Drops what time has spoilt, and says what is to be done.
    fn sweep(&self, connector: &Connector) -> Next {
        let now = Instant::now();
        let current = connector.refresher.valid().map(|info| info.number());
        let mut state = self.state();
        self.drop_where(&mut state, SpareEnd::Replaced, |spare| {
            Some(spare.info.number()) != current
        });
        let mut youngest = None;
        self.drop_where(&mut state, SpareEnd::Aged, |spare| {
            let is_aged = now >= spare.until;
            if is_aged {
                youngest = Some(spare.made);
            }
            is_aged
        });
        // Not one of them was used in all its life.
        if youngest.is_some_and(|made| state.demand.is_none_since(made)) {
            state.demand.forget();
        }
        let wanted = match current {
            Some(number) if state.bare != Some(number) => state.demand.wanted(now, self.most),
            _ => 0,
        };
        let mut left = state.ready.len().saturating_sub(wanted);
        self.drop_where(&mut state, SpareEnd::Surplus, |_| {
            let is_surplus = left > 0;
            left = left.saturating_sub(1);
            is_surplus
        });
        let is_welcome = state.patience.is_some();
        let is_early = state.not_before.is_some_and(|then| now < then);
        if state.ready.is_empty() && (wanted == 0 || !is_welcome) {
            state.is_kept = false;
            return Next::Leave;
        }
        if state.ready.len() < wanted && is_welcome && !is_early {
            Next::Make
        } else {
            Next::Watch
        }
    }
}
