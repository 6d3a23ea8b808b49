//! What the agent beside a database asks: its certificate, and whom to let in.

use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::response::Response;
use proto::admin::{AgentSettings, GenerateServerCertRequest, GenerateServerCertResponse, Grant};
use tokio::time::Instant;

use super::admit::{admit, readmit};
use super::ephemeral_cert::check_key;
use super::paths::{Names, decode};
use super::{App, REQUEST_TIMEOUT, body, json};
use crate::authz::Action;
use crate::error::{Error, Result};
use crate::issuer::{Order, Purpose, SubjectKey};
use crate::registry::{Instance, Role};

/// Longest wait for a change.
const MAX_WAIT: u64 = 60;

/// Issues a server certificate.
pub(super) async fn certificate(
    app: &App,
    parts: &Parts,
    body: Body,
    names: &Names,
) -> Result<Response> {
    let (principal, instance) = admit(app, parts, names, Action::Serve).await?;
    let request: GenerateServerCertRequest = body::read_json(app, parts, body).await?;
    let key = SubjectKey::from_pem(&request.public_key)?;
    check_key(app, &principal, &key, false).await?;
    let order = Order {
        purpose: Purpose::Server,
        instance: &instance,
        account: &principal.account.name,
        key: &key,
        lifetime: None,
    };
    let server_cert = app.issuer.issue(&order).await?;
    app.metrics.issued(Purpose::Server);
    json(&GenerateServerCertResponse { server_cert })
}

/// Answers with whom to let in: at once, or as soon as that has changed.
pub(super) async fn settings(app: &App, parts: &Parts, names: &Names) -> Result<Response> {
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    let admitted = bounded(admit(app, parts, names, Action::ReadPolicy));
    let (principal, mut instance) = admitted.await?;
    if let Some(known) = query.revision {
        let mut waiting = app.polls.share(principal.account.id.clone());
        waiting.take(1)?;
        wait_for_change(app, known, query.wait).await?;
        // A grant may have gone while we waited.
        instance = bounded(readmit(app, &principal, names, Action::ReadPolicy)).await?;
    }
    json(&bounded(policy(app, &instance)).await?)
}

async fn bounded<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(REQUEST_TIMEOUT, work)
        .await
        .unwrap_or(Err(Error::TimedOut))
}

async fn wait_for_change(app: &App, known: u64, wait: Duration) -> Result<()> {
    let end = Instant::now() + wait;
    let mut changes = app.revision.clone();
    loop {
        changes.mark_unchanged();
        if app.registry.store().revision().await? != known {
            return Ok(());
        }
        tokio::select! {
            changed = changes.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
            }
            () = app.stopping.cancelled() => return Ok(()),
            () = tokio::time::sleep_until(end) => return Ok(()),
        }
    }
}

async fn policy(app: &App, instance: &Instance) -> Result<AgentSettings> {
    // The revision first: a change in between is then seen again rather than missed.
    let revision = app.registry.store().revision().await?;
    let permissions = app.registry.permissions(instance).await?;
    let grants = permissions
        .into_iter()
        .filter(|permission| permission.role == Role::Client && permission.account_enabled)
        .map(|permission| Grant {
            service_account: permission.account,
            db_users: permission.db_users,
            schemas: permission.schemas,
        });
    Ok(AgentSettings {
        kind: "csql#agentSettings".to_owned(),
        revision,
        connection_name: instance.name.clone(),
        database_version: instance.database_version.clone(),
        client_ca_cert: app.issuer.bundle(instance, Purpose::Client).await?.cert,
        server_ca_cert: app.issuer.bundle(instance, Purpose::Server).await?.cert,
        server_names: instance.hosts().iter().map(ToString::to_string).collect(),
        grants: grants.collect(),
    })
}

/// `revision=N&waitSeconds=S`; what else there is is ignored.
struct Query {
    revision: Option<u64>,
    wait: Duration,
}

impl Query {
    fn parse(query: &str) -> Result<Self> {
        let mut parsed = Self {
            revision: None,
            wait: Duration::ZERO,
        };
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let number = || {
                decode(value)
                    .and_then(|value| value.parse::<u64>().ok())
                    .ok_or_else(|| {
                        Error::Invalid("revision and waitSeconds must be whole numbers".to_owned())
                    })
            };
            match name {
                "revision" => parsed.revision = Some(number()?),
                "waitSeconds" => parsed.wait = Duration::from_secs(number()?.min(MAX_WAIT)),
                _ => {}
            }
        }
        Ok(parsed)
    }
}
