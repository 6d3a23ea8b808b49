//! The OpenAPI document of the API.

mod schemas;

use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::with_body;

/// The answer with the document. Its text is shared by all answers: a peer that never reads holds no copy.
pub(super) fn answer() -> Response {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());
    with_body(StatusCode::OK, "application/json", Bytes::clone(&TEXT))
}

/// The document, served at `/openapi.json` and committed as `docs/openapi.json`.
pub(crate) fn document() -> Value {
    serde_json::to_value(Document::openapi()).unwrap_or_default()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "cloudsql-ca",
        description = "Google's Cloud SQL Admin API as far as its connectors use it, the token endpoint, and what the \
                       agent beside a database asks. The paths below /sql/v1beta4 are served below /v1 too.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(token, connect_settings, generate_ephemeral_cert, instance, agent_settings, generate_server_cert),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "An access token of this CA, or an assertion signed by a service account's key",
            ));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme.build()));
    }
}

/// Exchange a signed assertion for an access token (RFC 7523)
#[utoipa::path(post, path = "/token", tag = "token",
    request_body(content = schemas::TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = schemas::TokenResponse),
        (status = 400, description = "The assertion or the request is refused", body = schemas::OAuthError),
        (status = 429, description = "Too many requests; see Retry-After", body = schemas::OAuthError),
    ))]
#[expect(dead_code, reason = "carries the documentation of `token::exchange`")]
fn token() {}

/// Where an instance is, and which CA vouches for it
#[utoipa::path(get, path = "/sql/v1beta4/projects/{project}/instances/{instance}/connectSettings",
    tag = "connectors", security(("bearer" = [])),
    params(schemas::Names),
    responses(
        (status = 200, body = schemas::ConnectSettings),
        (status = "4XX", body = schemas::ErrorBody),
        (status = "5XX", body = schemas::ErrorBody),
    ))]
#[expect(
    dead_code,
    reason = "carries the documentation of `connect_settings::get`"
)]
fn connect_settings() {}

/// Issue a short-lived client certificate for a public key
#[utoipa::path(post, path = "/sql/v1beta4/projects/{project}/instances/{instance}:generateEphemeralCert",
    tag = "connectors", security(("bearer" = [])),
    params(schemas::Names), request_body = schemas::GenerateEphemeralCertRequest,
    responses(
        (status = 200, body = schemas::GenerateEphemeralCertResponse),
        (status = "4XX", body = schemas::ErrorBody),
        (status = "5XX", body = schemas::ErrorBody),
    ))]
#[expect(
    dead_code,
    reason = "carries the documentation of `ephemeral_cert::generate`"
)]
fn generate_ephemeral_cert() {}

/// An instance, in the shape of Google's `DatabaseInstance`
#[utoipa::path(get, path = "/sql/v1beta4/projects/{project}/instances/{instance}",
    tag = "connectors", security(("bearer" = [])),
    params(schemas::Names),
    responses(
        (status = 200, body = schemas::DatabaseInstance),
        (status = "4XX", body = schemas::ErrorBody),
        (status = "5XX", body = schemas::ErrorBody),
    ))]
#[expect(dead_code, reason = "carries the documentation of `instance::get`")]
fn instance() {}

/// Whom the agent of an instance lets in; waits for a change when told the last revision
#[utoipa::path(get, path = "/csql/v1/projects/{project}/instances/{instance}/agentSettings",
    tag = "agents", security(("bearer" = [])),
    params(schemas::Names, schemas::Wait),
    responses(
        (status = 200, body = schemas::AgentSettings),
        (status = "4XX", body = schemas::ErrorBody),
        (status = "5XX", body = schemas::ErrorBody),
    ))]
#[expect(dead_code, reason = "carries the documentation of `agent::settings`")]
fn agent_settings() {}

/// Issue a short-lived server certificate for an agent's public key
///
/// Its names are the instance's own, `localhost`, `127.0.0.1`, `::1`, the instance's address, and the names that the
/// administrator gave it. Nothing in the request adds one.
#[utoipa::path(post, path = "/csql/v1/projects/{project}/instances/{instance}:generateServerCert",
    tag = "agents", security(("bearer" = [])),
    params(schemas::Names), request_body = schemas::GenerateServerCertRequest,
    responses(
        (status = 200, body = schemas::GenerateServerCertResponse),
        (status = "4XX", body = schemas::ErrorBody),
        (status = "5XX", body = schemas::ErrorBody),
    ))]
#[expect(
    dead_code,
    reason = "carries the documentation of `agent::certificate`"
)]
fn generate_server_cert() {}

#[cfg(test)]
mod tests;
