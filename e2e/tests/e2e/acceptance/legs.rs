//! The ways that a [`super::stage::Stage`] has: by which door applications come in, and how the agent goes on.

use std::path::{Path, PathBuf};

use e2e::clients::Address;
use e2e::databases::{Database, Flavor};
use e2e::place::Place;
use e2e::relay::Relay;

/// By which door applications come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// A port of our client program.
    Client,
    /// The agent's own listener for MySQL clients.
    Agent,
}

impl Door {
    pub(super) const ALL: [Self; 2] = [Self::Client, Self::Agent];
}

/// How the agent reaches the database: an instance each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    Tcp,
    Unix,
    /// TLS of the agent's own.
    Tls,
    /// TCP to a port where nothing listens.
    Down,
    /// TCP, and applications must speak TLS at both doors.
    Strict,
}

impl Leg {
    /// Those over which nothing is encrypted.
    pub(super) const PLAIN: [Self; 2] = [Self::Tcp, Self::Unix];
    /// Those of one agent.
    pub(super) const LENIENT: [Self; 4] = [Self::Tcp, Self::Unix, Self::Tls, Self::Down];

    pub(super) const fn instance(self) -> &'static str {
        match self {
            Self::Tcp => "over-tcp",
            Self::Unix => "over-unix",
            Self::Tls => "over-tls",
            Self::Down => "down",
            Self::Strict => "strict",
        }
    }

    /// Where the database itself is, by this kind of leg.
    pub(super) fn to(self, database: &Database) -> Address {
        match self {
            Self::Unix => Address::Socket(database.socket().to_owned()),
            Self::Tcp | Self::Tls | Self::Down | Self::Strict => database.address().clone(),
        }
    }

    /// The instance's parameters behind its name.
    pub(super) fn parameters(self, relay: &Relay, place: &Place, database: &Database) -> String {
        let at = match (self, relay.address()) {
            (Self::Down, _) => format!("{}:{}", place.address(), place.free_port().unwrap()),
            (_, Address::Tcp { host, port }) => format!("{host}:{port}"),
            (_, Address::Socket(path)) => path.display().to_string(),
        };
        match self {
            Self::Tcp | Self::Down => format!("database=tcp:{at}"),
            Self::Unix => format!("database=unix:{at}"),
            Self::Tls => format!("database=tls:{at}&{}", trust(place, database)),
            Self::Strict => format!("database=tcp:{at}&inner-tls=require"),
        }
    }
}

/// By what the agent knows the database: its CA, or its certificate where that is made anew at each start. MariaDB
/// 10.11's is for a name, MySQL's for none.
fn trust(place: &Place, database: &Database) -> String {
    let Some(ca) = database.ca() else {
        let fingerprint = database.fingerprint();
        // A database without TLS has none, and none of its tests use the leg.
        return format!(
            "database-fingerprint=sha256:{}",
            fingerprint.unwrap_or_else(|_| "0".repeat(64))
        );
    };
    let copy = readable(place, &ca);
    match database.flavor() {
        Flavor::MySql9 => format!("database-ca={}", copy.display()),
        _ => format!("database-ca={}&database-name=localhost", copy.display()),
    }
}

/// A copy outside the database's own folder, which is closed to the agent.
fn readable(place: &Place, file: &Path) -> PathBuf {
    let copy = place.join("database-ca.pem");
    std::fs::write(&copy, std::fs::read(file).unwrap()).unwrap();
    copy
}
