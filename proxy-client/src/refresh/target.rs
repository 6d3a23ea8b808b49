//! Which instance is meant now: the one that was named, or the one that a domain's TXT record names.
//!
//! A domain is looked up before the CA is asked, again and again after that, and at once when its agents do not answer.
//! DNS that fails changes nothing; only another name in it does.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use proto::InstanceName;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};
use transport::error::chain;
use transport::socket::Names;

use super::{PACE, Refresher, State};
use crate::config::Wanted;
use crate::error::RefreshError;

/// How long a connection waits for news of a domain that is known already.
const NEWS: Duration = Duration::from_secs(1);

/// The instance that is meant, for as long as it is.
#[derive(Debug)]
pub(super) struct Target {
    /// Never a domain.
    pub(super) wanted: Wanted,
    /// The domain, where it has addresses: the agents are there, whatever the CA says.
    pub(super) host: Option<String>,
    /// Ends its sessions.
    pub(super) cut: CancellationToken,
}

/// What is known of where the name leads.
#[derive(Default)]
pub(super) struct Targets {
    current: ArcSwapOption<Target>,
    /// When DNS was last asked; held while it is.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

impl Targets {
    /// Where a name that is no domain leads is clear.
    pub(super) fn new(wanted: &Wanted, cut: &CancellationToken) -> Self {
        let clear = match wanted {
            Wanted::Domain(_) => None,
            Wanted::Full(_) | Wanted::Short { .. } => Some(Arc::new(Target {
                wanted: wanted.clone(),
                host: None,
                cut: cut.child_token(),
            })),
        };
        Self {
            current: ArcSwapOption::new(clear),
            ..Self::default()
        }
    }

    pub(super) fn current(&self) -> Option<Arc<Target>> {
        self.current.load_full()
    }

    /// Whether DNS was asked within this time, or is being asked by somebody else.
    fn is_young(&self, max_age: Duration) -> bool {
        match self.asked.try_lock() {
            Ok(asked) => asked.is_some_and(|at| at.elapsed() < max_age),
            Err(_) => true,
        }
    }
}

impl Refresher {
    /// The name under which the CA knows the instance that is meant now, as far as that is known.
    pub fn target(&self) -> Option<Wanted> {
        self.targets.current().map(|target| target.wanted.clone())
    }

    /// The domain, where the agents are at its own addresses.
    pub fn host(&self) -> Option<String> {
        self.targets.current()?.host.clone()
    }

    /// What an attempt is for.
    pub(super) async fn aim(&self, deadline: Instant) -> Result<Arc<Target>, RefreshError> {
        match (self.targets.current(), self.domain()) {
            (Some(target), _) => Ok(target),
            (None, Some(domain)) => self.look(domain, PACE, deadline).await,
            (None, None) => Err(RefreshError::Unnamed),
        }
    }

    /// Before a connection: where a domain has not been looked up for a period, waits a little for news of it. One
    /// connection does; the others take what is known.
    pub(super) async fn follow(&self) {
        let period = self.source.failover.period;
        if let Some(domain) = self.domain()
            && self.targets.current().is_some()
            && !self.targets.is_young(period)
        {
            // Rare, and large: sessions need not have room for it.
            Box::pin(self.news_of(domain, period)).await;
        }
    }

    /// The agents do not answer: whether the name leads to another instance than that of this number by now.
    pub async fn leads_elsewhere(&self, number: u64) -> bool {
        let Some(domain) = self.domain() else {
            return false;
        };
        Box::pin(self.news_of(domain, PACE)).await;
        let known = self.last_known();
        known.is_none_or(|info| info.number != number)
    }

    /// Looks a domain up until cancelled, so that connections need not.
    pub(super) async fn watch(&self, cancel: CancellationToken) {
        let Some(domain) = self.domain() else {
            return;
        };
        let period = self.source.failover.period;
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(period) => {}
            }
            if self.targets.current().is_some() {
                // A connection may have done it meanwhile.
                self.news_of(domain, period / 2).await;
            }
        }
    }

    fn domain(&self) -> Option<&str> {
        match self.source.wanted() {
            Wanted::Domain(domain) => Some(domain),
            Wanted::Full(_) | Wanted::Short { .. } => None,
        }
    }

    /// What DNS does not tell is as it was.
    async fn news_of(&self, domain: &str, max_age: Duration) {
        let deadline = Instant::now() + NEWS;
        match timeout(NEWS, self.look(domain, max_age, deadline)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => debug!(domain, error = chain(&error), "DNS tells nothing new"),
            Err(_) => debug!(domain, "DNS does not answer in time"),
        }
    }

    /// Looks a domain up, unless that was done within this time. One at a time; who waits has the same answer.
    async fn look(
        &self,
        domain: &str,
        max_age: Duration,
        deadline: Instant,
    ) -> Result<Arc<Target>, RefreshError> {
        let mut asked = self.targets.asked.lock().await;
        if let (Some(target), Some(at)) = (self.targets.current(), *asked)
            && at.elapsed() < max_age
        {
            return Ok(target);
        }
        // Silent servers are not asked by each connection either, however this ends.
        *asked = Some(Instant::now());
        let names = &self.source.failover.names;
        let name = ask(names, domain, deadline).await?;
        let has_addresses = names.leads_somewhere(domain, deadline).await;
        let host = has_addresses.then(|| domain.to_owned());
        Ok(self.turn(Wanted::Full(name), host))
    }

    /// Takes what DNS says. What is kept of another instance is not used any more.
    fn turn(&self, wanted: Wanted, host: Option<String>) -> Arc<Target> {
        let before = self.targets.current();
        if let Some(before) = &before
            && before.wanted == wanted
            && before.host == host
        {
            return Arc::clone(before);
        }
        let moved = before.filter(|before| before.wanted != wanted);
        let cut = match (&moved, self.targets.current()) {
            // The same instance at other addresses.
            (None, Some(before)) => before.cut.clone(),
            _ => self.source.cut.child_token(),
        };
        let target = Arc::new(Target { wanted, host, cut });
        self.targets.current.store(Some(Arc::clone(&target)));
        if let Some(moved) = moved {
            self.forget();
            let grace = self.source.failover.grace;
            info!(
                domain = %self.source.wanted(),
                from = %moved.wanted,
                to = %target.wanted,
                grace = ?grace,
                "the domain leads to another instance"
            );
            if let Some(grace) = grace {
                self.tracker.spawn(async move {
                    // Or all sessions end before.
                    if timeout(grace, moved.cut.cancelled()).await.is_err() {
                        moved.cut.cancel();
                    }
                });
            }
        }
        target
    }

    /// Settings and certificate are another instance's; an attempt under way is for nobody.
    fn forget(&self) {
        let mut state = self.state();
        *state = State {
            last: state.last.wrapping_add(1),
            ..State::default()
        };
        self.current.store(None);
        drop(state);
        self.attempts
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// The instance that is meant, looked up once.
pub(crate) async fn resolve(
    names: &Names,
    wanted: &Wanted,
    deadline: Instant,
) -> Result<Wanted, RefreshError> {
    match wanted {
        Wanted::Domain(domain) => Ok(Wanted::Full(ask(names, domain, deadline).await?)),
        Wanted::Full(_) | Wanted::Short { .. } => Ok(wanted.clone()),
    }
}

async fn ask(names: &Names, domain: &str, deadline: Instant) -> Result<InstanceName, RefreshError> {
    named(domain, &names.texts(domain, deadline).await?)
}

/// The first text that is an instance's full name.
fn named(domain: &str, texts: &[String]) -> Result<InstanceName, RefreshError> {
    let name = texts.iter().find_map(|text| text.trim().parse().ok());
    name.ok_or_else(|| RefreshError::NoInstance {
        domain: domain.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_text_that_names_an_instance_counts() {
        let texts = ["a note", "p:r", "p:r:a", "p:r:b"].map(str::to_owned);
        assert_eq!(named("db.test", &texts).unwrap().to_string(), "p:r:a");
        let error = named("db.test", &texts[..2]).unwrap_err().to_string();
        assert!(error.contains("db.test"), "{error}");
    }
}
