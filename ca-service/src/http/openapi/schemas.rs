//! The shapes of the API's messages, as the document shows them. A test holds each against the type that is sent.
#![expect(dead_code, reason = "described, never made")]

use utoipa::{IntoParams, ToSchema};

/// The instance of a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct Names {
    /// The project
    project: String,
    /// The last part of the instance's name; its region is not in the path
    instance: String,
}

/// How long to wait for which change.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct Wait {
    /// The revision of the last answer
    revision: Option<u64>,
    /// Longest wait for another one, at most 60
    wait_seconds: Option<u64>,
}

#[derive(ToSchema)]
pub(super) struct TokenRequest {
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer`
    grant_type: String,
    /// A JWT signed by the service account's key
    assertion: String,
}

#[derive(ToSchema)]
pub(super) struct TokenResponse {
    access_token: String,
    /// `Bearer`
    token_type: String,
    /// Seconds
    expires_in: u64,
}

#[derive(ToSchema)]
pub(super) struct OAuthError {
    /// `invalid_grant`, `invalid_request`, `unsupported_grant_type`, ...
    error: String,
    error_description: String,
}

#[derive(ToSchema)]
pub(super) struct ErrorBody {
    error: ErrorDetail,
}

#[derive(ToSchema)]
struct ErrorDetail {
    /// The HTTP status
    code: u16,
    message: String,
    /// Google's word for the status
    status: String,
    errors: Vec<ErrorItem>,
}

#[derive(ToSchema)]
struct ErrorItem {
    domain: String,
    reason: String,
    message: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct ConnectSettings {
    /// `sql#connectSettings`
    kind: String,
    /// `SECOND_GEN`
    backend_type: String,
    /// A MariaDB server is reported as `MYSQL_8_0`
    database_version: String,
    region: String,
    ip_addresses: Vec<IpMapping>,
    server_ca_cert: SslCert,
    server_ca_mode: String,
    /// The name in the server's certificate
    dns_name: String,
    dns_names: Vec<DnsNameMapping>,
    /// Whether connectors may dial the name of `dnsNames` for Private Service Connect
    psc_enabled: bool,
    /// `project:region:instance`
    connection_name: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct DnsNameMapping {
    /// The name in the server's certificate
    name: String,
    /// `PRIVATE_SERVICE_CONNECT`
    connection_type: String,
    /// `INSTANCE`
    dns_scope: String,
    /// `CUSTOMER`: a record for the name exists only if the operator makes one
    record_manager: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct IpMapping {
    /// `PRIMARY` or `PRIVATE`
    #[schema(rename = "type")]
    kind: String,
    ip_address: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct SslCert {
    /// `sql#sslCert`
    kind: String,
    /// PEM
    cert: String,
    /// 32 hexadecimal digits
    cert_serial_number: String,
    common_name: String,
    #[schema(format = DateTime)]
    create_time: String,
    #[schema(format = DateTime)]
    expiration_time: String,
    sha1_fingerprint: String,
    instance: String,
}

#[derive(ToSchema)]
pub(super) struct GenerateEphemeralCertRequest {
    /// PEM of a public key: P-256, P-384, Ed25519, or RSA of 2048 to 4096 bits
    public_key: String,
    /// A token of the same account with scope `sqlservice.login`
    access_token: Option<String>,
    /// Wished life, such as `3600s`
    #[schema(rename = "validDuration")]
    valid_duration: Option<String>,
    /// Ignored
    #[schema(rename = "readTime")]
    read_time: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct GenerateEphemeralCertResponse {
    ephemeral_cert: SslCert,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct DatabaseInstance {
    /// `sql#instance`
    kind: String,
    name: String,
    project: String,
    region: String,
    connection_name: String,
    database_version: String,
    /// `RUNNABLE`
    state: String,
    backend_type: String,
    instance_type: String,
    #[schema(format = DateTime)]
    create_time: String,
    dns_name: String,
    ip_addresses: Vec<IpMapping>,
    server_ca_cert: SslCert,
    settings: InstanceSettings,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct InstanceSettings {
    /// `sql#settings`
    kind: String,
    activation_policy: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct GenerateServerCertRequest {
    /// PEM of the agent's public key
    public_key: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct GenerateServerCertResponse {
    server_cert: SslCert,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct AgentSettings {
    /// `csql#agentSettings`
    kind: String,
    /// Rises with every administrative change
    revision: u64,
    connection_name: String,
    database_version: String,
    /// PEM of the CAs that client certificates come from
    client_ca_cert: String,
    /// PEM of the CAs that the instance's server certificates come from
    server_ca_cert: Option<String>,
    /// Names that the agent's certificate is to have besides the instance's own
    server_names: Option<Vec<String>>,
    /// Who may connect
    grants: Vec<Grant>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Grant {
    service_account: String,
    /// As which database users; absent: any
    db_users: Option<Vec<String>>,
    /// To which schemas; absent: any
    schemas: Option<Vec<String>>,
}
