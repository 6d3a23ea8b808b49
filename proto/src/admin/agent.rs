//! Our addition to the API: what the agent beside a database asks of the CA.
//!
//! Paths: `POST /csql/v1/projects/P/instances/I:generateServerCert` and
//! `GET /csql/v1/projects/P/instances/I/agentSettings?revision=N&waitSeconds=S`; both need role `agent`.

use serde::{Deserialize, Serialize};

use super::SslCert;
use crate::account::AccountName;
use crate::instance::InstanceName;

/// Body of `:generateServerCert`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerateServerCertRequest {
    /// PEM of the agent's `SubjectPublicKeyInfo`.
    #[serde(default)]
    pub public_key: String,
}

/// Its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerateServerCertResponse {
    /// The server certificate, issued directly by the instance's server CA.
    #[serde(default)]
    pub server_cert: SslCert,
}

/// Answer of `agentSettings`: whom the agent of an instance lets in.
///
/// With `revision=N` the CA answers as soon as its own revision differs from N, or after `waitSeconds` (at most 60).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentSettings {
    /// Always `csql#agentSettings`.
    pub kind: String,
    /// Rises with every administrative change; hand it back to wait for the next.
    pub revision: u64,
    /// Full name of the instance.
    pub connection_name: InstanceName,
    /// `MYSQL_8_4`, `POSTGRES_17`, ...; decides the engine unless the agent was told.
    pub database_version: String,
    /// PEM of the CAs that client certificates of this instance come from.
    pub client_ca_cert: String,
    /// PEM of the CAs that the instance's server certificates come from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub server_ca_cert: String,
    /// Names that the agent's certificate is to have besides the instance's own: one that lacks any is out of date.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_names: Vec<String>,
    /// Who may connect. An account that is not listed is refused.
    #[serde(default)]
    pub grants: Vec<Grant>,
}

/// One account's permission to connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// Who.
    pub service_account: AccountName,
    /// As which database users; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub db_users: Vec<String>,
    /// To which schemas; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemas: Vec<String>,
}

impl Grant {
    /// Whether the grant names database users or schemas.
    pub fn is_narrowed(&self) -> bool {
        !(self.db_users.is_empty() && self.schemas.is_empty())
    }
}
