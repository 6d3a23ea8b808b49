//! Google's own proxy (the Go connector) beside the application, our agent beside the service.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;
use e2e::authority::{Dialect, PROJECT, REGION};

use super::ours::Site;
use super::{Engine, Lab, Ours, Pair, Starter, end, free, program, version};

pub(super) const PROGRAM: &str = "cloud-sql-proxy";

pub(super) fn describe() -> String {
    format!(
        "Google's {} (Go connector) in front of our agent, as it comes",
        version(PROGRAM, "--version", "version")
    )
}

pub(super) fn start(lab: &Lab, service: SocketAddr, engine: Engine) -> Result<Pair> {
    let Starter {
        mut command,
        entry,
        _server: server,
        ..
    } = starter(lab, service, engine)?;
    let client = end(lab, "cloud-sql-proxy", &mut command, entry)?;
    Ok(Pair::new(entry, client, server))
}

pub(super) fn starter(lab: &Lab, service: SocketAddr, engine: Engine) -> Result<Starter> {
    let site = Site::new(lab, Dialect::Google)?;
    let server = Ours::usual().agent(lab, &site, service, engine)?;
    let entry = free()?;
    let root = lab.authority.root_certificate(&site.agent_key)?;
    let mut command = Command::new(program(PROGRAM)?);
    command
        .env("SSL_CERT_FILE", root)
        .arg("--credentials-file")
        .arg(&site.client_key)
        .arg("--sqladmin-api-endpoint")
        .arg(lab.authority.endpoint())
        .arg(format!("--address={}", entry.ip()))
        .arg(format!("--port={}", entry.port()))
        .arg("--quiet")
        // A key file of ours is no business of Google's.
        .arg("--enable-builtin-metrics=false")
        .arg(format!("{PROJECT}:{REGION}:{}", site.instance));
    Ok(Starter {
        command,
        entry,
        _server: server,
        _site: site,
    })
}
