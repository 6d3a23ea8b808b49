//! HAProxy in TCP mode, with its usual buffers or with 64 KiB.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;

use super::{Lab, Pair, configuration, end, free, program, version};
use crate::certificates::SERVER_NAME;

pub(super) const PROGRAM: &str = "haproxy";

const SUITES: &str = "TLS_AES_256_GCM_SHA384";

pub(super) fn describe(large: bool) -> String {
    let version = version(PROGRAM, "-v", "version");
    let buffers = if large {
        "tune.bufsize 65536"
    } else {
        "its usual buffers of 16 KiB"
    };
    format!("{version}: mode tcp, a thread a core, maxconn 9000, {buffers}")
}

pub(super) fn start(lab: &Lab, service: SocketAddr, large: bool) -> Result<Pair> {
    let (inner, entry) = (free()?, free()?);
    let root = lab.certificates.root.display();
    let ends = [
        (
            inner,
            format!(
                "bind {inner} ssl crt {} ca-file {root} verify required\n  server far {service}",
                lab.certificates.server.both.display()
            ),
        ),
        (
            entry,
            format!(
                "bind {entry}\n  server far {inner} ssl crt {} ca-file {root} verify required sni str({SERVER_NAME}) verifyhost {SERVER_NAME}",
                lab.certificates.client.both.display()
            ),
        ),
    ];
    let [server, client] = ends.map(|(listen, lines)| launch(lab, listen, &lines, large));
    Ok(Pair::new(entry, client?, vec![server?]))
}

fn launch(
    lab: &Lab,
    listen: SocketAddr,
    lines: &str,
    large: bool,
) -> Result<e2e::process::Process> {
    let buffers = if large { "tune.bufsize 65536" } else { "" };
    let text = format!(
        "global\n  maxconn 9000\n  {buffers}\n\
           \x20 ssl-default-bind-ciphersuites {SUITES}\n  ssl-default-bind-options ssl-min-ver TLSv1.3\n\
           \x20 ssl-default-server-ciphersuites {SUITES}\n  ssl-default-server-options ssl-min-ver TLSv1.3\n\
         defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n\
         listen bench\n  {lines}\n"
    );
    let file = configuration(lab, "haproxy", listen, &text)?;
    let mut command = Command::new(program(PROGRAM)?);
    end(lab, "haproxy", command.arg("-f").arg(file), listen)
}
