//! A database behind every way to it: through the tunnel and past it, by Unix socket and by TCP.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::{Context, Result};
use e2e::agent::Agent;
use e2e::authority::{Authority, Dialect};
use e2e::clients::{Address, Login};
use e2e::databases::{Database, DatabaseOptions, Flavor};
use e2e::place::{Loopback, Place};
use e2e::proxy::{Mount, Proxy};
use e2e::raw::meter::Meter;
use e2e::raw::{Raw, ServerError, Wish};

/// The databases that these rows are about.
const FLAVORS: [Flavor; 2] = [Flavor::MySql9, Flavor::MariaDb10];

/// How the agent reaches the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    Unix,
    Tcp,
}

/// A way to a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing in between.
    Past(Leg),
    /// Client and agent, which offers TLS inside the tunnel.
    Tunnel(Leg),
    /// Client and agent by TCP, without TLS inside.
    Quiet,
    /// The agent's listener for MySQL clients, which offers TLS.
    Direct(Leg),
}

impl Way {
    /// Those by which an application may speak TLS.
    pub(super) const TLS: [Self; 4] = [
        Self::Tunnel(Leg::Unix),
        Self::Tunnel(Leg::Tcp),
        Self::Direct(Leg::Unix),
        Self::Direct(Leg::Tcp),
    ];
    /// All that lead through the agent.
    pub(super) const ALL: [Self; 5] = [
        Self::Tunnel(Leg::Unix),
        Self::Tunnel(Leg::Tcp),
        Self::Direct(Leg::Unix),
        Self::Direct(Leg::Tcp),
        Self::Quiet,
    ];

    /// How the agent reaches the database.
    pub(super) const fn leg(self) -> Leg {
        match self {
            Self::Past(leg) | Self::Tunnel(leg) | Self::Direct(leg) => leg,
            Self::Quiet => Leg::Tcp,
        }
    }
}

/// A database, CA, agent and client, with a meter between agent and database. Ends in this order.
pub(super) struct Stand {
    _proxy: Proxy,
    pub(super) agent: Agent,
    _authority: Authority,
    pub(super) unix: Meter,
    pub(super) tcp: Meter,
    mounts: [Mount; 3],
    direct: [Address; 2],
    pub(super) database: Database,
    pub(super) place: Place,
}

impl Stand {
    /// Starts one.
    pub(super) fn start(flavor: Flavor, options: &DatabaseOptions) -> Result<Self> {
        Self::start_with(flavor, options, &[])
    }

    /// The same with further arguments for the agent.
    pub(super) fn start_with(
        flavor: Flavor,
        options: &DatabaseOptions,
        arguments: &[String],
    ) -> Result<Self> {
        let place = Place::new("raw")?;
        let database = Database::start_with(flavor, &place, options)?;
        let unix = Meter::start(&place, &Address::Socket(database.socket().to_owned()))?;
        let tcp = Meter::start(&place, database.address())?;
        let authority = Authority::start(&place)?;
        let client_key = authority.create_account("shop", Dialect::Ours)?;
        let agent_key = authority.create_account("agent", Dialect::Ours)?;
        let address = Loopback::reserve()?;
        let direct = [listener(&place)?, listener(&place)?];
        let [unix_listen, tcp_listen] = direct
            .each_ref()
            .map(|address| format!("mysql-listen={address}"));
        let instances = [
            (
                "db-unix",
                format!("database=unix:{}&{unix_listen}", unix.address()),
            ),
            (
                "db-tcp",
                format!("database=tcp:{}&{tcp_listen}", tcp.address()),
            ),
            (
                "db-quiet",
                format!("database=tcp:{}&inner-tls=off", tcp.address()),
            ),
        ];
        for (name, _) in &instances {
            let version = flavor.database_version();
            authority.create_instance(name, &address.ip().to_string(), version)?;
            authority.grant(name, "shop", "client")?;
            authority.grant(name, "agent", "agent")?;
        }
        let served = instances.map(|(name, parameters)| format!("{name}?{parameters}"));
        let arguments = [&["--mysql-listen-tls=allow".to_owned()], arguments].concat();
        let agent = Agent::start_with(&place, &agent_key, address, &served, &arguments)?;
        let mounts = [
            Mount::tcp(&place, "db-unix")?,
            Mount::tcp(&place, "db-tcp")?,
            Mount::tcp(&place, "db-quiet")?,
        ];
        let proxy = Proxy::start(&place, &client_key, &mounts, &[])?;
        let stand = Self {
            _proxy: proxy,
            agent,
            _authority: authority,
            unix,
            tcp,
            mounts,
            direct,
            database,
            place,
        };
        // The account's password is known to the database's cache from here on.
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
                .map(|flavor| scope.spawn(move || Self::start(flavor, &usual_options()).unwrap()))
                .map(|started| started.join().unwrap())
        });
        let stands = Arc::new(Vec::from(stands));
        *shared = Arc::downgrade(&stands);
        stands
    }

    /// Where an application connects to.
    pub(super) fn address(&self, way: Way) -> Address {
        let [unix, tcp, quiet] = &self.mounts;
        let [direct_unix, direct_tcp] = &self.direct;
        match way {
            Way::Past(Leg::Unix) => Address::Socket(self.database.socket().to_owned()),
            Way::Past(Leg::Tcp) => self.database.address().clone(),
            Way::Tunnel(Leg::Unix) => unix.address().clone(),
            Way::Tunnel(Leg::Tcp) => tcp.address().clone(),
            Way::Quiet => quiet.address().clone(),
            Way::Direct(Leg::Unix) => direct_unix.clone(),
            Way::Direct(Leg::Tcp) => direct_tcp.clone(),
        }
    }

    /// What passes between agent and database.
    pub(super) fn meter(&self, way: Way) -> &Meter {
        match way.leg() {
            Leg::Unix => &self.unix,
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

    /// A number that the database counts.
    pub(super) fn status(&self, name: &str) -> u64 {
        let rows = self
            .database
            .execute(&format!("SHOW GLOBAL STATUS LIKE '{name}'"));
        rows.unwrap()[0][1].as_ref().unwrap().parse().unwrap()
    }
}

/// A free port for a listener of the agent.
fn listener(place: &Place) -> Result<Address> {
    let (host, port) = (place.address(), place.free_port()?);
    Ok(Address::Tcp { host, port })
}

/// Options that let a session do all that these tests ask for.
pub(super) fn usual_options() -> DatabaseOptions {
    DatabaseOptions::default()
        .argument("--max-allowed-packet=256M")
        .argument("--local-infile=ON")
}

/// The error of the server in a failed login.
pub(super) fn server_error(outcome: Result<()>) -> ServerError {
    let error = outcome.expect_err("this must be refused");
    match error.downcast::<ServerError>() {
        Ok(error) => error,
        Err(error) => panic!("not an ERR packet: {error:#}"),
    }
}
