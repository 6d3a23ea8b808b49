//! `GET .../instances/I`: an instance in the shape of Google's `DatabaseInstance`, as far as we have one.

use axum::http::request::Parts;
use axum::response::Response;
use serde_json::json;

use super::admit::admit;
use super::connect_settings::{addresses, reported_version};
use super::paths::Names;
use super::{App, json as answer};
use crate::authz::Action;
use crate::clock::rfc3339;
use crate::error::Result;
use crate::issuer::Purpose;

/// Answers with an instance.
pub(super) async fn get(app: &App, parts: &Parts, names: &Names) -> Result<Response> {
    let (_, instance) = admit(app, parts, names, Action::ReadSettings).await?;
    let server_ca = app.issuer.bundle(&instance, Purpose::Server).await?;
    answer(&json!({
        "kind": "sql#instance",
        "name": instance.name.instance(),
        "project": instance.name.project(),
        "region": instance.name.region(),
        "connectionName": instance.name.to_string(),
        "databaseVersion": reported_version(&instance.database_version),
        "state": "RUNNABLE",
        "backendType": "SECOND_GEN",
        "instanceType": "CLOUD_SQL_INSTANCE",
        "createTime": rfc3339(instance.created_at),
        "dnsName": instance.name.dns_name(),
        "ipAddresses": addresses(&instance),
        "serverCaCert": server_ca,
        "settings": { "kind": "sql#settings", "activationPolicy": "ALWAYS" },
    }))
}
