//! The token endpoint: RFC 7523 assertions for access tokens, RFC 6749 errors.

use serde::{Deserialize, Serialize};

/// The grant type of RFC 7523 2.1.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Scope that connectors ask for to use the Admin API.
pub const SCOPE_ADMIN: &str = "https://www.googleapis.com/auth/sqlservice.admin";
/// Scope of a passwordless database login; never opens the API.
pub const SCOPE_LOGIN: &str = "https://www.googleapis.com/auth/sqlservice.login";
/// Google's scope for everything; Java asks for it too.
pub const SCOPE_CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// A token (RFC 6749 5.1). Implements no `Debug`: the token is a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenResponse {
    /// The bearer token.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Remaining life in whole seconds; connectors take less than 300 s for stale.
    pub expires_in: u64,
}

/// An error of the token endpoint (RFC 6749 5.2), always with status 400 (or 429, 503).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OAuthError {
    /// `invalid_request`, `invalid_grant`, `unsupported_grant_type`, ...
    pub error: String,
    /// What people read.
    #[serde(default)]
    pub error_description: String,
}
