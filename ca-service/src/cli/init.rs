//! `init` and `configure`.

use std::path::{Path, PathBuf};

use clap::Args;
use proto::instance::{check_label, check_project};
use serde_json::{Value, json};
use transport::tls::TrustRoots;

use super::{Place, output};
use crate::audit::local_admin;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::establish::{self, Directory};
use crate::https::check_endpoint;
use crate::issuer::Authority;
use crate::registry::{HttpsRoot, Profile, Registry};
use crate::store::{self, random_id};

/// Makes a data directory.
#[derive(Args)]
pub(super) struct Init {
    #[command(flatten)]
    place: Place,
    /// Project of short names
    #[arg(long, env = "CSQL_CA_PROJECT", default_value = "default")]
    project: String,
    /// Region of short names
    #[arg(long, env = "CSQL_CA_REGION", default_value = "local")]
    region: String,
    /// URL under which clients and agents reach this CA
    #[arg(
        long,
        value_name = "URL",
        env = "CSQL_CA_ENDPOINT",
        default_value = "https://127.0.0.1:8443"
    )]
    endpoint: String,
    /// Succeed when the data directory holds a CA already
    #[arg(long)]
    if_not_exists: bool,
}

/// Changes what `init` set. Key files made before keep the endpoint that they were made with.
#[derive(Args)]
pub(super) struct Configure {
    #[command(flatten)]
    place: Place,
    /// URL under which clients and agents reach this CA
    #[arg(long, value_name = "URL", required_unless_present = "https_root")]
    endpoint: Option<String>,
    /// Root that key files name for HTTPS: own, system (the roots of the machine that calls), or a PEM file
    #[arg(long, value_name = "own|system|FILE")]
    https_root: Option<PathBuf>,
}

impl Init {
    pub(super) async fn run(&self) -> Result<()> {
        check_project(&self.project)?;
        check_label(&self.region, "region")?;
        let endpoint = check_endpoint(&self.endpoint)?;
        let data = &self.place.data;
        store::secure_directory(data, true)?;
        let clock = Clock::system();
        let free = match establish::look(data, clock.now()).await? {
            Directory::Free(free) => free,
            Directory::Present if self.if_not_exists => {
                let registry = self.place.registry().await?;
                return describe(&self.place, &registry).await;
            }
            Directory::Present => {
                let name = data.display().to_string();
                return Err(Error::Exists {
                    kind: "data directory",
                    name,
                });
            }
        };
        let profile = Profile {
            ca_id: random_id()?,
            project: self.project.clone(),
            region: self.region.clone(),
            endpoint,
        };
        let registry = free.establish(&profile, clock, local_admin()).await?;
        describe(&self.place, &registry).await?;
        self.say_what_is_next(&profile.endpoint)
    }

    fn say_what_is_next(&self, endpoint: &str) -> Result<()> {
        let data = self.place.data.display();
        let port = port(endpoint);
        let hint = format!(
            "\nBack up {data}, and its file `kek` apart from the rest: without `kek` the keys in the \
             store cannot be read, and who has both has the CA.\n\nNext:\n\
             \x20 cloudsql-ca instances create db1 --data {data} --address DATABASE-HOST\n\
             \x20 cloudsql-ca service-accounts create db1-agent --data {data} --key-file agent.json\n\
             \x20 cloudsql-ca service-accounts create app --data {data} --key-file app.json\n\
             \x20 cloudsql-ca grant --data {data} --instance db1 --service-account db1-agent --role agent\n\
             \x20 cloudsql-ca grant --data {data} --instance db1 --service-account app --role client\n\
             \x20 cloudsql-ca serve --data {data} --listen 0.0.0.0:{port}\n"
        );
        output::hint(self.place.format, &hint)
    }
}

/// The port of an HTTPS endpoint.
fn port(endpoint: &str) -> u16 {
    let written = endpoint.rsplit_once(':').map(|(_, port)| port);
    let written = written.and_then(|port| port.trim_end_matches('/').parse().ok());
    written.unwrap_or(443)
}

impl Configure {
    pub(super) async fn run(&self) -> Result<()> {
        let endpoint = self.endpoint.as_deref().map(check_endpoint).transpose()?;
        let root = self.https_root.as_deref().map(https_root).transpose()?;
        let registry = self.place.registry().await?;
        if let Some(endpoint) = endpoint {
            let profile = Profile {
                endpoint,
                ..registry.profile().await?
            };
            registry.set_profile(&profile).await?;
        }
        if let Some(root) = root {
            registry.set_https_root(&root).await?;
        }
        describe(&self.place, &registry).await
    }
}

/// Reads what `--https-root` says.
fn https_root(given: &Path) -> Result<HttpsRoot> {
    match given.to_str() {
        Some("own") => return Ok(HttpsRoot::Own),
        Some("system") => return Ok(HttpsRoot::System),
        _ => {}
    }
    let pem = std::fs::read_to_string(given).map_err(Error::file("read", given))?;
    TrustRoots::from_pem(&pem)
        .map_err(|error| Error::Invalid(format!("--https-root {}: {error}", given.display())))?;
    if pem.contains("PRIVATE KEY") {
        let problem = "holds a private key; name a file of certificates alone";
        return Err(Error::Invalid(format!(
            "--https-root {} {problem}",
            given.display()
        )));
    }
    Ok(HttpsRoot::Pem(pem))
}

async fn describe(place: &Place, registry: &Registry) -> Result<()> {
    let profile = registry.profile().await?;
    let root = Authority::root(registry.store()).await?;
    let shown: Value = json!({
        "endpoint": profile.endpoint,
        "project": profile.project,
        "region": profile.region,
        "rootCertificateSha256": root.fingerprint()?,
        "httpsRoot": registry.https_root().await?.name(),
    });
    output::one(place.format, &shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_listens_on_the_port_of_the_endpoint() {
        for (endpoint, expected) in [
            ("https://ca.example.org:8443", 8443),
            ("https://ca.example.org:9443/", 9443),
            ("https://ca.example.org", 443),
            ("https://[2001:db8::1]", 443),
            ("https://[2001:db8::1]:8443", 8443),
        ] {
            assert_eq!(port(endpoint), expected, "{endpoint}");
        }
    }
}
