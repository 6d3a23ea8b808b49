//! The operator's own HTTPS certificate: read from two files, checked, and read again when one of them changes.

use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tracing::{error, info, warn};
use transport::authority::exposed;
use transport::tls::{Material, PrivateKey};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use super::endpoint_host;
use crate::clock::{Clock, Seconds, rfc3339, system_time};
use crate::error::{Error, Result};
use crate::registry::{HttpsRoot, Registry};

/// Longest file that is read.
const MAX_LENGTH: u64 = 1024 * 1024;
/// Remaining life at which an operator is warned.
const SOON: Seconds = 7 * 86_400;
/// Failed attempts in a row after which the failure is logged: the two files are not replaced in one moment.
const PATIENCE: u32 = 3;

/// Where the operator's certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateFiles {
    /// PEM: the server's certificate, then those that issued it.
    pub(crate) certificate: PathBuf,
    /// PEM of its private key.
    pub(crate) key: PathBuf,
}

/// The certificate in use, and what is known of its files.
pub(crate) struct Files {
    paths: CertificateFiles,
    clock: Clock,
    current: ArcSwap<Material>,
    state: Mutex<State>,
}

/// What the last look at the files found.
struct State {
    /// State of the files from which `current` was read.
    loaded: Option<[Version; 2]>,
    failures: u32,
    told: Age,
}

/// How near the end of the certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    Good,
    EndsSoon,
    Expired,
}

/// Changes with every change of a file, whether it is written, replaced, or behind a link that moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    inode: (u64, u64),
    length: u64,
    changed: (i64, i64),
}

impl Files {
    /// Reads both files; fails when they cannot be served.
    pub(crate) fn open(paths: &CertificateFiles, clock: Clock) -> Result<Self> {
        let versions = paths.versions()?;
        let material = paths.read(clock.now())?;
        let files = Self {
            paths: paths.clone(),
            clock,
            current: ArcSwap::from_pointee(material),
            state: Mutex::new(State {
                loaded: Some(versions),
                failures: 0,
                told: Age::Good,
            }),
        };
        files.reload();
        Ok(files)
    }

    pub(super) fn material(&self) -> Arc<Material> {
        self.current.load_full()
    }

    /// Takes changed files into use; keeps the certificate in use while they cannot be.
    pub(super) fn reload(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let versions = self.paths.versions();
        if !matches!(&versions, Ok(versions) if state.loaded == Some(*versions)) {
            match versions.and_then(|found| Ok((found, self.paths.read(self.clock.now())?))) {
                Ok((versions, material)) => self.replace(&mut state, versions, material),
                Err(problem) => state.failed(&problem),
            }
        }
        state.judge(&self.paths, &self.current.load(), self.clock.now());
    }

    fn replace(&self, state: &mut State, versions: [Version; 2], material: Material) {
        let not_after = rfc3339(seconds(&material));
        info!(
            serial = material.serial_hex(),
            not_after, "HTTPS certificate replaced"
        );
        self.current.store(Arc::new(material));
        *state = State {
            loaded: Some(versions),
            failures: 0,
            told: Age::Good,
        };
    }
}

impl State {
    fn failed(&mut self, problem: &Error) {
        self.failures = self.failures.saturating_add(1);
        if self.failures == PATIENCE {
            error!(
                error = problem.chain(),
                "the new HTTPS certificate cannot be used; the one before stays"
            );
        }
    }

    /// Logs once that the end is near, and once that it has come.
    fn judge(&mut self, paths: &CertificateFiles, material: &Material, now: Seconds) {
        let file = paths.certificate.display();
        let age = Age::of(seconds(material), now);
        if age > self.told {
            let not_after = rfc3339(seconds(material));
            match age {
                Age::Good => {}
                Age::EndsSoon => warn!(%file, not_after, "the HTTPS certificate ends soon"),
                Age::Expired => {
                    error!(%file, not_after, "the HTTPS certificate has expired; callers refuse it");
                }
            }
        }
        self.told = age;
    }
}

impl Age {
    const fn of(not_after: Seconds, now: Seconds) -> Self {
        if now > not_after {
            Self::Expired
        } else if now > not_after - SOON {
            Self::EndsSoon
        } else {
            Self::Good
        }
    }
}

impl CertificateFiles {
    fn versions(&self) -> Result<[Version; 2]> {
        Ok([version(&self.certificate)?, version(&self.key)?])
    }

    /// Reads and checks both files.
    fn read(&self, now: Seconds) -> Result<Material> {
        let invalid = |path: &Path, problem: &str| {
            Error::Invalid(format!("{} cannot be served: {problem}", path.display()))
        };
        let certificate = &self.certificate;
        let pem = read(certificate, |_| Ok(()))?;
        check_chain(&pem).map_err(|problem| invalid(certificate, &problem))?;
        let key = read(&self.key, |about| check_secret(&self.key, about))?;
        let key = PrivateKey::from_pem(&key).map_err(|_| {
            let expected = "expected a private key in PEM, without a passphrase";
            invalid(&self.key, expected)
        })?;
        let material =
            Material::new(&pem, &key).map_err(|error| invalid(certificate, &error.to_string()))?;
        if material.is_valid_at(system_time(now)) {
            return Ok(material);
        }
        let problem = if now > seconds(&material) {
            format!("it expired at {}", rfc3339(seconds(&material)))
        } else {
            "it is not valid yet".to_owned()
        };
        Err(invalid(certificate, &problem))
    }
}

/// Checks that every certificate parses, and that each issued the one before it.
fn check_chain(pem: &str) -> std::result::Result<(), String> {
    let found: std::result::Result<Vec<CertificateDer<'_>>, _> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = found.map_err(|error| format!("it is not PEM: {error}"))?;
    let mut issuer: Option<Vec<u8>> = None;
    for (index, der) in found.iter().enumerate() {
        let number = index + 1;
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|error| format!("certificate {number} in it does not parse: {error}"))?;
        if issuer.is_some_and(|issuer| issuer != certificate.subject().as_raw()) {
            return Err(format!(
                "certificate {number} in it did not issue the one before; put the server's own first, then each one's issuer"
            ));
        }
        issuer = Some(certificate.issuer().as_raw().to_vec());
    }
    Ok(())
}

/// Refuses a key that others may read, or that another user may replace.
fn check_secret(path: &Path, about: &Metadata) -> Result<()> {
    let problem = |problem: String, remedy: String| Error::Exposed {
        path: path.to_owned(),
        problem,
        remedy,
    };
    if let Some(mode) = exposed(about) {
        let remedy = format!("run: chmod 600 {}", path.display());
        return Err(problem(format!("open to others (mode {mode:o})"), remedy));
    }
    let (owner, own) = (about.uid(), rustix::process::geteuid().as_raw());
    if owner != own && owner != 0 {
        return Err(problem(
            format!("owned by user {owner}, neither by root nor by the one that runs this"),
            "give the file to the user that runs the CA".to_owned(),
        ));
    }
    Ok(())
}

/// Reads a file that `check` accepts.
fn read(path: &Path, check: impl FnOnce(&Metadata) -> Result<()>) -> Result<Zeroizing<String>> {
    let unreadable = |source| Error::File {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    // Asked before it is opened, too: opening a pipe waits for somebody who writes.
    regular(path, &fs::metadata(path).map_err(unreadable)?)?;
    let file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    regular(path, &about)?;
    check(&about)?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_LENGTH)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(text)
}

fn regular(path: &Path, about: &Metadata) -> Result<()> {
    if about.is_file() && about.len() < MAX_LENGTH {
        return Ok(());
    }
    let path = path.display();
    Err(Error::Invalid(format!(
        "{path} is not a file of less than {MAX_LENGTH} bytes"
    )))
}

fn version(path: &Path) -> Result<Version> {
    let about = fs::metadata(path).map_err(Error::file("read", path))?;
    Ok(Version {
        inode: (about.dev(), about.ino()),
        length: about.len(),
        changed: (about.ctime(), about.ctime_nsec()),
    })
}

fn seconds(material: &Material) -> Seconds {
    let since = material
        .not_after()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Warns when the key files that are made name another root than the one that vouches for the listener.
pub(super) async fn warn_of_key_files(
    registry: &Registry,
    files: Option<&CertificateFiles>,
) -> Result<()> {
    let root = registry.https_root().await?;
    match (files, root) {
        (Some(_), HttpsRoot::Own) => warn!(
            "key files name the CA's own root, which did not issue the HTTPS certificate: run `cloudsql-ca configure \
             --https-root system` (or a PEM file) and make new key files"
        ),
        (None, HttpsRoot::System | HttpsRoot::Pem(_)) => warn!(
            "key files name another root than the CA's own, which issued the HTTPS certificate: give --tls-certificate, or \
             run `cloudsql-ca configure --https-root own`"
        ),
        _ => {}
    }
    Ok(())
}

/// Warns when callers of the endpoint would refuse the certificate.
pub(super) async fn warn_of_endpoint(registry: &Registry, material: &Material) -> Result<()> {
    let endpoint = registry.profile().await?.endpoint;
    if !material.is_for(&endpoint_host(&endpoint)?) {
        warn!(
            endpoint,
            "the HTTPS certificate is not for the host of the endpoint; callers refuse it"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
