//! A network namespace for one thread and all that it starts: there, loopback has any address that a test wants.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const READY: &str = "ready";

/// Moves the calling thread into a new one, with `address` beside the usual ones. It ends with the thread and with what
/// that started; there is no way back. Needs root.
pub fn enter(address: IpAddr) -> Result<()> {
    ensure!(
        geteuid().is_root(),
        "only root can make a network namespace: run these tests as root"
    );
    let script =
        format!("ip link set lo up; ip address add {address} dev lo; echo {READY}; exec cat >&2");
    let mut holder = Command::new("unshare")
        .args(["--net", "sh", "-ec", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("unshare, of the Debian package util-linux")?;
    let output = holder.stdout.take().context("the output of unshare")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let entered = if line.trim_end() == READY {
        File::open(format!("/proc/{}/ns/net", holder.id()))
            .context("a namespace")
            .and_then(|namespace| {
                let kind = Some(LinkNameSpaceType::Network);
                Ok(move_into_link_name_space(namespace.as_fd(), kind)?)
            })
    } else {
        Err(anyhow::anyhow!(
            "no network namespace: it needs the Debian package iproute2"
        ))
    };
    // Its input ends, and so does it.
    drop(holder.stdin.take());
    holder.wait()?;
    entered
}
