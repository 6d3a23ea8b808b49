//! A database behind every way to it: through the tunnel and past it, by Unix socket and by TCP.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::{Context, Result};
use e2e::agent::Agent;
use e2e::authority::{Authority, Dialect};
use e2e::clients::{Address, Login};
use e2e::databases::{Database, DatabaseOptions, Flavor};
use e2e::place::{Loopback, Place, free_port_at};
use e2e::probe::body;
use e2e::proxy::{Mount, Proxy};
use e2e::raw::meter::Meter;
use e2e::raw::{Raw, ServerError, Wish};

pub(super) use super::way::{Leg, Way};

/// The databases that these rows are about.
const FLAVORS: [Flavor; 2] = [Flavor::MySql9, Flavor::MariaDb10];

const INSTANCES: [&str; 5] = ["db-unix", "db-tcp", "db-own", "db-quiet", "db-socket"];

/// A database, CA, agent and client, with a meter between agent and database. Ends in this order.
pub(super) struct Stand {
    _proxy: Proxy,
    pub(super) agent: Agent,
    _authority: Authority,
    unix: Meter,
    tcp: Meter,
    mounts: [Mount; 5],
    direct: [Address; 3],
    database_address: Address,
    pub(super) database: Database,
    pub(super) place: Place,
}

/// How a stand is started.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) options: DatabaseOptions,
    /// Further arguments of the agent.
    pub(super) arguments: Vec<String>,
    /// Whether the agent shows applications the database's own certificate.
    pub(super) databases_certificate: bool,
    /// Where the database, the agent's listeners for MySQL clients and the client's listen instead of on loopback.
    pub(super) outside: Option<IpAddr>,
    /// The engine of the instance by TCP, which then has no listener for MySQL clients.
    pub(super) engine: Option<&'static str>,
}

impl Stand {
    /// Starts one.
    pub(super) fn start(flavor: Flavor, plan: &Plan) -> Result<Self> {
        let place = Place::new("raw")?;
        let listen = plan.outside.unwrap_or_else(|| place.address());
        let mut options = plan.options.clone();
        if let Some(address) = plan.outside {
            options = options.argument(&format!("--bind-address={address}"));
        }
        let database = Database::start_with(flavor, &place, &options)?;
        let database_address = Address::Tcp {
            host: listen,
            port: database.address().port(),
        };
        let unix = Meter::start(&place, &Address::Socket(database.socket().to_owned()))?;
        let tcp = Meter::start(&place, &database_address)?;
        let authority = Authority::start(&place)?;
        let client_key = authority.create_account("shop", Dialect::Ours)?;
        let agent_key = authority.create_account("agent", Dialect::Ours)?;
        let address = Loopback::reserve()?;
        let direct = [listener(listen)?, listener(listen)?, listener(listen)?];
        let meters = [unix.address(), tcp.address()];
        let instances = instances(plan, meters, database.socket(), &direct);
        for name in INSTANCES {
            let version = flavor.database_version();
            authority.create_instance(name, &address.ip().to_string(), version)?;
            authority.grant(name, "shop", "client")?;
            authority.grant(name, "agent", "agent")?;
        }
        let arguments = [
            &["--mysql-listen-tls=allow".to_owned()],
            &plan.arguments[..],
            &certificate(plan, &database),
        ]
        .concat();
        let agent = Agent::start_with(&place, &agent_key, address, &instances, &arguments)?;
        let mounts = mounts(&place, listen)?;
        let proxy = Proxy::start(&place, &client_key, &mounts, &[])?;
        Ok(Self {
            _proxy: proxy,
            agent,
            _authority: authority,
            unix,
            tcp,
            mounts,
            direct,
            database_address,
            database,
            place,
        })
    }

    /// One that an application has logged in to: its password is in the database's cache from here on.
    pub(super) fn warm(flavor: Flavor, plan: &Plan) -> Result<Self> {
        let stand = Self::start(flavor, plan)?;
        Raw::log_in(&stand.address(Way::Past(Leg::Unix)), &stand.wish(false))?;
        Ok(stand)
    }

    /// One of each database, shared by the tests that run at the same time and do each other no harm.
    pub(super) fn shared() -> Arc<Vec<Self>> {
        static SHARED: Mutex<Weak<Vec<Stand>>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stands) = shared.upgrade() {
            return stands;
        }
        let stands = std::thread::scope(|scope| {
            FLAVORS
                .map(|flavor| scope.spawn(move || Self::warm(flavor, &usual()).unwrap()))
                .map(|started| started.join().unwrap())
        });
        let stands = Arc::new(Vec::from(stands));
        *shared = Arc::downgrade(&stands);
        stands
    }

    /// Where an application connects to.
    pub(super) fn address(&self, way: Way) -> Address {
        let [unix, tcp, own, quiet, socket] = &self.mounts;
        let [direct_unix, direct_tcp, direct_own] = &self.direct;
        match way {
            Way::Past(Leg::Unix | Leg::Own) => Address::Socket(self.database.socket().to_owned()),
            Way::Past(Leg::Tcp) => self.database_address.clone(),
            Way::Tunnel(Leg::Unix) => unix.address().clone(),
            Way::Tunnel(Leg::Own) => own.address().clone(),
            Way::Direct(Leg::Own) => direct_own.clone(),
            Way::Tunnel(Leg::Tcp) => tcp.address().clone(),
            Way::Quiet => quiet.address().clone(),
            Way::Socket => socket.address().clone(),
            Way::Direct(Leg::Unix) => direct_unix.clone(),
            Way::Direct(Leg::Tcp) => direct_tcp.clone(),
        }
    }

    /// What passes between agent and database.
    pub(super) fn meter(&self, way: Way) -> &Meter {
        match way.leg() {
            Leg::Unix | Leg::Own => &self.unix,
            Leg::Tcp => &self.tcp,
        }
    }

    /// The account of an application.
    pub(super) fn login(&self) -> Login {
        let [usual, _] = self.database.flavor().logins();
        usual
    }

    /// Its login.
    pub(super) fn wish(&self, tls: bool) -> Wish {
        Wish::new(&self.login(), tls)
    }

    /// A greeting.
    pub(super) fn open(&self, way: Way) -> Raw {
        let opened = Raw::open(&self.address(way));
        opened.with_context(|| self.what(way)).unwrap()
    }

    /// A session.
    pub(super) fn log_in(&self, way: Way, tls: bool) -> Raw {
        let session = Raw::log_in(&self.address(way), &self.wish(tls));
        session.with_context(|| self.what(way)).unwrap()
    }

    /// For messages.
    pub(super) fn what(&self, way: Way) -> String {
        format!("{} by {way:?}", self.database.flavor().name())
    }

    /// A number that the agent counts, of all labels in which `label` is found.
    pub(super) fn metric(&self, name: &str, label: &str) -> u64 {
        let metrics = body(self.agent.health(), "/metrics").unwrap();
        let counts = metrics
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(label))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
        counts.sum()
    }

    /// A number that the database counts.
    pub(super) fn status(&self, name: &str) -> u64 {
        let rows = self
            .database
            .execute(&format!("SHOW GLOBAL STATUS LIKE '{name}'"));
        rows.unwrap()[0][1].as_ref().unwrap().parse().unwrap()
    }
}

/// The instances as the agent is told them.
fn instances(
    plan: &Plan,
    [unix, tcp]: [&Address; 2],
    own: &Path,
    [unix_listen, tcp_listen, own_listen]: &[Address; 3],
) -> [String; 5] {
    let own = own.display();
    let only_mysql = match plan.engine {
        None => format!("&mysql-listen={tcp_listen}"),
        Some(engine) => format!("&engine={engine}"),
    };
    [
        format!("db-unix?database=unix:{unix}&mysql-listen={unix_listen}"),
        format!("db-tcp?database=tcp:{tcp}{only_mysql}"),
        format!("db-own?database=unix:{own}&mysql-listen={own_listen}"),
        format!("db-quiet?database=tcp:{tcp}&inner-tls=off"),
        format!("db-socket?database=tcp:{tcp}"),
    ]
}

/// Where applications find them.
fn mounts(place: &Place, listen: IpAddr) -> Result<[Mount; 5]> {
    let [unix, tcp, own, quiet, socket] = INSTANCES;
    Ok([
        Mount::tcp_at(listen, unix)?,
        Mount::tcp_at(listen, tcp)?,
        Mount::tcp_at(listen, own)?,
        Mount::tcp_at(listen, quiet)?,
        Mount::socket(place, socket)?,
    ])
}

/// A free port for a listener of the agent.
fn listener(host: IpAddr) -> Result<Address> {
    let port = free_port_at(host)?;
    Ok(Address::Tcp { host, port })
}

/// A stand whose sessions may do all that these tests ask for.
pub(super) fn usual() -> Plan {
    Plan {
        options: DatabaseOptions::default()
            .argument("--max-allowed-packet=256M")
            .argument("--local-infile=ON"),
        ..Plan::default()
    }
}

/// The error of the server in a failed login.
pub(super) fn server_error(outcome: Result<()>) -> ServerError {
    let error = outcome.expect_err("this must be refused");
    match error.downcast::<ServerError>() {
        Ok(error) => error,
        Err(error) => panic!("not an ERR packet: {error:#}"),
    }
}

/// The agent's arguments by which it shows the database's certificate.
fn certificate(plan: &Plan, database: &Database) -> Vec<String> {
    let data = database.ca().filter(|_| plan.databases_certificate);
    let file = |flag: &str, name| {
        let path = data.as_ref()?.with_file_name(name);
        Some(format!("--{flag}={}", path.display()))
    };
    [
        file("local-certificate", "server-cert.pem"),
        file("local-key", "server-key.pem"),
    ]
    .into_iter()
    .flatten()
    .collect()
}
