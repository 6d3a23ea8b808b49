//! Google's error shape, which all its connectors show to people.

use serde::{Deserialize, Serialize};

/// `{"error":{"code":403,"message":"...","status":"PERMISSION_DENIED","errors":[...]}}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The only member.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// The HTTP status again.
    pub code: u16,
    /// What people read; never empty.
    pub message: String,
    /// Google's word for the status.
    #[serde(default)]
    pub status: String,
    /// Go shows the message and reason of these, and puts the reasons into a metric's label.
    #[serde(default)]
    pub errors: Vec<ErrorItem>,
}

/// One cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorItem {
    /// Always `global`.
    #[serde(default)]
    pub domain: String,
    /// A stable camel-case word, such as `notAuthorized`.
    #[serde(default)]
    pub reason: String,
    /// The message again.
    #[serde(default)]
    pub message: String,
}

/// Google's status words, with their HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// 400
    InvalidArgument,
    /// 401
    Unauthenticated,
    /// 403
    PermissionDenied,
    /// 404
    NotFound,
    /// 429
    ResourceExhausted,
    /// 500
    Internal,
    /// 503
    Unavailable,
}

impl Status {
    /// The HTTP status code.
    pub const fn http(self) -> u16 {
        match self {
            Self::InvalidArgument => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::ResourceExhausted => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    /// Google's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

impl ErrorBody {
    /// An error with one cause. `reason` is a stable camel-case word.
    pub fn new(status: Status, reason: &str, message: &str) -> Self {
        let item = ErrorItem {
            domain: "global".to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        Self {
            error: ErrorDetail {
                code: status.http(),
                message: message.to_owned(),
                status: status.word().to_owned(),
                errors: vec![item],
            },
        }
    }

    /// The first reason, if there is one.
    pub fn reason(&self) -> Option<&str> {
        self.error.errors.first().map(|item| item.reason.as_str())
    }
}
