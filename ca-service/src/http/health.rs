//! `/livez`, `/readyz` and `/metrics`: for callers on this machine.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::paths::Route;
use super::{App, Caller, with_body};
use crate::audit;
use crate::clock::Seconds;
use crate::error::{Error, Result};
use crate::issuer::Purpose;

/// A clock that has gone back by more than this since the last certificate is not believed.
const MAX_STEP_BACK: Seconds = 300;

/// Answers probes from loopback; to others there is nothing here.
pub(super) async fn answer(app: &App, caller: Caller, route: &Route) -> Result<Response> {
    if !caller.0.to_canonical().is_loopback() {
        return Err(Error::Denied(
            "this is answered to callers on the CA's own machine".into(),
        ));
    }
    Ok(match route {
        Route::Metrics => with_body(
            StatusCode::OK,
            daemon::metrics::CONTENT_TYPE,
            app.metrics.text(),
        ),
        Route::Readyz => verdict(readiness(app).await.err()),
        _ => verdict(None),
    })
}

fn verdict(problem: Option<Error>) -> Response {
    let (status, body) = match &problem {
        None => (StatusCode::OK, json!({ "status": "ok" })),
        // Which instance it is, is in the log.
        Some(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ "status": "failed", "reason": error.kind() }),
        ),
    };
    if let Some(error) = problem {
        tracing::warn!(error = error.chain(), "not ready");
    }
    with_body(status, "application/json", body.to_string())
}

/// Whether certificates could be issued now: the store, the audit, every CA's key, the clock.
pub(crate) async fn readiness(app: &App) -> Result<()> {
    let store = app.registry.store();
    // Takes the write lock, as every issue does.
    let mut write = store.write().await?;
    audit::probe(&mut write).await?;
    let latest: Option<Seconds> = sqlx::query_scalar("SELECT MAX(issued_at) FROM certificates")
        .fetch_one(&mut *write)
        .await?;
    write.rollback().await?;
    if latest.is_some_and(|latest| app.registry.now() < latest - MAX_STEP_BACK) {
        return Err(Error::Vault(
            "the clock has gone back since the last certificate".to_owned(),
        ));
    }
    for instance in app.registry.instances().await? {
        for purpose in [Purpose::Client, Purpose::Server] {
            app.issuer.authority(&instance, purpose).await?;
        }
    }
    Ok(())
}
