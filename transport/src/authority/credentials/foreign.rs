//! Content that is given in place of a key file: its kind and the remedy. No word of it depends on the content itself.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::CredentialsError;

pub(super) const BINARY: &str = "binary (a P12 key, perhaps), where a key file is JSON; make a JSON key with \
    `cloudsql-ca keys create`";

const CERTIFICATE: &str =
    "a certificate in PEM; the key file is the .json that holds the private key";
const PRIVATE_KEY: &str =
    "a private key in PEM alone, which does not name its account; give the .json key file";
const API_KEY: &str =
    "an API key, which names no account; make a key file with `cloudsql-ca keys create`";
const TOKEN: &str = "a token; cloudsql-proxy takes it with --token";
const PATH: &str = "a path where the content belongs; give it with --credentials-file";
const PLACEHOLDER: &str = "a template's placeholder that nothing has filled in; check what sets it";
const MARKUP: &str = "HTML or XML, as of an error page; download the key file again";
const LIST: &str = "a JSON list; a key file is one object, { ... }";
const OTHER: &str = "not JSON; give the .json key file that `cloudsql-ca keys create` wrote";

/// The kind of a text that does not begin as a key file does.
pub(super) fn kind(text: &str) -> Option<&'static str> {
    let begins = |with: &str| text.starts_with(with);
    let is_line = !text.contains('\n');
    Some(match text {
        _ if ["${", "$(", "{{", "<%", "%("].into_iter().any(begins) => PLACEHOLDER,
        _ if begins("{") => return None,
        _ if begins("-----BEGIN CERTIFICATE") => CERTIFICATE,
        _ if begins("-----BEGIN") => PRIVATE_KEY,
        _ if begins("AIza") => API_KEY,
        _ if begins("ya29.") || begins("Bearer ") => TOKEN,
        _ if begins("ey") && is_line && text.matches('.').count() == 2 => TOKEN,
        _ if begins("<") => MARKUP,
        _ if begins("[") => LIST,
        _ if begins("$") => PLACEHOLDER,
        _ if is_line && (text.contains('/') || text.ends_with(".json")) => PATH,
        _ => OTHER,
    })
}

/// The type of an object, and members by which objects without one are known.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Members {
    #[serde(rename = "type")]
    pub(super) of_type: String,
    installed: Option<IgnoredAny>,
    web: Option<IgnoredAny>,
    access_token: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    data: Option<IgnoredAny>,
}

/// The kind of an object without a type.
pub(super) fn untyped(members: &Members) -> CredentialsError {
    let found = match members {
        Members {
            installed: Some(_), ..
        }
        | Members { web: Some(_), .. } => {
            "the secret of an OAuth client, which is no account; make a key file with `cloudsql-ca keys create`"
        }
        Members {
            access_token: Some(_),
            ..
        } => "the answer of a token endpoint; cloudsql-proxy takes its access_token with --token",
        Members {
            kind: Some(_),
            data: Some(_),
            ..
        } => "a Kubernetes object; give the key file that stands in its data, decoded from base64",
        _ => return CredentialsError::Missing { member: "type" },
    };
    CredentialsError::Foreign { found }
}

/// The kind of an object of another type.
pub(super) fn typed(kind: &str) -> CredentialsError {
    let found = match kind {
        "external_account" | "external_account_authorized_user" => {
            "a workload identity file (type \"external_account\"), which the CA does not take; \
             a key file has type \"service_account\""
        }
        "impersonated_service_account" => {
            "an impersonation (type \"impersonated_service_account\"): the CA lets no account act for another; \
             give the key file of the account itself"
        }
        _ => {
            let is_word = kind.len() <= 40
                && kind
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let found = if is_word { kind } else { "(not a plain word)" };
            return CredentialsError::WrongType {
                found: found.to_owned(),
            };
        }
    };
    CredentialsError::Foreign { found }
}
