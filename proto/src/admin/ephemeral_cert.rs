//! `generateEphemeralCert`: a short-lived client certificate for a public key.

use serde::{Deserialize, Serialize};

use super::SslCert;

/// Body of `POST .../projects/P/instances/I:generateEphemeralCert`.
///
/// All connectors write these names in snake case; camel case is read too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerateEphemeralCertRequest {
    /// PEM of a `SubjectPublicKeyInfo` or a PKCS#1 key. Go and Java label the former `RSA PUBLIC KEY`: the content decides.
    #[serde(default, alias = "publicKey")]
    pub public_key: String,
    /// A token for passwordless login, where the connector does that.
    #[serde(
        default,
        alias = "accessToken",
        skip_serializing_if = "Option::is_none"
    )]
    pub access_token: Option<String>,
    /// Wished lifetime, as Google writes durations: `"3600s"`.
    #[serde(
        default,
        rename = "validDuration",
        alias = "valid_duration",
        skip_serializing_if = "Option::is_none"
    )]
    pub valid_duration: Option<String>,
    /// A point in time of a replica read; ignored.
    #[serde(
        default,
        rename = "readTime",
        alias = "read_time",
        skip_serializing_if = "Option::is_none"
    )]
    pub read_time: Option<String>,
}

/// Its answer. Connectors read the certificate only; the expiry is the one in the certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerateEphemeralCertResponse {
    /// The certificate, issued directly by a CA that the agent trusts: connectors send no chain.
    #[serde(default)]
    pub ephemeral_cert: SslCert,
}
