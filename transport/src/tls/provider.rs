//! The one cryptographic provider: aws-lc-rs, the hybrid post-quantum exchange first.

use std::fmt;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

use crate::Clock;

/// The provider, made once.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::LazyLock<Arc<CryptoProvider>> =
        std::sync::LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}

/// Makes it the process's default, for libraries that ask for one (the HTTP client). Later calls change nothing.
pub fn install_provider() {
    if provider().as_ref().clone().install_default().is_err() {
        tracing::debug!("a default cryptographic provider is installed already");
    }
}

/// Our clock, as rustls asks for it.
pub(super) struct Time(pub(super) Clock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let since = (self.0)().duration_since(UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}
