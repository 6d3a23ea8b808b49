//! The files by which TLS to a database goes.

use std::path::Path;

use transport::tls::{DatabaseTls, DatabaseTrust, Material, MaterialError, PrivateKey};
use zeroize::Zeroizing;

use crate::backend::Database;
use crate::config::{InstanceConfig, LegConfig};
use crate::error::ServeError;

/// TLS to the instance's database, if it is reached so.
pub(super) fn tls(config: &InstanceConfig) -> Result<Option<DatabaseTls>, ServeError> {
    let Database::Tls { host, .. } = &config.database else {
        return Ok(None);
    };
    let Some(trust) = trust(&config.leg)? else {
        return Ok(None);
    };
    Ok(Some(DatabaseTls::new(
        trust,
        host.clone(),
        config.leg.name.clone(),
        shown(&config.leg)?.as_ref(),
        daemon::clock::system(),
    )))
}

fn trust(leg: &LegConfig) -> Result<Option<DatabaseTrust>, ServeError> {
    if let Some(path) = &leg.ca {
        let pem = read(path)?;
        let trust = DatabaseTrust::authorities(&pem).map_err(|error| unusable(path, &error))?;
        return Ok(Some(trust));
    }
    Ok(leg.fingerprint.map(DatabaseTrust::Fingerprint))
}

fn shown(leg: &LegConfig) -> Result<Option<Material>, ServeError> {
    let Some((certificate, key)) = &leg.shown else {
        return Ok(None);
    };
    let (pem, secret) = (read(certificate)?, read(key)?);
    let secret = PrivateKey::from_pem(&secret).map_err(|error| unusable(key, &error))?;
    let material = Material::new(&pem, &secret).map_err(|error| unusable(certificate, &error))?;
    Ok(Some(material))
}

fn read(path: &Path) -> Result<Zeroizing<String>, ServeError> {
    let text = std::fs::read_to_string(path).map_err(|error| ServeError::DatabaseFile {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    Ok(Zeroizing::new(text))
}

fn unusable(path: &Path, error: &MaterialError) -> ServeError {
    ServeError::DatabaseFile {
        path: path.to_owned(),
        problem: error.to_string(),
    }
}
