//! Which credentials are used: the flags', else what Google calls application default credentials.

use std::path::{Path, PathBuf};

use daemon::environment::Environment;
use daemon::settings::Complaints;
use tracing::warn;
use transport::authority::credentials::{METADATA_HOST, shown};
use transport::authority::{Credentials, CredentialsError};

use crate::settings::Settings;

/// The variable that names a key file for all of Google's programs.
const APPLICATION_CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";
/// The variable that names the metadata server.
const METADATA_VARIABLE: &str = "GCE_METADATA_HOST";
/// Where `gcloud auth application-default login` writes, below the folder of its settings.
const WELL_KNOWN: &str = "application_default_credentials.json";

/// A key file that others than its owner may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposedKeyFile {
    /// Where.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
}

/// What was chosen.
pub(super) struct Chosen {
    pub(super) credentials: Credentials,
    pub(super) exposed: Option<ExposedKeyFile>,
}

impl Chosen {
    /// The project whose instances a short name means.
    pub(super) fn project(&self) -> Option<&str> {
        self.credentials.project()
    }

    const fn of_no_file(credentials: Credentials) -> Self {
        Self {
            credentials,
            exposed: None,
        }
    }
}

/// Chooses and reads the credentials; `None` after a complaint.
pub(super) fn choose(
    settings: &Settings,
    environment: &Environment,
    complaints: &mut Complaints,
) -> Option<Chosen> {
    let is_strict = settings.strict_key_file.unwrap_or_default();
    let given = [
        ("token", settings.token.is_some()),
        ("credentials-file", settings.credentials_file.is_some()),
        ("json-credentials", settings.json_credentials.is_some()),
    ];
    let given: Vec<&str> = given
        .into_iter()
        .filter_map(|(name, is_given)| is_given.then_some(name))
        .collect();
    if let [one, another, ..] = given.as_slice() {
        complaints.add(
            *one,
            format!("cannot be given together with {another}: one kind of credentials is enough"),
        );
        return None;
    }
    if let Some(token) = &settings.token {
        complaints.check("token", checked_token(token))?;
        let token = Credentials::StaticToken(token.clone().into());
        return Some(Chosen::of_no_file(token));
    }
    if let Some(path) = &settings.credentials_file {
        return read("credentials-file", path, is_strict, complaints);
    }
    if let Some(json) = &settings.json_credentials {
        let parsed = complaints.check("json-credentials", Credentials::parse(json));
        return parsed.map(Chosen::of_no_file);
    }
    default_credentials(environment, is_strict, complaints)
}

/// A token goes into a header: whatever is not one is told without its text.
fn checked_token(token: &str) -> Result<(), &'static str> {
    match token {
        "" => Err("is empty: give an access token, or another kind of credentials"),
        _ if token.starts_with('{') => {
            Err("is the content of a file and no token: give a key file with --credentials-file")
        }
        _ if token.starts_with('/') => Err("is a path and no token: give the token itself"),
        _ if token.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(()),
        _ => Err(
            "has a blank, a line break or a letter that no token has: give the token alone, without \"Bearer\"",
        ),
    }
}

fn default_credentials(
    environment: &Environment,
    is_strict: bool,
    complaints: &mut Complaints,
) -> Option<Chosen> {
    if let Some(path) = environment.get(APPLICATION_CREDENTIALS) {
        let path = Path::new(path);
        return read(APPLICATION_CREDENTIALS, path, is_strict, complaints);
    }
    let metadata = environment.get(METADATA_VARIABLE);
    if let Some(path) = well_known(environment).filter(|path| path.exists()) {
        return read("the default credentials", &path, is_strict, complaints);
    }
    Some(Chosen::of_no_file(Credentials::MetadataServer {
        host: metadata.unwrap_or(METADATA_HOST).to_owned(),
    }))
}

/// The file of the default credentials, where there is one.
pub(super) fn default_file(environment: &Environment) -> Option<PathBuf> {
    match environment.get(APPLICATION_CREDENTIALS) {
        Some(path) => Some(PathBuf::from(path)),
        None => well_known(environment).filter(|path| path.exists()),
    }
}

fn well_known(environment: &Environment) -> Option<PathBuf> {
    let folder = match environment.get("CLOUDSDK_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None => environment.home()?.join(".config").join("gcloud"),
    };
    Some(folder.join(WELL_KNOWN))
}

/// Kubernetes mounts secrets for everybody, and whoever comes from Google's proxy changes the image and nothing else:
/// a file that others may read is warned about, and refused only to who asks for that.
fn read(key: &str, path: &Path, is_strict: bool, complaints: &mut Complaints) -> Option<Chosen> {
    let key = format!("{key} {}", shown(path));
    let (read, exposed) = match Credentials::read_private(path) {
        Err(error @ CredentialsError::Exposed { mode, .. }) if !is_strict => {
            warn!(
                key_file = key,
                %error,
                "the key file is used all the same: --strict-key-file refuses it"
            );
            let path = path.to_owned();
            (
                Credentials::read(&path),
                Some(ExposedKeyFile { path, mode }),
            )
        }
        read => (read, None),
    };
    let credentials = complaints.check(key, read)?;
    Some(Chosen {
        credentials,
        exposed,
    })
}
