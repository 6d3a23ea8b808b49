//! A place where one test runs undisturbed: a temporary folder and a loopback address that nobody else uses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// Google's clients know only this port, so each agent needs an address of its own.
pub const AGENT_PORT: u16 = 3307;

/// Holding this port keeps an address ours; nothing is served on it.
const RESERVED_PORT: u16 = 3299;

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A temporary folder, and loopback addresses reserved while this value lives.
pub struct Place {
    folder: TempDir,
    address: Loopback,
}

impl Place {
    /// Finds one. `name` is a part of the folder's name.
    pub fn new(name: &str) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("e2e-{name}-"))
            .tempdir()
            .context("a temporary folder")?;
        // Databases and agents drop root and must still reach their files.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
        Ok(Self {
            folder,
            address: Loopback::reserve()?,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The loopback address that belongs to this place.
    pub fn address(&self) -> IpAddr {
        self.address.ip
    }

    /// A free port on the place's address, given once.
    pub fn free_port(&self) -> Result<u16> {
        free_port_at(self.address())
    }
}

/// A loopback address with a free [`AGENT_PORT`], reserved while this value lives.
pub struct Loopback {
    ip: IpAddr,
    _reservation: TcpListener,
}

impl Loopback {
    /// Takes the next free one.
    pub fn reserve() -> Result<Self> {
        for _ in 0..512 {
            let ip = candidate(std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
            let Ok(reservation) = TcpListener::bind((ip, RESERVED_PORT)) else {
                continue;
            };
            if TcpListener::bind(SocketAddr::new(ip, AGENT_PORT)).is_ok() {
                return Ok(Self {
                    ip,
                    _reservation: reservation,
                });
            }
        }
        bail!(
            "port {AGENT_PORT} is taken on every loopback address: does something listen on 0.0.0.0:{AGENT_PORT}?"
        )
    }

    /// The address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }
}

/// A free port that no outgoing connection takes by itself before it is bound, as it would among those the system
/// gives: there, all of the machine's own connections come from this address.
pub fn free_port_at(host: IpAddr) -> Result<u16> {
    for _ in 0..1000 {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let spread = std::process::id().wrapping_mul(97).wrapping_add(number) % 12_000;
        let port = 20_000 + u16::try_from(spread)?;
        if TcpListener::bind((host, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port at {host}")
}

/// Spreads processes over 127.1.0.0 to 127.254.255.255, each with a run of its own.
fn candidate(process: u32, number: u32) -> IpAddr {
    let spread = process.wrapping_mul(64).wrapping_add(number) % (254 << 16);
    let [_, x, y, z] = (spread + (1 << 16)).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, x, y, z))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_places_never_share_an_address() {
        let (one, two) = (Place::new("one").unwrap(), Place::new("two").unwrap());
        assert_ne!(one.address(), two.address());
    }

    #[test]
    fn a_port_of_a_place_is_given_once() {
        let place = Place::new("ports").unwrap();
        let mut ports: Vec<u16> = (0..500).map(|_| place.free_port().unwrap()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 500);
    }

    #[test]
    fn every_candidate_is_a_loopback_address_other_than_the_usual_one() {
        for process in [0, 1, 4_194_304, u32::MAX] {
            let ip = candidate(process, 77);
            assert!(ip.is_loopback());
            assert_ne!(ip, IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
    }
}
