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
        let mut instances = Vec::new();
        let (mut tcp, mut sockets, mut listeners) = (Vec::new(), Vec::new(), Vec::new());
        for (far, name, leg) in legs(kind, &database)? {
            let version = kind.flavor().database_version();
            authority.create_instance(name, &loopback.ip().to_string(), version)?;
            authority.grant(name, ACCOUNT, "client")?;
            authority.grant(name, AGENT, "agent")?;
            let listener = Address::Tcp {
                host: loopback.ip(),
                port: place.free_port()?,
            };
            instances.push(format!("{name}?database={leg}&mysql-listen={listener}"));
            listeners.push((far, Near::Listener, listener));
            tcp.push((far, Mount::tcp(&place, name)?));
            sockets.push((far, Mount::socket(&place, name)?));
        }
        let agent = Agent::start(&place, &agent_key, loopback, &instances)?;
        let mut mounts = addresses(&tcp, &[Near::Tcp, Near::Tls]);
        mounts.extend(addresses(&sockets, &[Near::Socket]));
        mounts.extend(listeners);
        let mut proxies = Vec::new();
        for group in [tcp, sockets] {
            let group: Vec<Mount> = group.into_iter().map(|(_, mount)| mount).collect();
            proxies.push(Proxy::start(&place, &client_key, &group, &[])?);
        }
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

fn addresses(mounts: &[(Far, Mount)], nears: &[Near]) -> Vec<(Far, Near, Address)> {
    let all = mounts.iter();
    all.flat_map(|(far, mount)| {
        nears
            .iter()
            .map(|near| (*far, *near, mount.address().clone()))
    })
    .collect()
}
