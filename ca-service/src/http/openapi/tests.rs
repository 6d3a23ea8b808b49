//! The document against the types that are really sent, the routes that really exist, and the committed copy.

use std::collections::BTreeSet;

use axum::http::Method;
use proto::admin;
use serde_json::json;

use super::*;
use crate::http::paths;

/// The committed document.
const COMMITTED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json"));

#[test]
fn the_committed_document_is_current() {
    let committed: Value = serde_json::from_str(COMMITTED).unwrap();
    assert!(
        committed == document(),
        "run: cargo run -p ca-service -- openapi > docs/openapi.json"
    );
}

#[test]
fn every_documented_path_has_a_handler() {
    let document = document();
    let documented = document["paths"].as_object().unwrap();
    assert_eq!(documented.len(), 6);
    for (path, operations) in documented {
        for method in operations.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let path = path.replace("{project}", "p").replace("{instance}", "i");
            assert!(paths::find(&method, &path).is_ok(), "{method} {path}");
        }
    }
}

#[test]
fn every_schema_has_the_members_of_the_type_that_is_sent() {
    for (name, sent) in messages().into_iter().chain(errors()) {
        assert_eq!(documented(name), members(&sent), "{name}");
    }
}

/// Every message, with every member that it can have.
fn messages() -> Vec<(&'static str, Value)> {
    let certificate = admin::SslCert::default();
    let settings = admin::ConnectSettings {
        server_ca_cert: Some(certificate.clone()),
        ip_addresses: vec![admin::IpMapping {
            kind: "k".into(),
            ip_address: "a".into(),
        }],
        dns_names: vec![admin::DnsNameMapping::default()],
        ..Default::default()
    };
    let grant = admin::Grant {
        service_account: "app@p.iam.x".parse().unwrap(),
        db_users: vec!["u".into()],
        schemas: vec!["s".into()],
    };
    let agent = admin::AgentSettings {
        kind: String::new(),
        revision: 1,
        connection_name: "p:r:i".parse().unwrap(),
        database_version: String::new(),
        client_ca_cert: String::new(),
        server_ca_cert: "PEM".into(),
        server_names: vec!["db.example.com".into()],
        grants: vec![grant.clone()],
    };
    let request = admin::GenerateEphemeralCertRequest {
        access_token: Some(String::new()),
        valid_duration: Some(String::new()),
        read_time: Some(String::new()),
        ..Default::default()
    };
    let token = admin::TokenResponse {
        access_token: String::new(),
        token_type: String::new(),
        expires_in: 1,
    };
    vec![
        ("SslCert", json!(certificate)),
        ("IpMapping", json!(settings.ip_addresses[0])),
        ("DnsNameMapping", json!(settings.dns_names[0])),
        ("ConnectSettings", json!(settings)),
        ("Grant", json!(grant)),
        ("AgentSettings", json!(agent)),
        ("GenerateEphemeralCertRequest", json!(request)),
        (
            "GenerateEphemeralCertResponse",
            json!(admin::GenerateEphemeralCertResponse::default()),
        ),
        (
            "GenerateServerCertRequest",
            json!(admin::GenerateServerCertRequest::default()),
        ),
        (
            "GenerateServerCertResponse",
            json!(admin::GenerateServerCertResponse::default()),
        ),
        ("TokenResponse", json!(token)),
    ]
}

fn errors() -> Vec<(&'static str, Value)> {
    let error = admin::ErrorBody::new(admin::Status::NotFound, "r", "m");
    let oauth = admin::OAuthError {
        error: String::new(),
        error_description: String::new(),
    };
    vec![
        ("ErrorBody", json!(error)),
        ("ErrorDetail", json!(error.error)),
        ("ErrorItem", json!(error.error.errors[0])),
        ("OAuthError", json!(oauth)),
    ]
}

fn documented(schema: &str) -> BTreeSet<String> {
    members(&document()["components"]["schemas"][schema]["properties"])
}

fn members(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}
