//! `POST /token`: an assertion for an access token (RFC 7523, RFC 6749 4.5).

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::Response;
use proto::admin::JWT_BEARER;

use super::paths::decode;
use super::{App, body, json};
use crate::error::{Error, Result};

const FORM: &str = "application/x-www-form-urlencoded";

/// Exchanges an assertion for an access token.
pub(super) async fn exchange(app: &App, parts: &Parts, body: Body) -> Result<Response> {
    let kind = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default()
        .trim();
    if !kind.eq_ignore_ascii_case(FORM) {
        return Err(Error::Invalid(format!("the content type must be {FORM}")));
    }
    let bytes = body::read(app, parts, body).await?;
    let form = std::str::from_utf8(&bytes).map_err(|_| malformed())?;
    if single(form, "grant_type")? != JWT_BEARER {
        return Err(Error::UnsupportedGrant);
    }
    let assertion = single(form, "assertion")?;
    let (principal, token) = app.authn.exchange(&assertion).await?;
    app.limits.check_account(&principal.account.id)?;
    json(&token)
}

/// The value of a parameter that is there once.
fn single(form: &str, wanted: &str) -> Result<String> {
    let mut found = None;
    for pair in form.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let text = |part: &str| decode(&part.replace('+', " ")).ok_or_else(malformed);
        if text(name)? == wanted && found.replace(text(value)?).is_some() {
            return Err(Error::Invalid(format!("{wanted} is there twice")));
        }
    }
    let found = found.filter(|value| !value.is_empty());
    found.ok_or_else(|| Error::Invalid(format!("{wanted} is missing")))
}

fn malformed() -> Error {
    Error::Invalid("the request body is not a form".to_owned())
}
