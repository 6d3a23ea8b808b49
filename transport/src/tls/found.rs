//! What is found about a peer during its handshake: rustls keeps only the alert.
//!
//! One configuration serves all connections, so what a judge finds about one of them is kept with the task that shakes hands.

use std::cell::RefCell;

use super::error::CertificateProblem;
use super::server::ClientIdentity;

tokio::task_local! {
    static FOUND: RefCell<Found>;
}

/// What was found in one handshake.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The client's certificate, once it was shown.
    pub(super) client: Option<Result<ClientIdentity, CertificateProblem>>,
    /// What is wrong with the server's.
    pub(super) server: Option<CertificateProblem>,
    /// There was none to show.
    pub(super) nothing_to_show: bool,
}

/// Shakes hands; says what was found meanwhile.
pub(super) async fn during<T>(handshake: impl Future<Output = T>) -> (T, Found) {
    // A handshake is a large future that does not live long: no session keeps room for it.
    let watched = Box::pin(async {
        let ended = handshake.await;
        (ended, FOUND.with(RefCell::take))
    });
    FOUND.scope(RefCell::default(), watched).await
}

/// Keeps what was found; nothing outside of [`during`].
pub(super) fn note(change: impl FnOnce(&mut Found)) {
    let noted = FOUND.try_with(|found| found.try_borrow_mut().map(|mut found| change(&mut found)));
    if !matches!(noted, Ok(Ok(()))) {
        tracing::debug!("a certificate was judged outside of a handshake");
    }
}
