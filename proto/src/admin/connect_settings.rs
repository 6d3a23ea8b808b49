//! `connectSettings`: where an instance is and which CA vouches for it.

use serde::{Deserialize, Serialize};

/// Answer of `GET .../projects/P/instances/I/connectSettings`.
///
/// Fields that no connector reads are left out. Members that we do not know are ignored when read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectSettings {
    /// Always `sql#connectSettings`.
    pub kind: String,
    /// Must be `SECOND_GEN`: Go and Java refuse anything else.
    pub backend_type: String,
    /// `MYSQL_8_4`, `POSTGRES_17`, ...: connectors read the prefix.
    pub database_version: String,
    /// Must equal the region in the name that the caller uses.
    pub region: String,
    /// Where the agent listens on port 3307. Host names and IPv6 literals are allowed.
    pub ip_addresses: Vec<IpMapping>,
    /// The trust roots of the instance's server certificates, one PEM text; its last line ends in one newline.
    pub server_ca_cert: Option<SslCert>,
    /// Informational.
    pub server_ca_mode: String,
    /// The name in the server certificate, without a trailing dot.
    pub dns_name: String,
    /// Names of the instance in the newer form; the first wins over `dns_name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<DnsNameMapping>,
    /// Whether connectors may dial a name of `dns_names` with connection type `PRIVATE_SERVICE_CONNECT`.
    pub psc_enabled: bool,
    /// `project:region:instance`, so that a caller who knows only the short name learns the rest.
    pub connection_name: String,
}

/// One address of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IpMapping {
    /// `PRIMARY` (public) or `PRIVATE`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// An IP address or a host name, without a port.
    #[serde(default)]
    pub ip_address: String,
}

/// One DNS name of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DnsNameMapping {
    /// The name, without a trailing dot.
    pub name: String,
    /// `PUBLIC`, `PRIVATE_SERVICES_ACCESS` or `PRIVATE_SERVICE_CONNECT`.
    pub connection_type: String,
    /// `INSTANCE` or `CLUSTER`.
    pub dns_scope: String,
    /// Owner of the DNS record: `CUSTOMER` or `CLOUD_SQL_AUTOMATION`.
    pub record_manager: String,
}

/// A certificate with what people like to know about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SslCert {
    /// Always `sql#sslCert`.
    pub kind: String,
    /// PEM; one trailing newline at most and nothing after the last `END` line (Java refuses more).
    pub cert: String,
    /// Hexadecimal serial number.
    pub cert_serial_number: String,
    /// The subject's common name.
    pub common_name: String,
    /// RFC 3339.
    pub create_time: String,
    /// RFC 3339. Node refuses a server CA without it.
    pub expiration_time: String,
    /// Hexadecimal SHA-1 of the DER.
    pub sha1_fingerprint: String,
    /// The instance's short name.
    pub instance: String,
}
