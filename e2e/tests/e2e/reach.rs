//! Names that lead to agents and instances: several agents behind one, and one that is turned to another instance, with
//! sessions open all the while.

use std::net::{IpAddr, Ipv4Addr};

use e2e::agent::{Agent, Leg};
use e2e::clients::{Address, Client, Target};
use e2e::databases::Flavor;
use e2e::nameserver::{Entry, Nameserver};
use e2e::place::{AGENT_PORT, Loopback};
use e2e::proxy::{Mount, Proxy};
use e2e::raw::{Raw, Wish};
use e2e::tally;
use e2e::wait::{PATIENCE, until};
use e2e::world::{AGENT_ACCOUNT, CLIENT_ACCOUNT, World, instance};

const FLAVOR: Flavor = Flavor::MySql9;
const CLIENT: Client = Client::MysqlCli;
const DOMAIN: &str = "db.e2e.test";
const SERVICE: &str = "_csql._tcp.e2e.test";

/// A world with a second agent for the same instances, and names.
struct Stand {
    second: Agent,
    names: Nameserver,
    world: World,
}

impl Stand {
    fn start() -> Self {
        let world = World::start(FLAVOR).unwrap();
        let argument = |leg: Leg| leg.argument(instance(leg), &world.database);
        let key_file = world.place.join(&format!("{AGENT_ACCOUNT}.json"));
        let address = Loopback::reserve().unwrap();
        let instances = Leg::ALL.map(argument);
        Self {
            second: Agent::start(&world.place, &key_file, address, &instances).unwrap(),
            names: Nameserver::start().unwrap(),
            world,
        }
    }

    fn addresses(&self) -> [Ipv4Addr; 2] {
        [self.world.agents()[0].address(), self.second.address()].map(|ip| match ip {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(ip) => panic!("{ip} is no IPv4 address"),
        })
    }

    fn named(leg: Leg) -> Entry {
        Entry::Text(format!("acme:lab1:{}", instance(leg)))
    }

    /// A client of this instance, or of what leads to one, that opens each tunnel afresh.
    fn client(&self, wanted: &str, flags: &[&str]) -> (Proxy, Address) {
        let place = &self.world.place;
        let mount = Mount::tcp(place, wanted).unwrap();
        let address = mount.address().clone();
        let proxy = Proxy::start_in(place, &[mount], |command| {
            command
                .arg("--credentials-file")
                .arg(self.world.key_file())
                .arg("--spare-tunnels=0")
                .args(flags);
            *command = self.names.asked_by(place, command).unwrap();
        });
        (proxy.unwrap(), address)
    }
}

fn works(address: &Address) -> bool {
    let [login, _] = FLAVOR.logins();
    let target = Target::usual(address.clone(), login);
    let answer = CLIENT.query(&target, "SELECT 42").unwrap();
    answer.is_ok_and(|rows| rows == [[Some("42".to_owned())]])
}

fn session(address: &Address) -> Raw {
    let [login, _] = FLAVOR.logins();
    Raw::log_in(address, &Wish::new(&login, false)).unwrap()
}

fn is_alive(session: &mut Raw) -> bool {
    session.text("SELECT 42").is_ok_and(|text| text == "42")
}

/// The two instances are one database, reached by a Unix socket and by TCP.
fn is_by_socket(session: &mut Raw) -> bool {
    let host = "SELECT host FROM information_schema.processlist WHERE id = CONNECTION_ID()";
    session.text(host).unwrap() == "localhost"
}

fn passed(check: &str) {
    tally::passed(FLAVOR.name(), CLIENT.name(), check).unwrap();
}

/// Whichever of the two dies: new sessions go through the other at once, and those there do not notice.
fn either_may_die(stand: &mut Stand, address: &Address) {
    assert!(works(address));
    stand.world.crash_agents().unwrap();
    let mut kept = session(address);
    stand.world.resume_agents().unwrap();
    assert!(works(address));
    stand.world.crash_agents().unwrap();
    assert!(works(address), "the other agent was not found");
    assert!(is_alive(&mut kept), "a session through it was touched");
    stand.world.resume_agents().unwrap();
    stand.second.crash().unwrap();
    assert!(works(address), "the first agent was not found again");
    assert!(!is_alive(&mut kept), "it went through neither");
    stand.second.resume().unwrap();
}

#[test]
fn when_an_agent_behind_a_name_dies_the_other_takes_over_and_its_sessions_stay() {
    let mut stand = Stand::start();
    let [first, second] = stand.addresses().map(Entry::Address);
    stand.names.says(&[
        (DOMAIN, Stand::named(Leg::Unix)),
        (DOMAIN, first),
        (DOMAIN, second),
    ]);
    // As the instance's name, whose own addresses count; and as where to connect, which the system resolves.
    let (_proxy, address) = stand.client(DOMAIN, &[]);
    either_may_die(&mut stand, &address);
    let there = format!("--connect-to={DOMAIN}:{AGENT_PORT}");
    let (_proxy, address) = stand.client(instance(Leg::Unix), &[&there]);
    either_may_die(&mut stand, &address);
    passed("one of two agents dies");
}

#[test]
fn a_service_of_dns_leads_to_its_agents_one_after_the_other() {
    let mut stand = Stand::start();
    let [first, second] = stand.addresses().map(Entry::Address);
    let service = |priority, host: &str| Entry::Service(priority, AGENT_PORT, host.to_owned());
    stand.names.says(&[
        (SERVICE, service(20, "second.e2e.test")),
        (SERVICE, service(10, "first.e2e.test")),
        ("first.e2e.test", first),
        ("second.e2e.test", second),
    ]);
    let there = format!("--connect-to={SERVICE}");
    let (_proxy, address) = stand.client(instance(Leg::Unix), &[&there]);
    either_may_die(&mut stand, &address);
    passed("agents by SRV record");
}

#[test]
fn the_ca_may_say_that_an_instances_agents_are_a_service_of_dns() {
    const NAME: &str = "db-by-service";
    let stand = Stand::start();
    let world = &stand.world;
    let version = FLAVOR.database_version();
    world
        .authority
        .create_instance(NAME, SERVICE, version)
        .unwrap();
    world
        .authority
        .grant(NAME, CLIENT_ACCOUNT, "client")
        .unwrap();
    world.authority.grant(NAME, AGENT_ACCOUNT, "agent").unwrap();
    let key_file = world.place.join(&format!("{AGENT_ACCOUNT}.json"));
    let there = Loopback::reserve().unwrap();
    let IpAddr::V4(ip) = there.ip() else {
        panic!("no IPv4 address")
    };
    let instances = [Leg::Unix.argument(NAME, &world.database)];
    let _agent = Agent::start(&world.place, &key_file, there, &instances).unwrap();
    stand.names.says(&[
        (
            SERVICE,
            Entry::Service(1, AGENT_PORT, "third.e2e.test".to_owned()),
        ),
        ("third.e2e.test", Entry::Address(ip)),
    ]);
    let (_proxy, address) = stand.client(NAME, &[]);
    assert!(works(&address));
}

#[test]
fn when_the_record_changes_new_sessions_go_to_the_other_instance_and_open_ones_stay_unless_asked() {
    let stand = Stand::start();
    for (grace, stays) in [(None, true), (Some("--switch-grace=0s"), false)] {
        stand.names.says(&[(DOMAIN, Stand::named(Leg::Unix))]);
        let mut flags = vec!["--failover-period=1s"];
        flags.extend(grace);
        let (_proxy, address) = stand.client(DOMAIN, &flags);
        let mut old = session(&address);
        assert!(is_by_socket(&mut old));
        stand.names.says(&[(DOMAIN, Stand::named(Leg::Tcp))]);
        let mut new = until("a session of the other instance", PATIENCE, || {
            let mut session = session(&address);
            Ok((!is_by_socket(&mut session)).then_some(session))
        })
        .unwrap();
        if stays {
            assert!(is_alive(&mut old), "an open session was touched");
        } else {
            let ended = || Ok((!is_alive(&mut old)).then_some(()));
            until("the end of the old session", PATIENCE, ended).unwrap();
        }
        assert!(is_alive(&mut new));
    }
    passed("a domain turned to another instance");
}

#[test]
fn a_domain_that_names_no_instance_is_explained() {
    let stand = Stand::start();
    let (_proxy, address) = stand.client(DOMAIN, &[]);
    let [login, _] = FLAVOR.logins();
    let target = Target::usual(address, login);
    let error = CLIENT.query(&target, "SELECT 42").unwrap().unwrap_err();
    for part in ["[settings]", "TXT", DOMAIN] {
        assert!(error.message.contains(part), "{error}");
    }
    passed("a domain without a record");
}
