//! The calls of the Admin API and of ours beside it: paths, bodies, and what the answers' statuses mean.

use std::time::Duration;

use proto::admin::{
    AgentSettings, ConnectSettings, ErrorBody, GenerateEphemeralCertRequest,
    GenerateEphemeralCertResponse, GenerateServerCertRequest, GenerateServerCertResponse,
};
use proto::instance::{check_label, check_project};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Authority;
use super::error::{AuthorityError, Failure};
use super::http::{Answer, MAX_BODY, REQUEST_TIMEOUT};

/// Google's part of the API.
const GOOGLE: &str = "/sql/v1beta4";
/// Our part.
const OURS: &str = "/csql/v1";
/// Longest answer with an agent's settings. A grant takes some 60 bytes: a million of them fit, and what is longer
/// must not fill the memory of the agent's machine.
const MAX_SETTINGS: usize = 64 * 1024 * 1024;
/// Longest text of the CA's that people are shown.
const MAX_SHOWN: usize = 300;

pub(super) async fn connect_settings(
    authority: &Authority,
    project: &str,
    instance: &str,
) -> Result<ConnectSettings, AuthorityError> {
    let path = path(authority, GOOGLE, project, instance, "/connectSettings")?;
    Call::get(path).send(authority).await
}

pub(super) async fn generate_ephemeral_cert(
    authority: &Authority,
    project: &str,
    instance: &str,
    public_key: &str,
) -> Result<String, AuthorityError> {
    let path = path(
        authority,
        GOOGLE,
        project,
        instance,
        ":generateEphemeralCert",
    )?;
    let request = GenerateEphemeralCertRequest {
        public_key: public_key.to_owned(),
        ..GenerateEphemeralCertRequest::default()
    };
    let call = Call::post(authority, path, &request)?;
    let response: GenerateEphemeralCertResponse = call.send(authority).await?;
    certificate(authority, response.ephemeral_cert.cert)
}

pub(super) async fn generate_server_cert(
    authority: &Authority,
    project: &str,
    instance: &str,
    public_key: &str,
) -> Result<String, AuthorityError> {
    let path = path(authority, OURS, project, instance, ":generateServerCert")?;
    let request = GenerateServerCertRequest {
        public_key: public_key.to_owned(),
    };
    let call = Call::post(authority, path, &request)?;
    let response: GenerateServerCertResponse = call.send(authority).await?;
    certificate(authority, response.server_cert.cert)
}

pub(super) async fn agent_settings(
    authority: &Authority,
    project: &str,
    instance: &str,
    revision: Option<u64>,
    wait: Duration,
) -> Result<AgentSettings, AuthorityError> {
    let mut path = path(authority, OURS, project, instance, "/agentSettings")?;
    let mut timeout = REQUEST_TIMEOUT;
    if let Some(revision) = revision {
        path.push_str(&format!(
            "?revision={revision}&waitSeconds={}",
            wait.as_secs()
        ));
        timeout += wait;
    }
    let call = Call {
        timeout,
        max_body: MAX_SETTINGS,
        ..Call::get(path)
    };
    call.send(authority).await
}

/// One call, which may have to be made twice.
struct Call {
    method: Method,
    path: String,
    body: Option<Vec<u8>>,
    timeout: Duration,
    max_body: usize,
}

impl Call {
    fn get(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            body: None,
            timeout: REQUEST_TIMEOUT,
            max_body: MAX_BODY,
        }
    }

    fn post(
        authority: &Authority,
        path: String,
        body: &impl Serialize,
    ) -> Result<Self, AuthorityError> {
        let body = serde_json::to_vec(body).map_err(|_| {
            let problem = "the request does not serialise".to_owned();
            error(authority, Failure::Settings(problem))
        })?;
        Ok(Self {
            method: Method::POST,
            body: Some(body),
            ..Self::get(path)
        })
    }

    /// A token that is refused (the CA forgot it, the clock jumped) is replaced once.
    async fn send<T: DeserializeOwned>(&self, authority: &Authority) -> Result<T, AuthorityError> {
        let bearer = authority.tokens.bearer().await?;
        let mut answer = self.attempt(authority, bearer.expose_secret()).await?;
        if answer.status == StatusCode::UNAUTHORIZED && authority.tokens.refused(&bearer).await {
            let bearer = authority.tokens.bearer().await?;
            answer = self.attempt(authority, bearer.expose_secret()).await?;
        }
        if !answer.status.is_success() {
            return Err(error(authority, failure(&answer)));
        }
        serde_json::from_slice(&answer.body).map_err(|problem| {
            let problem = match problem.classify() {
                serde_json::error::Category::Data => "its JSON has another shape",
                _ => "not JSON",
            };
            error(authority, Failure::Malformed(problem.to_owned()))
        })
    }

    async fn attempt(&self, authority: &Authority, bearer: &str) -> Result<Answer, AuthorityError> {
        let url = format!("{}{}", authority.endpoint, self.path);
        let request = || {
            let request = match self.method {
                Method::POST => authority.http.post(&url),
                _ => authority.http.get(&url),
            };
            let request = request.bearer_auth(bearer).timeout(self.timeout);
            Ok(match &self.body {
                Some(body) => request
                    .header(reqwest::header::CONTENT_TYPE, "application/json")
                    .body(body.clone()),
                None => request,
            })
        };
        authority.http.send(&url, self.max_body, request).await
    }
}

/// The names are checked, so that only a project's colon needs escaping.
fn path(
    authority: &Authority,
    base: &str,
    project: &str,
    instance: &str,
    rest: &str,
) -> Result<String, AuthorityError> {
    check_project(project)
        .and_then(|()| check_label(instance, "instance"))
        .map_err(|problem| error(authority, Failure::Settings(problem.to_string())))?;
    let project = project.replace(':', "%3A");
    Ok(format!(
        "{base}/projects/{project}/instances/{instance}{rest}"
    ))
}

fn certificate(authority: &Authority, pem: String) -> Result<String, AuthorityError> {
    if pem.is_empty() {
        let problem = "it has no certificate".to_owned();
        return Err(error(authority, Failure::Malformed(problem)));
    }
    Ok(pem)
}

fn error(authority: &Authority, failure: Failure) -> AuthorityError {
    authority.http.error(&authority.endpoint, failure)
}

/// What an answer that is no success means.
pub(super) fn failure(answer: &Answer) -> Failure {
    let message = match serde_json::from_slice::<ErrorBody>(&answer.body) {
        Ok(body) if !body.error.message.is_empty() => shown(&body.error.message),
        _ => format!("status {} without a message", answer.status.as_u16()),
    };
    let status = answer.status.as_u16();
    match status {
        400 | 401 => Failure::Unauthenticated(message),
        403 => Failure::Forbidden(message),
        404 => Failure::NotFound(message),
        429 => Failure::Throttled(message),
        500.. => Failure::Unavailable { status, message },
        _ => Failure::Malformed(format!("status {status}")),
    }
}

/// A text of the CA's as we show it: one line, of bearable length, nothing that moves a terminal's cursor.
pub(super) fn shown(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    one_line
        .chars()
        .filter(|letter| !letter.is_control())
        .take(MAX_SHOWN)
        .collect()
}
