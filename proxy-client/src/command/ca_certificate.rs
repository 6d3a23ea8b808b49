//! `ca-certificate`: the server CA of an instance, for applications that speak TLS through the tunnel and verify it.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use daemon::exit::Exit;
use daemon::settings::Overlay as _;
use tokio::time::Instant;
use transport::authority::{Authority, AuthoritySettings};
use transport::socket::Names;
use transport::tls::TrustRoots;

use super::launch::{Purpose, block_on, configure};
use super::say;
use crate::config::{AuthorityConfig, Config, Wanted};
use crate::error::RefreshError;
use crate::refresh::{full_name, resolve};
use crate::settings::Settings;

/// Certificates are no secret, and applications run as other users.
const MODE: u32 = 0o644;
/// Longest wait for DNS, where an instance is named by a domain.
const LOOKUP: Duration = Duration::from_secs(10);

/// Which instances, and where to.
#[derive(Args)]
pub(super) struct CaCertificate {
    /// Write to this file, whole or not at all, in place of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,
}

impl CaCertificate {
    /// Asks the CA; nothing is written unless all instances are known.
    pub(super) fn run(self, before: Settings) -> Exit {
        let config = match configure(self.settings.over(before), Purpose::BesideAnother) {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        block_on(async {
            let pem = match all(config).await {
                Ok(pem) => pem,
                Err(told) => {
                    say::complain(&told);
                    return Exit::Failure;
                }
            };
            match &self.out {
                None => say::out(&pem),
                Some(path) => match write(path, &pem) {
                    Ok(()) => Exit::Success,
                    Err(error) => {
                        say::complain(&format!("cannot write {}: {error}", path.display()));
                        Exit::Failure
                    }
                },
            }
        })
    }
}

/// The certificates of all instances, one text.
async fn all(config: Config) -> Result<String, String> {
    let authority = authority(config.authority).map_err(|error| error.refusal().to_string())?;
    let mut text = String::new();
    for instance in &config.instances {
        let wanted = &instance.wanted;
        let pem = of_instance(&authority, wanted)
            .await
            .map_err(|error| format!("[{wanted}] {}", error.refusal()))?;
        text.push_str(pem.trim());
        text.push('\n');
    }
    Ok(text)
}

/// The certificates of an instance's server CAs: more than one while they change.
async fn of_instance(authority: &Authority, wanted: &Wanted) -> Result<String, RefreshError> {
    let deadline = Instant::now() + LOOKUP;
    let wanted = resolve(&Names::default(), wanted, deadline).await?;
    let settings = authority
        .connect_settings(wanted.project(), wanted.instance())
        .await?;
    full_name(&wanted, &settings)?;
    let pem = settings
        .server_ca_cert
        .ok_or(RefreshError::NoServerCa)?
        .cert;
    // What the client itself could not use is of no use to an application.
    TrustRoots::from_pem(&pem)?;
    Ok(pem)
}

fn authority(config: AuthorityConfig) -> Result<Authority, transport::authority::AuthorityError> {
    Authority::new(AuthoritySettings {
        endpoint: config.endpoint,
        root_pem: config.root_pem,
        credentials: config.credentials,
        user_agent: config.user_agent,
        quota_project: config.quota_project,
        proxies: config.proxies,
        clock: daemon::clock::system(),
    })
}

/// Applications that read the file meanwhile find the old text or the new one.
fn write(path: &Path, pem: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = PathBuf::from(name);
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(&new)
        .and_then(|mut file| {
            file.write_all(pem.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&new, path));
    if written.is_err()
        && let Err(error) = fs::remove_file(&new)
    {
        tracing::debug!(%error, "nothing was left behind");
    }
    written
}
