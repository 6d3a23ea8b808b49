//! One database behind agents by every kind of database leg, each with a recording relay before it, and for each a
//! port and a Unix socket of our client program, and a listener of the agent. Tests take turns on it; it ends with
//! the last test that holds it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use e2e::agent::Agent;
use e2e::authority::{Authority, Dialect};
use e2e::clients::{Address, Answer, Client, Login, Runner, Target, Tls};
use e2e::databases::{Database, DatabaseOptions, Flavor, SCHEMA};
use e2e::place::{Loopback, Place, free_port_at};
use e2e::proxy::{Mount, Proxy, write_ca_certificate};
use e2e::relay::Relay;

use super::legs::{Door, Leg};
use super::trace::Trace;

/// An address that the agent's certificate is for.
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// One way to the database. Fields end in the order in which they stand.
struct Way {
    leg: Leg,
    port: Address,
    socket: Address,
    listener: Address,
    ca: PathBuf,
    relay: Relay,
}

/// Fields end in the order in which they stand.
pub(super) struct Stage {
    runners: RefCell<HashMap<Client, Runner>>,
    _proxies: [Proxy; 2],
    _agents: Vec<Agent>,
    ways: Vec<Way>,
    base: Base,
}

/// What agents and clients stand on.
struct Base {
    authority: Authority,
    database: Database,
    clients_key: PathBuf,
    agents_key: PathBuf,
    place: Place,
}

impl Stage {
    /// Starts all of it.
    pub(super) fn start(flavor: Flavor, options: &DatabaseOptions) -> Self {
        Self::start_with(flavor, options, "")
    }

    /// Starts all of it; `parameters` stand behind every instance of the agents.
    pub(super) fn start_with(flavor: Flavor, options: &DatabaseOptions, parameters: &str) -> Self {
        let base = Base::start(flavor, options);
        let mut ways = Vec::new();
        let lenient = base.serve(&Leg::LENIENT, "allow", parameters, &mut ways);
        let strict = base.serve(&[Leg::Strict], "require", parameters, &mut ways);
        let mounts: Vec<[Mount; 2]> = ways.iter().map(|way| base.mounts(way.leg)).collect();
        for (way, [port, socket]) in ways.iter_mut().zip(&mounts) {
            way.port = port.address().clone();
            way.socket = socket.address().clone();
        }
        let (ports, sockets): (Vec<Mount>, Vec<Mount>) = mounts
            .into_iter()
            .map(|[port, socket]| (port, socket))
            .unzip();
        Self {
            runners: RefCell::default(),
            _proxies: [base.proxy(&ports), base.proxy(&sockets)],
            _agents: vec![lenient, strict],
            ways,
            base,
        }
    }

    fn way(&self, leg: Leg) -> &Way {
        self.ways.iter().find(|way| way.leg == leg).unwrap()
    }

    pub(super) fn database(&self) -> &Database {
        &self.base.database
    }

    pub(super) fn database_mut(&mut self) -> &mut Database {
        &mut self.base.database
    }

    pub(super) fn place(&self) -> &Place {
        &self.base.place
    }

    /// Where applications connect by TCP to reach the database by `leg`.
    pub(super) fn port(&self, leg: Leg) -> &Address {
        &self.way(leg).port
    }

    /// Where they connect by this door.
    pub(super) fn at(&self, door: Door, leg: Leg) -> &Address {
        match door {
            Door::Client => &self.way(leg).port,
            Door::Agent => &self.way(leg).listener,
        }
    }

    /// Where they connect by Unix socket.
    pub(super) fn socket(&self, leg: Leg) -> &Address {
        &self.way(leg).socket
    }

    /// The certificate of the CA that vouches for the agent.
    pub(super) fn ca(&self, leg: Leg) -> &Path {
        &self.way(leg).ca
    }

    /// A client program that listens on another address.
    pub(super) fn proxy_at(&self, leg: Leg, host: IpAddr) -> (Proxy, Address) {
        let mount = Mount::tcp_at(host, leg.instance()).unwrap();
        let address = mount.address().clone();
        (self.base.proxy(&[mount]), address)
    }

    /// Where the database itself is, by the kind of `leg`.
    pub(super) fn directly(&self, leg: Leg) -> Address {
        leg.to(self.database())
    }

    /// What the relay saw of the last login by `leg`.
    pub(super) fn login_trace(&self, leg: Leg) -> Trace {
        Trace::of_login(self.way(leg).relay.trace().unwrap())
    }

    /// What it saw of the last session's change of user.
    pub(super) fn change_trace(&self, leg: Leg) -> Trace {
        Trace::of_change_user(&self.way(leg).relay.trace().unwrap())
    }

    /// An application of our client program that speaks TLS and verifies the agent's certificate.
    pub(super) fn over_tls(&self, leg: Leg, login: &Login) -> Target {
        self.over_tls_by(Door::Client, leg, login)
    }

    /// The same by either door.
    pub(super) fn over_tls_by(&self, door: Door, leg: Leg, login: &Login) -> Target {
        let address = self.at(door, leg).clone();
        Target::new(address, login.clone(), Tls::VerifyIdentity).trusting(self.ca(leg))
    }

    /// The same without us: TLS on TCP, and none on the Unix socket, where it is not needed. One driver has none of
    /// its own there.
    pub(super) fn without_us(&self, client: Client, leg: Leg, login: &Login) -> Option<Target> {
        let tls = match leg {
            Leg::Unix if client == Client::ConnectorJ => return None,
            Leg::Unix => Tls::Off,
            _ => Tls::Required,
        };
        Some(Target::new(self.directly(leg), login.clone(), tls))
    }

    /// Logs in with the database's cache empty.
    pub(super) fn cold(&self, client: Client, target: &Target, sql: &str) -> Answer {
        self.database().flush().unwrap();
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

    /// Makes the account again, with the usual rights. `identified` is what stands behind IDENTIFIED, and `{}` in it
    /// the password.
    pub(super) fn account(&self, user: &str, identified: &str, password: &str) -> Login {
        let identified = identified.replace("{}", password);
        let sql = format!(
            "DROP USER IF EXISTS '{user}'@'%'; CREATE USER '{user}'@'%' IDENTIFIED {identified}; \
             GRANT ALL PRIVILEGES ON {SCHEMA}.* TO '{user}'@'%'"
        );
        self.database().execute(&sql).unwrap();
        Login::new(user, password, SCHEMA)
    }

    /// Sets a global variable of the database for as long as what comes back lives.
    pub(super) fn set_global<'a>(&'a self, name: &'a str, value: &str) -> Global<'a> {
        let before = self.database().execute(&format!("SELECT @@GLOBAL.{name}"));
        let before = before.unwrap()[0][0].clone().unwrap();
        let set = format!("SET GLOBAL {name} = {value}");
        self.database().execute(&set).unwrap();
        Global {
            stage: self,
            name,
            before,
        }
    }
}

impl Base {
    fn start(flavor: Flavor, options: &DatabaseOptions) -> Self {
        let place = Place::new("acceptance").unwrap();
        let database = Database::start_with(flavor, &place, options).unwrap();
        let authority = Authority::start(&place).unwrap();
        Self {
            clients_key: authority.create_account("shop", Dialect::Ours).unwrap(),
            agents_key: authority.create_account("agent", Dialect::Ours).unwrap(),
            authority,
            database,
            place,
        }
    }

    /// Starts an agent for these legs, with a listener each; notes the ways that it opens.
    fn serve(&self, legs: &[Leg], tls: &str, parameters: &str, ways: &mut Vec<Way>) -> Agent {
        let address = Loopback::reserve().unwrap();
        let at = address.ip().to_string();
        let mut instances = Vec::new();
        for leg in legs {
            self.create(*leg, &at);
            let relay = Relay::start(&self.place, &leg.to(&self.database)).unwrap();
            let listener = Address::Tcp {
                host: LOCALHOST,
                port: free_port_at(LOCALHOST).unwrap(),
            };
            let own = leg.parameters(&relay, &self.place, &self.database);
            let name = leg.instance();
            instances.push(format!("{name}?{own}&mysql-listen={listener}{parameters}"));
            ways.push(Way {
                leg: *leg,
                port: listener.clone(),
                socket: listener.clone(),
                listener,
                ca: self.ca_file(*leg),
                relay,
            });
        }
        let tls = [format!("--mysql-listen-tls={tls}")];
        Agent::start_with(&self.place, &self.agents_key, address, &instances, &tls).unwrap()
    }

    fn create(&self, leg: Leg, at: &str) {
        let (name, version) = (leg.instance(), self.database.flavor().database_version());
        self.authority.create_instance(name, at, version).unwrap();
        self.authority.grant(name, "shop", "client").unwrap();
        self.authority.grant(name, "agent", "agent").unwrap();
    }

    fn ca_file(&self, leg: Leg) -> PathBuf {
        let file = self.place.join(&format!("{}-ca.pem", leg.instance()));
        write_ca_certificate(&self.clients_key, leg.instance(), &file).unwrap();
        file
    }

    fn mounts(&self, leg: Leg) -> [Mount; 2] {
        let port = Mount::tcp_at(LOCALHOST, leg.instance());
        let socket = Mount::socket(&self.place, leg.instance());
        [port.unwrap(), socket.unwrap()]
    }

    fn proxy(&self, mounts: &[Mount]) -> Proxy {
        Proxy::start(&self.place, &self.clients_key, mounts, &[]).unwrap()
    }
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
        drop(self.stage.database().execute(&back));
    }
}
