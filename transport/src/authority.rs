//! The CA's API as a caller sees it: tokens, settings and certificates, with errors that say what to do.
//!
//! [`Authority`] is what client and agent hold. Below it: [`credentials`] (who we are), `token` (how we prove it),
//! `admin_api` (what we ask), `http` (the only HTTP client), [`skew`] (how far our clock is from the CA's).

pub mod credentials;
pub mod error;
pub mod skew;

mod admin_api;
mod assertion;
mod exposure;
mod http;
mod https;
mod token;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proto::admin::{AgentSettings, ConnectSettings};

pub use credentials::{Credentials, CredentialsError};
pub use error::{AuthorityError, Failure};
pub use exposure::exposed;
pub use skew::Skew;

use crate::Clock;
use crate::socket::Proxies;
use crate::tls::PrivateKey;
use http::{Http, HttpSettings};
use skew::SkewMeter;
use token::Tokens;

/// The universe of Google's own service.
pub(crate) const GOOGLE_UNIVERSE: &str = "googleapis.com";

/// What an [`Authority`] is made of.
pub struct AuthoritySettings {
    /// The CA's base URL. Without it: the key file's, or Google's own service.
    pub endpoint: Option<String>,
    /// PEM of the root that vouches for the CA. Without it: the key file's, or the machine's roots.
    pub root_pem: Option<String>,
    /// Who we are.
    pub credentials: Credentials,
    /// Program and version.
    pub user_agent: String,
    /// Whose quota at Google is used.
    pub quota_project: Option<String>,
    /// Which way out is taken to the CA.
    pub proxies: Proxies,
    /// The machine's clock.
    pub clock: Clock,
}

/// One CA, spoken to with one set of credentials. Cheap to share by reference; all calls may run side by side.
pub struct Authority {
    http: Http,
    endpoint: String,
    tokens: Tokens,
    skew: Arc<SkewMeter>,
}

impl Authority {
    /// Checks the settings; speaks to nobody yet.
    ///
    /// # Errors
    /// [`AuthorityError`] of kind [`Failure::Settings`] when the endpoint or the root is none.
    pub fn new(settings: AuthoritySettings) -> Result<Self, AuthorityError> {
        let endpoint = settings
            .endpoint
            .unwrap_or_else(|| settings.credentials.endpoint());
        let root_pem = settings
            .root_pem
            .or_else(|| settings.credentials.root_pem());
        let skew = Arc::new(SkewMeter::new(settings.clock));
        let http = Http::new(HttpSettings {
            endpoint: &endpoint,
            token_uri: settings.credentials.token_uri(),
            root_pem: root_pem.as_deref(),
            user_agent: settings.user_agent,
            quota_project: settings.quota_project,
            proxies: settings.proxies,
            skew: Arc::clone(&skew),
        })?;
        Ok(Self {
            tokens: Tokens::new(settings.credentials, http.clone(), Arc::clone(&skew)),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            http,
            skew,
        })
    }

    /// Binds the tokens to come to this key, so that settings and certificate share one token.
    ///
    /// The calls that certify a key do it too; who makes another call first, or at the same time, does it before.
    pub fn bind(&self, key: &PrivateKey) {
        self.tokens.bind(key.spki_der());
    }

    /// Where an instance is and which CA vouches for it.
    ///
    /// # Errors
    /// [`AuthorityError`] says what failed and what to do.
    pub async fn connect_settings(
        &self,
        project: &str,
        instance: &str,
    ) -> Result<ConnectSettings, AuthorityError> {
        admin_api::connect_settings(self, project, instance).await
    }

    /// A client certificate for the key, as PEM.
    ///
    /// # Errors
    /// [`AuthorityError`] says what failed and what to do.
    pub async fn generate_ephemeral_cert(
        &self,
        project: &str,
        instance: &str,
        key: &PrivateKey,
    ) -> Result<String, AuthorityError> {
        self.bind(key);
        admin_api::generate_ephemeral_cert(self, project, instance, &key.public_key_pem()).await
    }

    /// A server certificate for the key, as PEM.
    ///
    /// # Errors
    /// [`AuthorityError`] says what failed and what to do.
    pub async fn generate_server_cert(
        &self,
        project: &str,
        instance: &str,
        key: &PrivateKey,
    ) -> Result<String, AuthorityError> {
        self.bind(key);
        admin_api::generate_server_cert(self, project, instance, &key.public_key_pem()).await
    }

    /// Whom the agent of an instance lets in. With a revision, answers when the CA's differs or `wait` has passed.
    ///
    /// # Errors
    /// [`AuthorityError`] says what failed and what to do.
    pub async fn agent_settings(
        &self,
        project: &str,
        instance: &str,
        revision: Option<u64>,
        wait: Duration,
    ) -> Result<AgentSettings, AuthorityError> {
        admin_api::agent_settings(self, project, instance, revision, wait).await
    }

    /// How far the CA's clock is ahead of ours, once it has answered.
    pub fn skew(&self) -> Option<Skew> {
        self.skew.skew()
    }

    /// The time by the CA's clock, as well as we know it: by which certificates are judged.
    pub fn now(&self) -> SystemTime {
        self.skew.now()
    }

    /// The same as a clock, for those who judge certificates.
    pub fn clock(&self) -> Clock {
        let skew = Arc::clone(&self.skew);
        Arc::new(move || skew.now())
    }

    /// The CA's base URL.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

#[cfg(test)]
mod tests;
