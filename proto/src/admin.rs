//! The JSON of the CA's HTTP API: Google's Admin API where it has a word for it, ours beside it.
//!
//! Source of the Google part: the Cloud SQL Admin API, `sql/v1beta4`, as its connectors read and write it.

mod agent;
mod connect_settings;
mod ephemeral_cert;
mod error;
mod token;

pub use agent::{AgentSettings, GenerateServerCertRequest, GenerateServerCertResponse, Grant};
pub use connect_settings::{ConnectSettings, DnsNameMapping, IpMapping, SslCert};
pub use ephemeral_cert::{GenerateEphemeralCertRequest, GenerateEphemeralCertResponse};
pub use error::{ErrorBody, ErrorDetail, ErrorItem, Status};
pub use token::{
    JWT_BEARER, OAuthError, SCOPE_ADMIN, SCOPE_CLOUD_PLATFORM, SCOPE_LOGIN, TokenResponse,
};
