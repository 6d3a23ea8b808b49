//! `GET .../connectSettings`: where an instance is and which CA vouches for it.

use axum::http::request::Parts;
use axum::response::Response;
use proto::admin::{ConnectSettings, DnsNameMapping, IpMapping};

use super::admit::admit;
use super::paths::Names;
use super::{App, json};
use crate::authz::Action;
use crate::error::Result;
use crate::issuer::Purpose;
use crate::registry::Instance;

/// Answers with the settings of an instance.
pub(super) async fn get(app: &App, parts: &Parts, names: &Names) -> Result<Response> {
    let (_, instance) = admit(app, parts, names, Action::ReadSettings).await?;
    let server_ca = app.issuer.bundle(&instance, Purpose::Server).await?;
    json(&ConnectSettings {
        kind: "sql#connectSettings".to_owned(),
        backend_type: "SECOND_GEN".to_owned(),
        database_version: reported_version(&instance.database_version),
        region: instance.name.region().to_owned(),
        ip_addresses: addresses(&instance),
        server_ca_cert: Some(server_ca),
        server_ca_mode: "GOOGLE_MANAGED_INTERNAL_CA".to_owned(),
        dns_name: instance.name.dns_name(),
        dns_names: dns_names(&instance),
        psc_enabled: true,
        connection_name: instance.name.to_string(),
    })
}

/// Google's connectors refuse versions that Google does not offer; MariaDB speaks MySQL's protocol.
pub(super) fn reported_version(version: &str) -> String {
    if version.starts_with("MARIADB_") {
        "MYSQL_8_0".to_owned()
    } else {
        version.to_owned()
    }
}

/// The same address under both types, so that clients set to either find it.
pub(super) fn addresses(instance: &Instance) -> Vec<IpMapping> {
    ["PRIMARY", "PRIVATE"]
        .map(|kind| IpMapping {
            kind: kind.to_owned(),
            ip_address: instance.address.clone(),
        })
        .to_vec()
}

/// The instance's own name, in the form that Google's connectors dial for Private Service Connect.
///
/// Connectors verify the name that they dial, and the agent's certificate has this one. No record for it exists
/// until the operator makes one: connectors that are not told to use Private Service Connect do not look it up.
fn dns_names(instance: &Instance) -> Vec<DnsNameMapping> {
    vec![DnsNameMapping {
        name: instance.name.dns_name(),
        connection_type: "PRIVATE_SERVICE_CONNECT".to_owned(),
        dns_scope: "INSTANCE".to_owned(),
        record_manager: "CUSTOMER".to_owned(),
    }]
}
