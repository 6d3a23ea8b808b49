//! Two relays that encrypt nothing: this program, started again.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Lab, Pair, end, free};

pub(crate) const DESCRIPTION: &str = "two plain relays without TLS (this program, started again): one single-threaded tokio runtime a core, 64 KiB buffers";

pub(super) fn start(lab: &Lab, service: SocketAddr) -> Result<Pair> {
    let (inner, entry) = (free()?, free()?);
    let relay = |listen: SocketAddr, connect: SocketAddr| {
        let own = std::env::current_exe().context("where this program is")?;
        let mut command = Command::new(own);
        command
            .arg("relay")
            .arg(listen.to_string())
            .arg(connect.to_string());
        end(lab, "plain", &mut command, listen)
    };
    let server = relay(inner, service)?;
    Ok(Pair::new(entry, relay(entry, inner)?, vec![server]))
}
