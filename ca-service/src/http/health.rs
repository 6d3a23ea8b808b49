//! `/livez`, `/readyz` and `/metrics`: for callers on this machine.

use axum::http::StatusCode;
use axum::response::Response;

use super::paths::Route;
use super::{App, Caller, with_body};
use crate::error::{Error, Result};
use crate::readiness::Report;

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
        Route::Readyz => {
            app.readiness.measure(app).await;
            verdict(app.readiness.report())
        }
        // A restart mends nothing that readiness tells of.
        _ => with_body(StatusCode::OK, "application/json", "{\"status\":\"ok\"}\n"),
    })
}

fn verdict(report: Report) -> Response {
    let status = match report.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    with_body(status, "application/json", report.body)
}
