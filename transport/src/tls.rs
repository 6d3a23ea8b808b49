//! TLS: the only place with rustls types. Both sides of the tunnel, and the judges of certificates.

mod alert;
mod client;
mod database;
mod error;
mod found;
mod held;
mod https;
mod kept;
mod key;
mod local;
mod material;
mod names;
mod provider;
mod read_ahead;
mod record;
mod remember;
mod server;
mod shake;
mod stream;
mod verify;

pub use alert::Alert;
pub use client::{Offer, ServerIdentity, TlsClient};
pub use database::{
    Authorities, DatabaseStream, DatabaseTls, DatabaseTrust, Fingerprint, InvalidFingerprint,
};
pub use error::{CertificateProblem, MaterialError, TlsError};
pub use https::{HttpsServer, HttpsStream};
pub use key::PrivateKey;
pub use local::{LocalStream, LocalTls};
pub use material::{Material, TrustRoots};
pub use provider::{install_provider, provider};
pub use server::{ClientIdentity, ServedInstances, TlsPeer, TlsServer};
pub use stream::TlsStream;
pub use verify::{verify_client_certificate, verify_server_certificate};

/// Which of the two dialects of the tunnel a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Ours: `csql/1` was negotiated, one frame each way comes first.
    Framed,
    /// Google's: the database's bytes come first.
    Bare,
}

impl Dialect {
    fn negotiated(alpn: Option<&[u8]>) -> Self {
        if alpn == Some(proto::ALPN) {
            Self::Framed
        } else {
            Self::Bare
        }
    }
}

#[cfg(test)]
mod tests;
