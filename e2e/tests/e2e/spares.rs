//! Tunnels that the client keeps ready: applications wait for no handshake, and the database hears of none.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use e2e::agent::Leg;
use e2e::clients::{Answer, Client, Target};
use e2e::databases::Flavor;
use e2e::probe::body;
use e2e::proxy::{Mount, Proxy};
use e2e::tally;
use e2e::wait::{PATIENCE, until};
use e2e::world::{CLIENT_ACCOUNT, World, instance};

const FLAVOR: Flavor = Flavor::MySql9;
const CLIENT: Client = Client::MysqlCli;
/// How soon everybody knows of a withdrawn grant.
const NEWS: Duration = Duration::from_secs(2);
const ACCESS_DENIED: u32 = 1045;
const READY: &str = "cloudsqlconn_spare_tunnels{";
const WAITING: &str = "csql_server_spares ";

/// A world with a client that has tunnels ready.
struct Stand {
    proxy: Proxy,
    metrics: SocketAddr,
    target: Target,
    world: World,
}

impl Stand {
    fn start(flavor: Flavor) -> Self {
        let world = World::start(flavor).unwrap();
        let mount = Mount::tcp(&world.place, instance(Leg::Unix)).unwrap();
        let [login, _] = flavor.logins();
        let target = Target::usual(mount.address().clone(), login);
        let metrics = SocketAddr::new(world.place.address(), world.place.free_port().unwrap());
        let flags = [
            "--prometheus".to_owned(),
            format!("--http-address={}", metrics.ip()),
            format!("--http-port={}", metrics.port()),
            "--log-level=session=info".to_owned(),
        ];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let proxy = Proxy::start(&world.place, world.key_file(), &[mount], &flags).unwrap();
        let stand = Self {
            proxy,
            metrics,
            target,
            world,
        };
        // The first one's cache of passwords, and two that come shortly after each other.
        for _ in 0..3 {
            stand.assert_works();
        }
        stand.until_ready();
        stand
    }

    fn query(&self) -> Answer {
        CLIENT.query(&self.target, "SELECT 42").unwrap()
    }

    fn assert_works(&self) {
        assert_eq!(self.query().unwrap(), [[Some("42".to_owned())]]);
    }

    fn until_ready(&self) {
        until("tunnels to be ready", PATIENCE, || {
            Ok((self.ready() >= 2 && self.waiting() >= 2).then_some(()))
        })
        .unwrap();
    }

    /// How many the client has ready.
    fn ready(&self) -> u64 {
        value(self.metrics, READY)
    }

    /// How many wait at the agent.
    fn waiting(&self) -> u64 {
        value(self.world.agents()[0].health(), WAITING)
    }

    fn events(&self, event: &str) -> u64 {
        let text = body(self.metrics, "/metrics").unwrap();
        let of_event = format!("event=\"{event}\"");
        let mut lines = text.lines();
        let line = lines.find(|line| {
            line.starts_with("cloudsqlconn_spare_tunnel_events_total{") && line.contains(&of_event)
        });
        line.map_or(0, last)
    }

    /// A number that the database counts.
    fn status(&self, name: &str) -> u64 {
        let sql = format!("SHOW GLOBAL STATUS LIKE '{name}'");
        let rows = self.world.database.execute(&sql).unwrap();
        rows[0][1].as_ref().unwrap().parse().unwrap()
    }
}

fn value(address: SocketAddr, name: &str) -> u64 {
    let text = body(address, "/metrics").unwrap();
    let line = text.lines().find(|line| line.starts_with(name));
    line.map_or(0, last)
}

fn last(line: &str) -> u64 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn passed(flavor: Flavor, check: &str) {
    tally::passed(flavor.name(), CLIENT.name(), check).unwrap();
}

fn applications_get_them_and_the_database_counts_none(flavor: Flavor) {
    let mut stand = Stand::start(flavor);
    let (aborted, used) = (stand.status("Aborted_connects"), stand.events("used"));
    let connections = stand.status("Connections");
    for _ in 0..5 {
        stand.assert_works();
        stand.until_ready();
    }
    assert_eq!(stand.events("used"), used + 5);
    let log = stand.proxy.process().log();
    let lines = log.lines().filter(|line| line.contains("session ended"));
    let ready: Vec<&str> = lines
        .filter(|line| line.contains("was_ready=true") || line.contains("\"was_ready\":true"))
        .collect();
    assert!(ready.len() >= 5, "{log}");
    for line in ready {
        let plain = line.replace(['"', ':'], "=");
        for leg in ["tcp_ms", "tls_ms"] {
            let waited = plain.split(leg).nth(1).unwrap();
            assert!(waited.trim_start_matches('=').starts_with('0'), "{line}");
        }
    }
    // Five applications and our own questions; and when the client goes, so do those that were never used.
    let Stand { proxy, world, .. } = stand;
    drop(proxy);
    let health = world.agents()[0].health();
    until("the agent to see them go", PATIENCE, || {
        Ok((value(health, WAITING) == 0).then_some(()))
    })
    .unwrap();
    let count = |name: &str| -> u64 {
        let sql = format!("SHOW GLOBAL STATUS LIKE '{name}'");
        let rows = world.database.execute(&sql).unwrap();
        rows[0][1].as_ref().unwrap().parse().unwrap()
    };
    assert_eq!(count("Aborted_connects"), aborted);
    let own = 2;
    assert_eq!(count("Connections"), connections + 5 + own);
    passed(flavor, "tunnels kept ready");
}

#[test]
fn applications_get_tunnels_that_are_ready_and_mysql_9_counts_none_that_wait() {
    applications_get_them_and_the_database_counts_none(Flavor::MySql9);
}

#[test]
fn applications_get_tunnels_that_are_ready_and_mariadb_10_11_counts_none_that_wait() {
    applications_get_them_and_the_database_counts_none(Flavor::MariaDb10);
}

#[test]
fn after_a_crash_of_the_agent_the_first_application_is_served() {
    let mut stand = Stand::start(FLAVOR);
    stand.world.crash_agents().unwrap();
    stand.world.resume_agents().unwrap();
    stand.assert_works();
    stand.until_ready();
    passed(FLAVOR, "tunnels kept ready, agent crashed");
}

#[test]
fn a_withdrawn_grant_ends_those_that_wait_and_opens_none() {
    let stand = Stand::start(FLAVOR);
    let withdrawal = [
        "ungrant",
        "--instance",
        instance(Leg::Unix),
        "--service-account",
        CLIENT_ACCOUNT,
        "--role",
        "client",
    ];
    stand.world.authority.admin(&withdrawal).unwrap();
    let since = Instant::now();
    until("the tunnels to end", PATIENCE, || {
        Ok((stand.waiting() == 0).then_some(()))
    })
    .unwrap();
    let took = since.elapsed();
    assert!(took < NEWS, "{took:?}");
    let error = stand.query().unwrap_err();
    assert_eq!(error.code, ACCESS_DENIED, "{error}");
    assert!(error.message.contains("[no-grant]"), "{error}");
    passed(FLAVOR, "tunnels kept ready, grant withdrawn");
}
