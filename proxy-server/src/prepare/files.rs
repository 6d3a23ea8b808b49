//! The files by which TLS goes: to a database, and with applications.

use std::path::Path;

use transport::tls::{DatabaseTls, DatabaseTrust, Material, MaterialError, PrivateKey};
use zeroize::Zeroizing;

use crate::backend::Database;
use crate::config::{InstanceConfig, LegConfig};
use crate::error::ServeError;
use crate::material::Files;

/// Reads all that the instance's settings name.
pub(super) fn read(config: &InstanceConfig) -> Result<Files, ServeError> {
    let local = &config.local;
    let local = local.certificate.as_deref().zip(local.key.as_deref());
    Ok(Files {
        database_tls: database_tls(config)?,
        local: local
            .map(|(certificate, key)| material(certificate, key))
            .transpose()?,
    })
}

/// TLS to the instance's database, if it is reached so.
fn database_tls(config: &InstanceConfig) -> Result<Option<DatabaseTls>, ServeError> {
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
        let pem = text(path)?;
        let trust = DatabaseTrust::authorities(&pem).map_err(|error| unusable(path, &error))?;
        return Ok(Some(trust));
    }
    Ok(leg.fingerprint.map(DatabaseTrust::Fingerprint))
}

fn shown(leg: &LegConfig) -> Result<Option<Material>, ServeError> {
    let Some((certificate, key)) = &leg.shown else {
        return Ok(None);
    };
    material(certificate, key).map(Some)
}

fn material(certificate: &Path, key: &Path) -> Result<Material, ServeError> {
    let (pem, secret) = (text(certificate)?, text(key)?);
    let secret = PrivateKey::from_pem(&secret).map_err(|error| unusable(key, &error))?;
    Material::new(&pem, &secret).map_err(|error| unusable(certificate, &error))
}

fn text(path: &Path) -> Result<Zeroizing<String>, ServeError> {
    let text = std::fs::read_to_string(path).map_err(|error| ServeError::TlsFile {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    Ok(Zeroizing::new(text))
}

fn unusable(path: &Path, error: &MaterialError) -> ServeError {
    ServeError::TlsFile {
        path: path.to_owned(),
        problem: error.to_string(),
    }
}
