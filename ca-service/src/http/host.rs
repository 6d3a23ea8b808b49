//! Requests that a web page can cause in a browser on this machine: they are refused.
//!
//! Plain HTTP is served on loopback only, and a page's name can be pointed there (DNS rebinding). Its requests carry that
//! name as their `Host`; an address, `localhost` or the host of our own endpoint is never one of those. Over HTTPS the
//! certificate rules such names out.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;

use super::App;
use super::paths::Route;
use crate::error::{Error, Result};
use crate::https::endpoint_host;

/// Refuses a request of a web page.
pub(super) async fn check(app: &App, route: &Route, parts: &Parts) -> Result<()> {
    let is_probe = matches!(route, Route::Livez | Route::Readyz | Route::Metrics);
    if is_probe && parts.headers.contains_key(ORIGIN) {
        return Err(Error::Denied("requests of web pages are refused".into()));
    }
    if !app.is_plain_http {
        return Ok(());
    }
    let headers = parts.headers.get_all(HOST).iter();
    let named = headers.map(|value| value.to_str().ok()?.parse().ok());
    for name in named.chain(parts.uri.authority().cloned().map(Some)) {
        if !is_own(app, name.as_ref()).await? {
            let why = "the Host of this request is none of the CA's";
            return Err(Error::Denied(why.into()));
        }
    }
    Ok(())
}

/// Whether a name cannot be another site's. The endpoint is read each time: `init` may change it while we serve.
async fn is_own(app: &App, name: Option<&Authority>) -> Result<bool> {
    let Some(name) = name else {
        return Ok(false);
    };
    let host = name.host().trim_matches(['[', ']']);
    if host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok() {
        return Ok(true);
    }
    let endpoint = app.registry.profile().await?.endpoint;
    Ok(endpoint_host(&endpoint)?.eq_ignore_ascii_case(host))
}
