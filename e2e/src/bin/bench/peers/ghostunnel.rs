//! ghostunnel, a TLS pair in Go.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;

use super::{Lab, Pair, end, free, program, version};
use crate::certificates::{Leaf, SERVER_NAME};

pub(super) const PROGRAM: &str = "ghostunnel";

pub(super) fn describe() -> String {
    format!(
        "ghostunnel {}: as it comes, with AES-128-GCM, which Go's servers choose",
        version(PROGRAM, "--version", "1")
    )
}

pub(super) fn start(lab: &Lab, service: SocketAddr) -> Result<Pair> {
    let (inner, entry) = (free()?, free()?);
    let one = |mode: &str, role: [&str; 2], leaf: &Leaf, listen: SocketAddr, to: SocketAddr| {
        let mut command = Command::new(program(PROGRAM)?);
        command
            .arg(mode)
            .args(role.into_iter().filter(|one| !one.is_empty()))
            .arg(format!("--listen={listen}"))
            .arg(format!("--target={to}"))
            .arg(format!("--cert={}", leaf.certificate.display()))
            .arg(format!("--key={}", leaf.key.display()))
            .arg(format!("--cacert={}", lab.certificates.root.display()))
            .arg("--quiet=all");
        end(lab, "ghostunnel", &mut command, listen)
    };
    let server = one(
        "server",
        // Databases have loopback addresses of their own, which it does not know for such.
        ["--allow-all", "--unsafe-target"],
        &lab.certificates.server,
        inner,
        service,
    )?;
    let name = format!("--override-server-name={SERVER_NAME}");
    let client = one(
        "client",
        [&name, ""],
        &lab.certificates.client,
        entry,
        inner,
    )?;
    Ok(Pair::new(entry, client, vec![server]))
}
