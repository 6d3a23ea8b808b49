//! One database behind one agent by every kind of database leg, each with a recording relay before it, and a client
//! with a TCP port and a Unix socket for each. Tests take turns on it; it ends with the last test that holds it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use e2e::agent::Agent;
use e2e::authority::{Authority, Dialect};
use e2e::clients::{Address, Answer, Client, Login, Runner, Target, Tls};
use e2e::databases::{Database, DatabaseOptions, Flavor, PASSWORD, SCHEMA};
use e2e::place::{Loopback, Place};
use e2e::proxy::{Mount, Proxy, write_ca_certificate};
use e2e::relay::Relay;

use super::trace::Trace;

/// An address that the agent's certificate is for.
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The clients that the acceptance list names most often.
pub(super) const USUAL: [Client; 6] = [
    Client::MysqlCli,
    Client::MariadbCli11,
    Client::PyMySql,
    Client::Mysql2,
    Client::PhpMysqli,
    Client::ConnectorJ,
];

/// How the agent reaches the database: an instance each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    Tcp,
    Unix,
    /// TCP, and applications must speak TLS.
    Strict,
    /// TCP to a port where nothing listens.
    Down,
}

impl Leg {
    /// Those of which the acceptance list says that they carry a session in the clear.
    pub(super) const PLAIN: [Self; 2] = [Self::Tcp, Self::Unix];
    const ALL: [Self; 4] = [Self::Tcp, Self::Unix, Self::Strict, Self::Down];

    const fn instance(self) -> &'static str {
        match self {
            Self::Tcp => "over-tcp",
            Self::Unix => "over-unix",
            Self::Strict => "strict",
            Self::Down => "down",
        }
    }

    /// The instance's parameters behind its name.
    fn parameters(self, relay: &Relay, place: &Place) -> String {
        let place = match (self, relay.address()) {
            (Self::Down, _) => {
                format!("tcp:{}:{}", place.address(), place.free_port().unwrap())
            }
            (_, Address::Tcp { host, port }) => format!("tcp:{host}:{port}"),
            (_, Address::Socket(path)) => format!("unix:{}", path.display()),
        };
        let tls = if self == Self::Strict {
            "&inner-tls=require"
        } else {
            ""
        };
        format!("database={place}{tls}")
    }
}

/// One way to the database. Fields end in the order in which they stand.
struct Way {
    leg: Leg,
    port: Address,
    socket: Address,
    ca: PathBuf,
    relay: Relay,
}

/// Fields end in the order in which they stand.
pub(super) struct Stage {
    runners: RefCell<HashMap<Client, Runner>>,
    _proxies: [Proxy; 2],
    _agent: Agent,
    ways: Vec<Way>,
    _authority: Authority,
    pub(super) database: Database,
    key_file: PathBuf,
    pub(super) place: Place,
}

impl Stage {
    /// Starts all of it.
    pub(super) fn start(flavor: Flavor, options: &DatabaseOptions) -> Self {
        let place = Place::new("acceptance").unwrap();
        let database = Database::start_with(flavor, &place, options).unwrap();
        let authority = Authority::start(&place).unwrap();
        let key_file = authority.create_account("shop", Dialect::Ours).unwrap();
        let agents_key = authority.create_account("agent", Dialect::Ours).unwrap();
        let address = Loopback::reserve().unwrap();
        let (at, version) = (
            address.ip().to_string(),
            database.flavor().database_version(),
        );
        let mut arguments = Vec::new();
        let mut relays = Vec::new();
        for leg in Leg::ALL {
            let name = leg.instance();
            authority.create_instance(name, &at, version).unwrap();
            authority.grant(name, "shop", "client").unwrap();
            authority.grant(name, "agent", "agent").unwrap();
            let relay = relay(leg, &place, &database);
            arguments.push(format!("{name}?{}", leg.parameters(&relay, &place)));
            relays.push((leg, relay));
        }
        let agent = Agent::start(&place, &agents_key, address, &arguments).unwrap();
        let ports = Leg::ALL.map(|leg| Mount::tcp_at(LOCALHOST, leg.instance()).unwrap());
        let sockets = Leg::ALL.map(|leg| Mount::socket(&place, leg.instance()).unwrap());
        let proxies =
            [&ports, &sockets].map(|mounts| Proxy::start(&place, &key_file, mounts, &[]).unwrap());
        let ways = relays.into_iter().zip(ports.iter().zip(&sockets));
        let way = |((leg, relay), (port, socket)): ((Leg, Relay), (&Mount, &Mount))| Way {
            leg,
            port: port.address().clone(),
            socket: socket.address().clone(),
            ca: ca_file(&place, &key_file, leg),
            relay,
        };
        Self {
            runners: RefCell::default(),
            _proxies: proxies,
            _agent: agent,
            ways: ways.map(way).collect(),
            _authority: authority,
            database,
            key_file,
            place,
        }
    }

    fn way(&self, leg: Leg) -> &Way {
        self.ways.iter().find(|way| way.leg == leg).unwrap()
    }

    /// Where applications connect by TCP to reach the database by `leg`.
    pub(super) fn port(&self, leg: Leg) -> &Address {
        &self.way(leg).port
    }

    /// The same by Unix socket.
    pub(super) fn socket(&self, leg: Leg) -> &Address {
        &self.way(leg).socket
    }

    /// The certificate of the CA that vouches for the agent.
    pub(super) fn ca(&self, leg: Leg) -> &Path {
        &self.way(leg).ca
    }

    /// A client that listens on another address.
    pub(super) fn proxy_at(&self, leg: Leg, host: IpAddr) -> (Proxy, Address) {
        let mount = Mount::tcp_at(host, leg.instance()).unwrap();
        let address = mount.address().clone();
        let proxy = Proxy::start(&self.place, &self.key_file, &[mount], &[]).unwrap();
        (proxy, address)
    }

    /// Where the database itself is, by the kind of `leg`.
    pub(super) fn directly(&self, leg: Leg) -> Address {
        match leg {
            Leg::Unix => Address::Socket(self.database.socket().to_owned()),
            Leg::Tcp | Leg::Strict | Leg::Down => self.database.address().clone(),
        }
    }

    /// Sets a global variable of the database for as long as what comes back lives.
    pub(super) fn set_global<'a>(&'a self, name: &'a str, value: &str) -> Global<'a> {
        let before = self.database.execute(&format!("SELECT @@GLOBAL.{name}"));
        let before = before.unwrap()[0][0].clone().unwrap();
        let set = format!("SET GLOBAL {name} = {value}");
        self.database.execute(&set).unwrap();
        Global {
            stage: self,
            name,
            before,
        }
    }

    /// What the relay saw of the last login by `leg`.
    pub(super) fn login_trace(&self, leg: Leg) -> Trace {
        Trace::of_login(self.way(leg).relay.trace().unwrap())
    }

    /// An application that speaks TLS and verifies the agent's certificate.
    pub(super) fn over_tls(&self, leg: Leg, login: &Login) -> Target {
        let way = self.way(leg);
        Target::new(way.port.clone(), login.clone(), Tls::VerifyIdentity).trusting(&way.ca)
    }

    /// The same without us: TLS on TCP, and none on the Unix socket, where it is not needed. One driver has none of
    /// its own there.
    pub(super) fn without_us(&self, client: Client, leg: Leg, login: &Login) -> Option<Target> {
        let tls = match leg {
            Leg::Unix if client == Client::ConnectorJ => return None,
            Leg::Unix => Tls::Off,
            Leg::Tcp | Leg::Strict | Leg::Down => Tls::Required,
        };
        Some(Target::new(self.directly(leg), login.clone(), tls))
    }

    /// Logs in with the database's cache empty.
    pub(super) fn cold(&self, client: Client, target: &Target, sql: &str) -> Answer {
        self.database.flush().unwrap();
        self.query(client, target, sql)
    }

    /// Logs in with the cache as it is. A driver's program goes on running, because some take long to start.
    pub(super) fn query(&self, client: Client, target: &Target, sql: &str) -> Answer {
        let mut runners = self.runners.borrow_mut();
        let runner = runners
            .entry(client)
            .or_insert_with(|| Runner::start(client).unwrap());
        runner.query(target, sql).unwrap()
    }

    /// Makes the account again, with the usual rights and password. `identified` is what stands behind IDENTIFIED,
    /// and `{}` in it the password.
    pub(super) fn account(&self, user: &str, identified: &str, password: &str) -> Login {
        let identified = identified.replace("{}", password);
        self.database
            .execute(&format!(
                "DROP USER IF EXISTS '{user}'@'%'; CREATE USER '{user}'@'%' IDENTIFIED {identified}; \
                 GRANT ALL PRIVILEGES ON {SCHEMA}.* TO '{user}'@'%'"
            ))
            .unwrap();
        Login::new(user, password, SCHEMA)
    }
}

fn ca_file(place: &Place, key_file: &Path, leg: Leg) -> PathBuf {
    let file = place.join(&format!("{}-ca.pem", leg.instance()));
    write_ca_certificate(key_file, leg.instance(), &file).unwrap();
    file
}

/// The account that every database has.
pub(super) fn app() -> Login {
    Login::new("app", PASSWORD, SCHEMA)
}

fn relay(leg: Leg, place: &Place, database: &Database) -> Relay {
    let to = match leg {
        Leg::Unix => Address::Socket(database.socket().to_owned()),
        Leg::Tcp | Leg::Strict | Leg::Down => database.address().clone(),
    };
    Relay::start(place, &to).unwrap()
}

/// A global variable of the database, as it was again when this ends.
pub(super) struct Global<'a> {
    stage: &'a Stage,
    name: &'a str,
    before: String,
}

impl Drop for Global<'_> {
    fn drop(&mut self) {
        let back = format!("SET GLOBAL {} = {}", self.name, self.before);
        // A database that does not answer has failed the test already.
        drop(self.stage.database.execute(&back));
    }
}

/// A stage that tests share.
pub(super) struct Shared {
    current: Mutex<Weak<Mutex<Stage>>>,
    flavor: Flavor,
}

/// The MySQL 9 of the tests that leave it as it was.
pub(super) static MYSQL: Shared = Shared::new(Flavor::MySql9);
/// The same of MariaDB 10.11.
pub(super) static MARIADB_10: Shared = Shared::new(Flavor::MariaDb10);
/// The same of MariaDB 11.8.
pub(super) static MARIADB: Shared = Shared::new(Flavor::MariaDb11);

impl Shared {
    const fn new(flavor: Flavor) -> Self {
        Self {
            current: Mutex::new(Weak::new()),
            flavor,
        }
    }

    /// The stage that other tests use now, or a new one.
    pub(super) fn get(&self) -> Arc<Mutex<Stage>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.upgrade().unwrap_or_else(|| {
            let stage = Arc::new(Mutex::new(Stage::start(
                self.flavor,
                &DatabaseOptions::default(),
            )));
            *current = Arc::downgrade(&stage);
            stage
        })
    }
}

/// Waits for one's turn. A test that failed leaves nothing behind that spoils the next one's.
pub(super) fn turn(stage: &Mutex<Stage>) -> MutexGuard<'_, Stage> {
    stage.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fails unless the answer is the account that is logged in.
pub(super) fn is_user(answer: Answer, user: &str, check: &str) {
    let mut failures = Failures::default();
    failures.unless_user(answer, user, check);
    failures.none();
}

/// What went wrong in a test of many clients: all of it is told.
#[derive(Default)]
pub(super) struct Failures(Vec<String>);

impl Failures {
    /// Notes what is said unless it holds.
    pub(super) fn unless(&mut self, holds: bool, what: impl Display) {
        if !holds {
            self.0.push(what.to_string());
        }
    }

    /// Notes an answer other than the account that is logged in.
    pub(super) fn unless_user(&mut self, answer: Answer, user: &str, check: &str) {
        let expected = [[Some(format!("{user}@%"))]];
        let holds = answer.as_ref().is_ok_and(|rows| *rows == expected);
        self.unless(holds, format_args!("{check}: {answer:?}"));
    }

    /// Fails with all that was noted.
    pub(super) fn none(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

/// The clients that can be told to insist on TLS: DBD::mysql, as Debian builds it, cannot.
pub(super) fn with_tls() -> impl Iterator<Item = Client> {
    let insists = |client: &Client| *client != Client::PerlMysql;
    Client::ALL.into_iter().filter(insists)
}

/// What [`is_user`] reads.
pub(super) const SHOW_USER: &str = "SELECT CURRENT_USER()";
