//! A database with the agent and the client in front of it, on every leg.

use anyhow::{Context as _, Result};

use super::cell::{Cell, Far, Kind, Near};
use crate::agent::Agent;
use crate::authority::{Authority, Dialect};
use crate::clients::{Address, Client, Login, Runner, Target, Tls};
use crate::databases::{Database, PASSWORD, SCHEMA};
use crate::place::{Loopback, Place};
use crate::proxy::{Mount, Proxy};

const ACCOUNT: &str = "shop";
const AGENT: &str = "agent";

/// What stands in one place. Fields end in the order in which they stand.
pub(super) struct Stand {
    mounts: Vec<(Far, Near, Address)>,
    _proxies: Vec<Proxy>,
    _agent: Agent,
    _authority: Authority,
    database: Database,
    flusher: Runner,
    _place: Place,
}

impl Stand {
    pub(super) fn start(kind: Kind) -> Result<Self> {
        let place = Place::new("matrix")?;
        let database = Database::start_with(kind.flavor(), &place, &kind.options())?;
        let authority = Authority::start(&place)?;
        let client_key = authority.create_account(ACCOUNT, Dialect::Ours)?;
        let agent_key = authority.create_account(AGENT, Dialect::Ours)?;
        let loopback = Loopback::reserve()?;
        let (mut instances, mut mounts) = (Vec::new(), Vec::new());
        let (mut tcp, mut sockets) = (Vec::new(), Vec::new());
        for (far, name, leg) in legs(kind, &database)? {
            // Where TLS is the point there is nothing else: some clients cannot demand it.
            let encrypted = format!("{name}-tls");
            for name in [name, &encrypted] {
                publish(&authority, kind, name, &loopback)?;
            }
            let listener = Address::Tcp {
                host: loopback.ip(),
                port: place.free_port()?,
            };
            instances.push(format!("{name}?database={leg}&mysql-listen={listener}"));
            instances.push(format!("{encrypted}?database={leg}&inner-tls=require"));
            mounts.push((far, Near::Listener, listener));
            for (near, name) in [(Near::Tcp, name), (Near::Tls, &encrypted)] {
                let mount = Mount::tcp(&place, name)?;
                mounts.push((far, near, mount.address().clone()));
                tcp.push(mount);
            }
            let mount = Mount::socket(&place, name)?;
            mounts.push((far, Near::Socket, mount.address().clone()));
            sockets.push(mount);
        }
        let agent = Agent::start(&place, &agent_key, loopback, &instances)?;
        let proxies = [tcp, sockets]
            .iter()
            .map(|mounts| Proxy::start(&place, &client_key, mounts, &[]))
            .collect::<Result<_>>()?;
        Ok(Self {
            mounts,
            _proxies: proxies,
            _agent: agent,
            _authority: authority,
            database,
            flusher: Runner::start(Client::GoSqlDriver)?,
            _place: place,
        })
    }

    /// Empties the authentication cache.
    pub(super) fn flush(&mut self) -> Result<()> {
        let answer = self
            .flusher
            .query(&self.database.harness(), "FLUSH PRIVILEGES")?;
        answer.context("flushing the cache").map(drop)
    }

    pub(super) fn version(&self) -> Result<String> {
        let rows = self.database.execute("SELECT VERSION()")?;
        rows.into_iter()
            .flatten()
            .next()
            .flatten()
            .context("a version")
    }

    /// Where a cell's client connects to, and how.
    pub(super) fn target(&self, cell: &Cell) -> Result<Target> {
        let login = Login::new(cell.plugin.user(), PASSWORD, SCHEMA);
        let tls = match cell.near {
            Near::Tls | Near::Listener => Tls::Required,
            Near::Tcp | Near::Socket => Tls::Off,
        };
        let address = match (cell.far, cell.near) {
            (Far::Direct, Near::Socket) => Address::Socket(self.database.socket().to_owned()),
            (Far::Direct, _) => self.database.address().clone(),
            (far, near) => self
                .mounts
                .iter()
                .find(|mount| (mount.0, mount.1) == (far, near))
                .map(|mount| mount.2.clone())
                .with_context(|| format!("no mount for {cell}"))?,
        };
        Ok(Target::new(address, login, tls))
    }
}

fn legs(kind: Kind, database: &Database) -> Result<Vec<(Far, &'static str, String)>> {
    let mut legs = vec![
        (
            Far::Unix,
            "db-unix",
            format!("unix:{}", database.socket().display()),
        ),
        (Far::Tcp, "db-tcp", format!("tcp:{}", database.address())),
    ];
    if kind.has_tls() {
        let fingerprint = database.fingerprint()?;
        let leg = format!(
            "tls:{}&database-fingerprint=sha256:{fingerprint}",
            database.address()
        );
        legs.push((Far::Tls, "db-tls", leg));
    }
    Ok(legs)
}

/// Creates an instance that the agent is at.
fn publish(authority: &Authority, kind: Kind, name: &str, at: &Loopback) -> Result<()> {
    let version = kind.flavor().database_version();
    authority.create_instance(name, &at.ip().to_string(), version)?;
    authority.grant(name, ACCOUNT, "client")?;
    authority.grant(name, AGENT, "agent")
}
