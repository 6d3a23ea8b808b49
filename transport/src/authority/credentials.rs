//! Who we are towards the CA: a key file, a token, or what the machine we run on can vouch for.

mod error;
mod foreign;
mod text;

use std::path::Path;

use proto::key_file::KeyFile;
use secrecy::SecretString;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::GOOGLE_UNIVERSE;
use super::assertion::Signer;
use super::exposure::exposed;
pub use error::CredentialsError;

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
        if is_content(path) {
            return Err(CredentialsError::NotAPath);
        }
        let unreadable = |source| CredentialsError::Unreadable { source };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        if about.is_dir() {
            return Err(CredentialsError::Directory);
        }
        // Of the open file: its name may mean another one by now.
        if private && let Some(mode) = exposed(&about) {
            return Err(CredentialsError::Exposed {
                path: path.display().to_string(),
                mode,
            });
        }
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(MAX_FILE + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(CredentialsError::TooLong);
        }
        Self::of_bytes(&bytes)
    }

    /// Reads the content of such a file, in any wrapping that has one meaning: see [`text`].
    ///
    /// # Errors
    /// [`CredentialsError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        Self::of_bytes(text.as_bytes())
    }

    fn of_bytes(bytes: &[u8]) -> Result<Self, CredentialsError> {
        let json = text::json(bytes)?;
        let members: foreign::Members = from_json(&json)?;
        match members.of_type.as_str() {
            "service_account" => {
                let account = ServiceAccount::new(from_json(&json)?)?;
                Ok(Self::KeyFile(Box::new(account)))
            }
            "authorized_user" => match from_json(&json) {
                Ok(user) => Ok(Self::AuthorizedUser(user)),
                Err(_) => Err(CredentialsError::BadLogin),
            },
            "" => Err(foreign::untyped(&members)),
            other => Err(foreign::typed(other)),
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
        let private_key = text::pem(&file.private_key);
        zeroize::Zeroize::zeroize(&mut file.private_key);
        let signer = Signer::new(&private_key, &file.private_key_id)?;
        file.csql_root_certificate = file
            .csql_root_certificate
            .map(|pem| text::pem(&pem).as_str().to_owned());
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
        Category::Data => member(&error.to_string()),
        Category::Syntax | Category::Io => CredentialsError::NotJson {
            line: error.line(),
            column: error.column(),
        },
    })
}

/// The error of a missing member, or of a wrong one: serde's own words could quote the content.
fn member(said: &str) -> CredentialsError {
    let mut members = ["private_key", "client_email"].into_iter();
    let is_missing = |member: &&str| said.starts_with(&format!("missing field `{member}`"));
    match members.find(is_missing) {
        Some(member) => CredentialsError::Missing { member },
        None => CredentialsError::BadShape,
    }
}

/// Whether the content of a key file, or an encoding of it, was given as a path.
fn is_content(path: &Path) -> bool {
    const LONGEST_NAME: usize = 255;
    let text = path.to_string_lossy();
    let text = text.trim_start();
    text.contains('\n')
        || text.starts_with(['{', '"', '\''])
        || text.starts_with("-----BEGIN")
        || text.split('/').any(|name| name.len() > LONGEST_NAME)
        || (text.starts_with("ey") && text.len() > LONGEST_NAME)
}

/// A path as messages show it: content that was given in its place is a secret.
pub fn shown(path: &Path) -> String {
    match is_content(path) {
        true => "(not a path)".to_owned(),
        false => path.display().to_string(),
    }
}
