//! Which credentials are used: the flags', else what Google calls application default credentials.

use std::path::{Path, PathBuf};

use daemon::environment::Environment;
use daemon::settings::Complaints;
use transport::authority::Credentials;
use transport::authority::credentials::METADATA_HOST;

use crate::settings::Settings;

/// The variable that names a key file for all of Google's programs.
const APPLICATION_CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";
/// The variable that names the metadata server.
const METADATA_VARIABLE: &str = "GCE_METADATA_HOST";
/// Where `gcloud auth application-default login` writes, below the folder of its settings.
const WELL_KNOWN: &str = "application_default_credentials.json";

/// Chooses and reads the credentials; `None` after a complaint.
pub(super) fn choose(
    settings: &Settings,
    environment: &Environment,
    complaints: &mut Complaints,
) -> Option<Credentials> {
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
        return Some(Credentials::StaticToken(token.clone().into()));
    }
    if let Some(path) = &settings.credentials_file {
        return read("credentials-file", path, complaints);
    }
    if let Some(json) = &settings.json_credentials {
        return complaints.check("json-credentials", Credentials::parse(json));
    }
    default_credentials(environment, complaints)
}

fn default_credentials(
    environment: &Environment,
    complaints: &mut Complaints,
) -> Option<Credentials> {
    if let Some(path) = environment.get(APPLICATION_CREDENTIALS) {
        return read(APPLICATION_CREDENTIALS, Path::new(path), complaints);
    }
    let metadata = environment.get(METADATA_VARIABLE);
    if let Some(path) = well_known(environment).filter(|path| path.exists()) {
        return read("the default credentials", &path, complaints);
    }
    Some(Credentials::MetadataServer {
        host: metadata.unwrap_or(METADATA_HOST).to_owned(),
    })
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

fn read(key: &str, path: &Path, complaints: &mut Complaints) -> Option<Credentials> {
    let key = format!("{key} {}", path.display());
    complaints.check(key, Credentials::read(path))
}
