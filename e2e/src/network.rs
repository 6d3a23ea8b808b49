//! A network namespace at the end of a cable: what is started there reaches the host at an address that is not loopback.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::geteuid;

use crate::process::output_of;

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A namespace and its cable. Both end with this value.
pub struct Network {
    name: String,
    host: IpAddr,
}

impl Network {
    /// Makes one. Needs root.
    pub fn new() -> Result<Self> {
        ensure!(
            geteuid().is_root(),
            "only root can make a network namespace: run these tests as root"
        );
        // An interface has room for 15 letters.
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let network = Self {
            name: format!("csql{}-{number}", std::process::id()),
            host: free_address()?,
        };
        let name = network.name.as_str();
        let IpAddr::V4(host) = network.host else {
            bail!("{} is no IPv4 address", network.host);
        };
        let inside = format!("{}/30", Ipv4Addr::from_bits(host.to_bits() + 1));
        let outside = format!("{}/30", network.host);
        ip(&["netns", "add", name])?;
        // The cable has one end in each; it goes with the namespace.
        ip(&[
            "link", "add", name, "type", "veth", "peer", "name", "outside", "netns", name,
        ])?;
        ip(&["address", "add", &outside, "dev", name])?;
        ip(&["link", "set", name, "up"])?;
        let within = |arguments: &[&str]| ip(&[&["-n", name], arguments].concat());
        within(&["address", "add", &inside, "dev", "outside"])?;
        within(&["link", "set", "outside", "up"])?;
        within(&["link", "set", "lo", "up"])?;
        Ok(network)
    }

    /// The host's address, as it is reached from inside.
    pub fn host(&self) -> IpAddr {
        self.host
    }

    /// The command, to be run inside.
    pub fn inside(&self, command: &Command) -> Command {
        let mut outer = Command::new("ip");
        outer
            .args(["netns", "exec", &self.name])
            .arg(command.get_program())
            .args(command.get_args());
        outer
    }
}

/// The first address of a pair that is not in use, from 198.18.0.0/15: no network may use these but for tests.
fn free_address() -> Result<IpAddr> {
    const PAIRS: u32 = 1 << 15;
    for _ in 0..PAIRS {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let pair = std::process::id().wrapping_mul(61).wrapping_add(number) % PAIRS;
        let base = Ipv4Addr::new(198, 18, 0, 0).to_bits();
        let host = IpAddr::V4(Ipv4Addr::from_bits(base + pair * 4 + 1));
        // An address of this machine can be bound.
        if TcpListener::bind((host, 0)).is_err() {
            return Ok(host);
        }
    }
    bail!("every address of 198.18.0.0/15 is in use on this machine")
}

impl Drop for Network {
    fn drop(&mut self) {
        // What cannot be removed was not made, or the machine is beyond help.
        drop(ip(&["netns", "delete", &self.name]));
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    output_of(Command::new("ip").args(arguments))
        .map(drop)
        .context("a network namespace (it needs root and the Debian package iproute2)")
}
