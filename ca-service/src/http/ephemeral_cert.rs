//! `POST ...:generateEphemeralCert`: a short-lived client certificate for a public key.

use axum::body::Body;
use axum::http::request::Parts;
use axum::response::Response;
use proto::admin::{GenerateEphemeralCertRequest, GenerateEphemeralCertResponse};
use proto::claims::Confirmation;

use super::admit::admit;
use super::paths::Names;
use super::{App, body, json};
use crate::authn::Principal;
use crate::authz::Action;
use crate::clock::Seconds;
use crate::error::{Error, Result};
use crate::issuer::{Order, Purpose, SubjectKey};
use crate::registry::Mode;

/// Issues a client certificate.
pub(super) async fn generate(
    app: &App,
    parts: &Parts,
    body: Body,
    names: &Names,
) -> Result<Response> {
    let (principal, instance) = admit(app, parts, names, Action::Connect).await?;
    let request: GenerateEphemeralCertRequest = body::read_json(app, parts, body).await?;
    refuse_login(&request)?;
    let lifetime = request
        .valid_duration
        .as_deref()
        .map(duration)
        .transpose()?;
    let key = SubjectKey::from_pem(&request.public_key)?;
    check_key(app, &principal, &key, true).await?;
    let order = Order {
        purpose: Purpose::Client,
        instance: &instance,
        account: &principal.account.name,
        key: &key,
        lifetime,
    };
    let ephemeral_cert = app.issuer.issue(&order).await?;
    app.metrics.issued(Purpose::Client);
    json(&GenerateEphemeralCertResponse { ephemeral_cert })
}

/// The key must be the one that the caller's proof is bound to, and nobody else's.
pub(super) async fn check_key(
    app: &App,
    principal: &Principal,
    key: &SubjectKey,
    for_client: bool,
) -> Result<()> {
    let confirmed = principal.confirmation.as_deref();
    let actual = Confirmation::of_spki(&key.spki).spki_sha256;
    match (confirmed, principal.account.mode) {
        (Some(confirmed), _) if confirmed == actual => {}
        (None, Mode::Compat) => {}
        (Some(_), _) => {
            return Err(Error::Denied(
                "the token is bound to another public key (cnf); ask for one bound to this key"
                    .to_owned(),
            ));
        }
        (None, Mode::Strict) => {
            return Err(Error::Denied(
                "the token is bound to no public key: put cnf with `spki#S256` into the assertion, or make the \
                 service account with --compat if it is for one of Google's connectors"
                    .to_owned(),
            ));
        }
    }
    if app.registry.is_reserved_key(&key.spki, for_client).await? {
        return Err(Error::Key(
            "it is in use as another kind of key; make a new one",
        ));
    }
    app.limits.check_signing(&principal.account.id)
}

/// Refuses a wish for automatic IAM login: a certificate alone would let the application run into a wrong password.
fn refuse_login(request: &GenerateEphemeralCertRequest) -> Result<()> {
    if request.access_token.as_deref().is_none_or(str::is_empty) {
        return Ok(());
    }
    Err(Error::Invalid(
        "access_token is not supported: this CA has no automatic IAM database login; switch it off in the connector \
         (enable_iam_auth, WithIAMAuthN, --auto-iam-authn) and use the database user's own password"
            .to_owned(),
    ))
}

/// Reads `3600s`.
fn duration(text: &str) -> Result<Seconds> {
    let seconds = text
        .strip_suffix('s')
        .and_then(|number| number.parse::<u32>().ok());
    seconds
        .map(Seconds::from)
        .ok_or_else(|| Error::Invalid("validDuration must look like 3600s".to_owned()))
}
