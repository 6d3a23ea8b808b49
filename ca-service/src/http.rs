//! The HTTP API: finds the handler of a request, bounds its time, and answers everything in JSON.

mod admit;
mod agent;
mod body;
mod connect_settings;
mod ephemeral_cert;
mod errors;
mod health;
mod host;
mod instance;
mod openapi;
mod paths;
mod token;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::response::Response;
use axum::{Router, http::StatusCode};
use daemon::log::LogThrottle;
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

pub(crate) use openapi::document;
use paths::Route;

use crate::authn::Authenticator;
use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::issuer::Issuer;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::registry::Registry;
use crate::store::random_id;

/// Longest request body, before and after it is inflated.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// Longest time for a request, its body included; a long poll has its own time besides.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything that handlers ask.
pub(crate) struct App {
    /// What the CA knows.
    pub(crate) registry: Registry,
    /// Who is asking.
    pub(crate) authn: Authenticator,
    /// Issues certificates.
    pub(crate) issuer: Issuer,
    /// Whether it is served over plain HTTP, on loopback.
    pub(crate) is_plain_http: bool,
    /// Rates.
    pub(crate) limits: Limits,
    /// Request bodies in flight.
    pub(crate) bodies: Budget,
    /// Long polls in flight.
    pub(crate) polls: Budget,
    /// Counters.
    pub(crate) metrics: Metrics,
    /// Whether certificates can be issued.
    pub(crate) readiness: Readiness,
    /// Bounds lines about requests that failed or were refused, by route and kind.
    pub(crate) failures: LogThrottle<(&'static str, &'static str)>,
    /// Changes whenever the store's revision does.
    pub(crate) revision: watch::Receiver<u64>,
    /// Ends long polls when the service stops.
    pub(crate) stopping: CancellationToken,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller(pub(crate) IpAddr);

/// The service of one connection.
pub(crate) fn router(app: Arc<App>, caller: Caller) -> Router {
    let counted = Arc::clone(&app);
    let router = Router::new()
        .fallback(answer)
        .layer(Extension(caller))
        .with_state(app);
    survive(router, counted)
}

/// A panic in a handler is a 500 and a count, never the end of a connection's task.
fn survive(router: Router, app: Arc<App>) -> Router {
    router.layer(CatchPanicLayer::custom(move |panic| {
        let response = errors::on_panic(panic);
        app.metrics.answered("panic", response.status());
        response
    }))
}

async fn answer(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let id = random_id().unwrap_or_default();
    let (parts, body) = request.into_parts();
    let found = paths::find(&parts.method, parts.uri.path());
    let word = found.as_ref().map_or("unknown", Route::word);
    let is_token = matches!(found, Ok(Route::Token));
    let handled = async {
        app.limits.check_source(caller.0)?;
        let route = found.map_err(errors::Lost::from)?;
        host::check(&app, &route, &parts).await?;
        Ok::<_, errors::Failure>(handle(&app, caller, route, &parts, body).await?)
    };
    let mut response = match handled.await {
        Ok(response) => response,
        Err(failure) => {
            let kind = failure.kind();
            app.metrics.refused(word, kind);
            if failure.is_of_the_store() {
                app.readiness.suspect();
            }
            failure.log(&id, word, caller, &app.failures);
            if is_token {
                failure.into_oauth()
            } else {
                failure.into_google()
            }
        }
    };
    app.metrics.answered(word, response.status());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

async fn handle(
    app: &App,
    caller: Caller,
    route: Route,
    parts: &Parts,
    body: Body,
) -> Result<Response> {
    // A long poll bounds its own wait; the time for everything else in it is the ordinary one.
    if let Route::AgentSettings(names) = &route {
        return agent::settings(app, parts, names).await;
    }
    let handler = async {
        match &route {
            Route::Token => token::exchange(app, parts, body).await,
            Route::ConnectSettings(names) => connect_settings::get(app, parts, names).await,
            Route::EphemeralCert(names) => ephemeral_cert::generate(app, parts, body, names).await,
            Route::Instance(names) => instance::get(app, parts, names).await,
            Route::ServerCert(names) => agent::certificate(app, parts, body, names).await,
            Route::OpenApi => Ok(openapi::answer()),
            Route::Livez | Route::Readyz | Route::Metrics => {
                health::answer(app, caller, &route).await
            }
            Route::AgentSettings(_) => Err(Error::TimedOut),
        }
    };
    let ended = tokio::time::timeout(REQUEST_TIMEOUT, handler).await;
    ended.unwrap_or(Err(Error::TimedOut))
}

/// 200 with that body.
fn json(body: &impl Serialize) -> Result<Response> {
    let body =
        serde_json::to_vec(body).map_err(|_| Error::Crypto("an answer cannot be written"))?;
    Ok(with_body(StatusCode::OK, "application/json", body))
}

fn with_body(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
pub(crate) fn router_that_panics(app: Arc<App>) -> Router {
    let handler = async || -> Response { panic!("planted") };
    survive(Router::new().fallback(handler), app)
}
