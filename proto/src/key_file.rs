//! A service account's key file: Google's JSON with two members of ours.

use serde::{Deserialize, Serialize};

/// A key file. Implements no `Debug`: it holds a private key.
///
/// Google's libraries require (each a different subset): `type`, `client_id`, `client_email`, `private_key_id`,
/// `private_key`, `token_uri`; so all are always written. They ignore members that they do not know.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyFile {
    /// Always `service_account`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The project whose instances a short name means.
    #[serde(default)]
    pub project_id: String,
    /// The `kid` of the assertions that this key signs.
    #[serde(default)]
    pub private_key_id: String,
    /// PEM, PKCS#8, RSA.
    pub private_key: String,
    /// The account's name.
    pub client_email: String,
    /// A number, as text.
    #[serde(default)]
    pub client_id: String,
    /// Unused; Google's files have it.
    #[serde(default)]
    pub auth_uri: String,
    /// Where assertions are exchanged for tokens, and their audience.
    #[serde(default)]
    pub token_uri: String,
    /// When not `googleapis.com`, Google's libraries use self-signed JWTs as bearer and skip the token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub universe_domain: Option<String>,
    /// Ours: the CA's base URL, without a trailing slash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csql_endpoint: Option<String>,
    /// Ours: PEM of the root that vouches for the CA's HTTPS certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csql_root_certificate: Option<String>,
}
