//! Who we are towards the CA: a key file, a token, or what the machine we run on can vouch for.

use std::path::Path;

use proto::key_file::KeyFile;
use secrecy::SecretString;
use serde::Deserialize;

use super::GOOGLE_UNIVERSE;
use super::assertion::Signer;
use super::exposure::exposed;

/// The metadata server's address on Google's machines.
pub const METADATA_HOST: &str = "metadata.google.internal";
/// Google's token endpoint, where a key file names none.
const GOOGLE_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// Longest credentials file: a key file has about 3 KiB.
const MAX_FILE: u64 = 256 * 1024;

/// A way to get tokens. Implements no `Debug`: it holds secrets.
pub enum Credentials {
    /// A service account's key file.
    KeyFile(Box<ServiceAccount>),
    /// What `gcloud auth application-default login` writes: a person's refresh token.
    AuthorizedUser(AuthorizedUser),
    /// A token that somebody else got; used as it is until it ends.
    StaticToken(SecretString),
    /// The metadata server of the machine that we run on.
    MetadataServer {
        /// `HOST` or `HOST:PORT`.
        host: String,
    },
}

/// A service account with its key, ready to sign.
pub struct ServiceAccount {
    pub(super) file: KeyFile,
    pub(super) signer: Signer,
}

/// A person's credentials.
#[derive(Deserialize)]
pub struct AuthorizedUser {
    pub(super) client_id: String,
    pub(super) client_secret: SecretString,
    pub(super) refresh_token: SecretString,
    #[serde(default)]
    pub(super) token_uri: Option<String>,
}

/// Credentials cannot be used. The texts show no part of the file's content.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}; check the path and that this user may read it")]
    Unreadable {
        /// Where.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Others may read it.
    #[error(
        "may be read by others (mode {mode:o}), who could be this account with it; run: chmod 600 {path}"
    )]
    Exposed {
        /// Where.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// Nothing is in it.
    #[error("is empty; write the key file again")]
    Empty,
    /// It ends too early, as when its writer was interrupted.
    #[error("is cut off at line {line}: the JSON does not end; copy the whole file again")]
    CutOff {
        /// The last line.
        line: usize,
    },
    /// It is no JSON.
    #[error(
        "is not JSON (line {line}, column {column}); give the .json key file, not a certificate or its path"
    )]
    NotJson {
        /// Where.
        line: usize,
        /// Where.
        column: usize,
    },
    /// It is JSON of some other kind.
    #[error("has type {found:?}; a key file has type \"service_account\"")]
    WrongType {
        /// What it says.
        found: String,
    },
    /// A member is missing or empty.
    #[error("has no {member}; make a new key with `cloudsql-ca keys create`")]
    Missing {
        /// Which.
        member: &'static str,
    },
    /// The private key does not sign.
    #[error(
        "has a private_key that is not an RSA key in PEM; make a new key with `cloudsql-ca keys create`"
    )]
    BadKey,
    /// A member has a wrong type.
    #[error(
        "does not have the members of a key file with text in each; make a new key with `cloudsql-ca keys create`"
    )]
    BadShape,
}

/// What all kinds of files have.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type", default)]
    kind: String,
}

impl Credentials {
    /// Reads a file in one of Google's formats.
    ///
    /// # Errors
    /// [`CredentialsError`] says what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        Self::open(path, false)
    }

    /// The same, but refuses a file that others than its owner may read.
    ///
    /// # Errors
    /// [`CredentialsError::Exposed`] for that, else what is wrong with it.
    pub fn read_private(path: &Path) -> Result<Self, CredentialsError> {
        Self::open(path, true)
    }

    fn open(path: &Path, private: bool) -> Result<Self, CredentialsError> {
        use std::io::Read as _;
        let unreadable = |source| CredentialsError::Unreadable {
            path: path.display().to_string(),
            source,
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        // Of the open file: its name may mean another one by now.
        if private && let Some(mode) = exposed(&file.metadata().map_err(unreadable)?) {
            return Err(CredentialsError::Exposed {
                path: path.display().to_string(),
                mode,
            });
        }
        let mut text = String::new();
        file.take(MAX_FILE)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        Self::parse(&text)
    }

    /// Reads the content of such a file.
    ///
    /// # Errors
    /// [`CredentialsError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        if text.trim().is_empty() {
            return Err(CredentialsError::Empty);
        }
        let kind: Kind = from_json(text)?;
        match kind.kind.as_str() {
            "service_account" => {
                let account = ServiceAccount::new(from_json(text)?)?;
                Ok(Self::KeyFile(Box::new(account)))
            }
            "authorized_user" => Ok(Self::AuthorizedUser(from_json(text)?)),
            "" => Err(CredentialsError::Missing { member: "type" }),
            other => Err(CredentialsError::WrongType {
                found: other.chars().take(40).collect(),
            }),
        }
    }

    /// The project whose instances a short name means.
    pub fn project(&self) -> Option<&str> {
        match self {
            Self::KeyFile(account) => {
                Some(account.file.project_id.as_str()).filter(|project| !project.is_empty())
            }
            Self::AuthorizedUser(_) | Self::StaticToken(_) | Self::MetadataServer { .. } => None,
        }
    }

    /// The account's name, where we know it.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::KeyFile(account) => Some(&account.file.client_email),
            Self::AuthorizedUser(_) | Self::StaticToken(_) | Self::MetadataServer { .. } => None,
        }
    }

    /// The API's base URL that goes with these credentials.
    pub(super) fn endpoint(&self) -> String {
        if let Self::KeyFile(account) = self {
            if let Some(endpoint) = &account.file.csql_endpoint {
                return endpoint.clone();
            }
            return format!("https://sqladmin.{}", account.universe());
        }
        format!("https://sqladmin.{GOOGLE_UNIVERSE}")
    }

    /// Where assertions and refresh tokens go.
    pub(super) fn token_uri(&self) -> Option<&str> {
        match self {
            Self::KeyFile(account) => Some(&account.file.token_uri),
            Self::AuthorizedUser(user) => Some(user.token_uri()),
            Self::StaticToken(_) | Self::MetadataServer { .. } => None,
        }
    }

    /// The root that vouches for that URL.
    pub(super) fn root_pem(&self) -> Option<String> {
        match self {
            Self::KeyFile(account) => account.file.csql_root_certificate.clone(),
            Self::AuthorizedUser(_) | Self::StaticToken(_) | Self::MetadataServer { .. } => None,
        }
    }
}

impl ServiceAccount {
    fn new(mut file: KeyFile) -> Result<Self, CredentialsError> {
        let missing = |member| CredentialsError::Missing { member };
        if file.client_email.is_empty() {
            return Err(missing("client_email"));
        }
        if file.private_key.is_empty() {
            return Err(missing("private_key"));
        }
        if file.token_uri.is_empty() {
            if file.csql_endpoint.is_some() {
                return Err(missing("token_uri"));
            }
            GOOGLE_TOKEN_URI.clone_into(&mut file.token_uri);
        }
        let signer = Signer::new(&file.private_key, &file.private_key_id)?;
        zeroize::Zeroize::zeroize(&mut file.private_key);
        Ok(Self { file, signer })
    }

    /// Whether our own CA made it.
    pub(super) fn is_ours(&self) -> bool {
        self.file.csql_endpoint.is_some()
    }

    pub(super) fn universe(&self) -> &str {
        self.file
            .universe_domain
            .as_deref()
            .filter(|universe| !universe.is_empty())
            .unwrap_or(GOOGLE_UNIVERSE)
    }
}

impl AuthorizedUser {
    pub(super) fn token_uri(&self) -> &str {
        self.token_uri.as_deref().unwrap_or(GOOGLE_TOKEN_URI)
    }
}

fn from_json<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, CredentialsError> {
    use serde_json::error::Category;
    serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Eof => CredentialsError::CutOff { line: error.line() },
        // A missing member or a number in place of a text: serde's own words could quote the content.
        Category::Data => CredentialsError::BadShape,
        Category::Syntax | Category::Io => CredentialsError::NotJson {
            line: error.line(),
            column: error.column(),
        },
    })
}
