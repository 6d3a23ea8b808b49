//! The one place where an error becomes what a stranger reads: Google's JSON, or OAuth's at the token endpoint.

use std::any::Any;

use axum::http::StatusCode;
use axum::http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::Response;
use daemon::log::LogThrottle;
use proto::admin::{ErrorBody, OAuthError, Status};
use tracing::{debug, error, info};

use super::paths::NoRoute;
use super::{Caller, with_body};
use crate::error::Error;

/// What strangers are told of our own failures.
const OURS: &str =
    "the CA failed; its log says why, under the id that this answer's x-request-id has";

/// Seconds until a failed store may be back.
const STORE_BACK: u64 = 1;

/// Why a request is not answered as was wished.
pub(super) enum Failure {
    /// It has no handler.
    Lost(Lost),
    /// Its handler failed.
    Failed(Error),
}

/// A request without a handler.
pub(super) struct Lost(NoRoute);

impl From<NoRoute> for Lost {
    fn from(why: NoRoute) -> Self {
        Self(why)
    }
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Status, Google's word, reason and text.
struct Told {
    status: StatusCode,
    word: Status,
    reason: &'static str,
    text: String,
}

impl Failure {
    /// A stable word for metrics and logs.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Lost(_) => "lost",
            Self::Failed(error) => error.kind(),
        }
    }

    /// Whether the store failed.
    pub(super) const fn is_of_the_store(&self) -> bool {
        matches!(
            self,
            Self::Failed(Error::Store(_) | Error::StoreLost | Error::StoreFile { .. })
        )
    }

    /// One line in the log, at most one a minute for a route and a kind; the audit has each request that is of weight.
    /// ERROR is for what an operator must act upon; a stranger cannot cause it.
    pub(super) fn log(
        &self,
        id: &str,
        route: &'static str,
        caller: Caller,
        failures: &LogThrottle<(&'static str, &'static str)>,
    ) {
        let caller = caller.0;
        match self {
            Self::Failed(failed) if told(failed).status.is_server_error() => {
                let (kind, chain) = (failed.kind(), failed.chain());
                // Every request fails alike while the store does.
                if let Some(suppressed) = failures.due(("failed", kind)) {
                    error!(request = id, route, %caller, kind, error = chain, suppressed, "request failed");
                } else {
                    debug!(request = id, route, %caller, kind, error = chain, "request failed");
                }
            }
            // Whoever asks too often must not fill the log either.
            Self::Failed(Error::Limited { who, .. }) => {
                debug!(request = id, route, %caller, who, "too many requests");
            }
            Self::Failed(failed) => {
                let kind = failed.kind();
                if let Some(suppressed) = failures.due((route, kind)) {
                    info!(request = id, route, %caller, kind, reason = %failed, suppressed, "request refused");
                } else {
                    debug!(request = id, route, %caller, kind, reason = %failed, "request refused");
                }
            }
            Self::Lost(_) => debug!(request = id, route, %caller, "no such path"),
        }
    }

    /// The answer in Google's shape.
    pub(super) fn into_google(self) -> Response {
        let told = self.told();
        let mut body = ErrorBody::new(told.word, told.reason, &told.text);
        body.error.code = told.status.as_u16();
        let mut response = with_body(
            told.status,
            "application/json",
            serde_json::to_vec(&body).unwrap_or_default(),
        );
        self.add_headers(&mut response);
        response
    }

    /// The answer in OAuth's shape (RFC 6749 5.2).
    pub(super) fn into_oauth(self) -> Response {
        let told = self.told();
        let (status, error) = match &self {
            Self::Failed(Error::Rejected(_)) => (StatusCode::BAD_REQUEST, "invalid_grant"),
            Self::Failed(Error::Limited { .. }) => (told.status, "temporarily_unavailable"),
            Self::Failed(Error::UnsupportedGrant) => {
                (StatusCode::BAD_REQUEST, "unsupported_grant_type")
            }
            Self::Failed(_) if told.status.is_server_error() => (told.status, "server_error"),
            _ => (StatusCode::BAD_REQUEST, "invalid_request"),
        };
        let body = OAuthError {
            error: error.to_owned(),
            error_description: told.text,
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = with_body(status, "application/json", body);
        self.add_headers(&mut response);
        response
    }

    fn told(&self) -> Told {
        match self {
            Self::Failed(error) => told(error),
            Self::Lost(Lost(NoRoute::Undecodable)) => Told {
                status: StatusCode::BAD_REQUEST,
                word: Status::InvalidArgument,
                reason: "badRequest",
                text: "the path cannot be decoded".to_owned(),
            },
            Self::Lost(Lost(NoRoute::Nothing)) => Told {
                status: StatusCode::NOT_FOUND,
                word: Status::NotFound,
                reason: "notFound",
                text: "there is nothing at this path; /openapi.json lists what there is".to_owned(),
            },
            Self::Lost(Lost(NoRoute::Method(method))) => Told {
                status: StatusCode::METHOD_NOT_ALLOWED,
                word: Status::InvalidArgument,
                reason: "httpMethodNotAllowed",
                text: format!("this path wants {method}"),
            },
        }
    }

    fn add_headers(&self, response: &mut Response) {
        let status = response.status();
        let headers = response.headers_mut();
        match self {
            Self::Lost(Lost(NoRoute::Method(method))) => {
                headers.insert(ALLOW, HeaderValue::from_static(method));
            }
            Self::Failed(Error::Limited { retry_after, .. }) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(*retry_after));
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from(STORE_BACK));
            }
            Self::Failed(Error::Rejected(_)) if response.status() == StatusCode::UNAUTHORIZED => {
                let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
            _ => {}
        }
    }
}

fn told(error: &Error) -> Told {
    let (status, word, reason) = match error {
        Error::Rejected(_) => (
            StatusCode::UNAUTHORIZED,
            Status::Unauthenticated,
            "authError",
        ),
        Error::Denied(_) => (
            StatusCode::FORBIDDEN,
            Status::PermissionDenied,
            "notAuthorized",
        ),
        Error::Invalid(_) | Error::Key(_) | Error::Name(_) | Error::UnsupportedGrant => {
            (StatusCode::BAD_REQUEST, Status::InvalidArgument, "invalid")
        }
        Error::Limited { .. } => (
            StatusCode::TOO_MANY_REQUESTS,
            Status::ResourceExhausted,
            "rateLimitExceeded",
        ),
        Error::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            Status::InvalidArgument,
            "uploadTooLarge",
        ),
        Error::TimedOut => (
            StatusCode::REQUEST_TIMEOUT,
            Status::InvalidArgument,
            "timeout",
        ),
        Error::Store(_) | Error::StoreLost | Error::StoreFile { .. } => (
            StatusCode::SERVICE_UNAVAILABLE,
            Status::Unavailable,
            "backendError",
        ),
        _ => (
            StatusCode::INTERNAL_SERVER_ERROR,
            Status::Internal,
            "internalError",
        ),
    };
    // Ours to repair: what exactly failed is nobody else's business.
    let text = if status.is_server_error() {
        OURS.to_owned()
    } else {
        error.to_string()
    };
    Told {
        status,
        word,
        reason,
        text,
    }
}

/// A handler's panic, as an answer.
pub(super) fn on_panic(_panic: Box<dyn Any + Send + 'static>) -> Response {
    error!("a request's handler panicked; please report it");
    let body = ErrorBody::new(Status::Internal, "internalError", OURS);
    let body = serde_json::to_vec(&body).unwrap_or_default();
    with_body(StatusCode::INTERNAL_SERVER_ERROR, "application/json", body)
}
