//! TLS as an HTTPS server speaks it: no client certificate, TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::Instant;

use super::TlsStream;
use super::error::TlsError;
use super::material::Material;
use super::provider::provider;
use super::server::accept;
use crate::socket::Socket;

/// Accepts HTTPS connections.
#[derive(Clone, Debug)]
pub struct HttpsServer {
    config: Arc<ServerConfig>,
}

impl HttpsServer {
    /// A server that shows whatever certificate `current` gives at each handshake.
    ///
    /// # Errors
    /// When the cryptographic library lacks TLS.
    pub fn new(
        current: impl Fn() -> Option<Arc<Material>> + Send + Sync + 'static,
    ) -> Result<Self, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Current(Box::new(current))));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// [`TlsError`] with the reason.
    pub async fn accept(
        &self,
        socket: impl Into<Socket>,
        deadline: Instant,
    ) -> Result<TlsStream, TlsError> {
        accept(Arc::clone(&self.config), socket.into(), deadline).await
    }
}

struct Current(Box<dyn Fn() -> Option<Arc<Material>> + Send + Sync>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        (self.0)().map(|material| Arc::clone(&material.certified))
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}
