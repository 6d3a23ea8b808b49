//! Peers that do not authenticate.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tracing::{debug, warn};
use transport::error::chain;
use transport::socket::Peer;
use transport::tls::TlsError;

use crate::metrics::Metrics;

/// Warnings about unauthenticated peers in a second: more tells the operator nothing new.
const STRANGERS_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);

/// Those who do not authenticate: counted all, told of some, never an error.
pub(crate) struct Strangers {
    limiter: DefaultDirectRateLimiter,
    untold: AtomicU64,
}

impl Default for Strangers {
    fn default() -> Self {
        Self {
            limiter: RateLimiter::direct(Quota::per_second(STRANGERS_PER_SECOND)),
            untold: AtomicU64::new(0),
        }
    }
}

impl Strangers {
    /// Whether one more may be told of now; one who may not is counted for the next who may.
    pub(super) fn may_be_told(&self) -> bool {
        let may = self.limiter.check().is_ok();
        if !may {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
        may
    }

    /// A handshake has failed. Who shows a certificate that is not accepted is worth a warning; a port scan is not.
    pub(super) fn tell(&self, metrics: &Metrics, peer: Peer, error: &TlsError) {
        metrics.stranger(error.kind());
        let noteworthy = matches!(error, TlsError::ClientCertificate(_) | TlsError::NoMaterial);
        if !noteworthy {
            debug!(peer.addr = %peer, error.kind = error.kind(), error = chain(error), "no handshake");
            return;
        }
        if !self.may_be_told() {
            return;
        }
        warn!(
            peer.addr = %peer,
            error.kind = error.kind(),
            error = chain(error),
            untold_before = self.untold.swap(0, Ordering::Relaxed),
            "peer refused"
        );
    }
}
