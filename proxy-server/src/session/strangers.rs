//! Log lines about peers that get no session: the first of a kind at once, then one a minute with a count.

use daemon::log::LogThrottle;
use tracing::{debug, warn};
use transport::accept::Source;
use transport::error::chain;
use transport::socket::Peer;
use transport::tls::TlsError;

use crate::metrics::Metrics;

/// Which refusals have been logged of late. A kind is an error, by its word, and whom it met: an account with its instance,
/// or a source of connections.
pub(crate) type Refusals = LogThrottle<(&'static str, String)>;

/// A source of connections, as one caller of those that have not said who they are.
pub(super) fn source(peer: Peer) -> String {
    match peer.addr {
        Some(addr) => Source::of(addr.ip()).to_string(),
        None => peer.to_string(),
    }
}

/// A handshake has failed. A certificate that is not accepted is worth a warning; a port scan is not.
pub(super) fn tell(refusals: &Refusals, metrics: &Metrics, peer: Peer, error: &TlsError) {
    metrics.stranger(error.kind());
    let noteworthy = matches!(error, TlsError::ClientCertificate(_) | TlsError::NoMaterial);
    if !noteworthy {
        debug!(peer.addr = %peer, error.kind = error.kind(), error = chain(error), "no handshake");
        return;
    }
    let Some(repeated) = refusals.due((error.kind(), source(peer))) else {
        return;
    };
    warn!(
        peer.addr = %peer,
        error.kind = error.kind(),
        error = chain(error),
        repeated,
        "peer refused"
    );
}
