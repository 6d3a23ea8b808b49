//! Every client logs in through the tunnel to every database: over TCP and Unix socket, with both kinds of database
//! leg, with the database's authentication cache empty, and right after a restart of the database.

use e2e::agent::Leg;
use e2e::clients::{Address, Client, Login, Runner, Target, Tls};
use e2e::databases::Flavor;
use e2e::proxy::{Mount, Proxy};
use e2e::tally;
use e2e::world::{World, instance};

/// A way through the tunnel.
struct Path {
    leg: Leg,
    address: Address,
}

/// Whether the client knows the account's authentication; what it can do over which transport is the agent's to solve.
fn knows(client: Client, login: &Login) -> bool {
    match login.user.as_str() {
        "app_ed25519" => !matches!(client, Client::MysqlCli | Client::Mysql2),
        _ => true,
    }
}

/// The MariaDB command line that is told nothing about TLS, and is offered none, sends its password for a first login
/// unencrypted. A server behind a Unix socket takes that; over TCP it does not, and the agent must not repair it.
fn tls(client: Client, leg: Leg) -> Tls {
    match (client, leg) {
        (Client::MariadbCli, Leg::Tcp) => Tls::Off,
        _ => Tls::Usual,
    }
}

fn open_paths(world: &World) -> (Vec<Proxy>, Vec<Path>) {
    let place = &world.place;
    let tcp = Leg::ALL.map(|leg| Mount::tcp(place, instance(leg)).unwrap());
    let sockets = Leg::ALL.map(|leg| Mount::socket(place, instance(leg)).unwrap());
    let path = |(leg, mount): (Leg, &Mount)| Path {
        leg,
        address: mount.address().clone(),
    };
    let paths = [&tcp, &sockets]
        .into_iter()
        .flat_map(|mounts| Leg::ALL.into_iter().zip(mounts).map(path))
        .collect();
    (
        vec![world.proxy(&tcp).unwrap(), world.proxy(&sockets).unwrap()],
        paths,
    )
}

struct Trial<'a> {
    flavor: Flavor,
    client: Client,
    failures: &'a mut Vec<String>,
}

impl Trial<'_> {
    fn logs_in(&mut self, path: &Path, login: Login, when: &str) {
        let Path { leg, address } = path;
        let check = format!(
            "{} as {} over {address}, database leg {leg:?}, {when}",
            self.client, login.user
        );
        let target = Target::new(address.clone(), login, tls(self.client, *leg));
        let runner = Runner::start(self.client);
        match runner.and_then(|mut runner| runner.query_again(&target, "SELECT VERSION()")) {
            Ok(Ok(rows))
                if rows[0][0]
                    .as_ref()
                    .unwrap()
                    .starts_with(self.flavor.version()) =>
            {
                tally::passed(self.flavor.name(), self.client.name(), &check).unwrap();
            }
            other => self.failures.push(format!("{check}: {other:?}")),
        }
    }
}

fn logs_in_through_the_tunnel(client: Client, flavor: Flavor) {
    let mut world = World::start(flavor).unwrap();
    let (_proxies, paths) = open_paths(&world);
    let mut failures = Vec::new();
    let mut trial = Trial {
        flavor,
        client,
        failures: &mut failures,
    };
    for path in &paths {
        for login in flavor
            .logins()
            .into_iter()
            .filter(|login| knows(client, login))
        {
            world.database.flush().unwrap();
            trial.logs_in(path, login.clone(), "cache empty");
            trial.logs_in(path, login, "cache filled");
        }
        world.database.restart().unwrap();
        let [usual, _] = flavor.logins();
        trial.logs_in(path, usual, "first after a restart");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_mysql_command_line_logs_in_to_mysql_9() {
    logs_in_through_the_tunnel(Client::MysqlCli, Flavor::MySql9);
}

#[test]
fn the_mysql_command_line_logs_in_to_mariadb_10_11() {
    logs_in_through_the_tunnel(Client::MysqlCli, Flavor::MariaDb10);
}

#[test]
fn the_mariadb_command_line_logs_in_to_mysql_9() {
    logs_in_through_the_tunnel(Client::MariadbCli, Flavor::MySql9);
}

#[test]
fn the_mariadb_command_line_logs_in_to_mariadb_10_11() {
    logs_in_through_the_tunnel(Client::MariadbCli, Flavor::MariaDb10);
}

#[test]
fn pymysql_logs_in_to_mysql_9() {
    logs_in_through_the_tunnel(Client::PyMySql, Flavor::MySql9);
}

#[test]
fn pymysql_logs_in_to_mariadb_10_11() {
    logs_in_through_the_tunnel(Client::PyMySql, Flavor::MariaDb10);
}

#[test]
fn mysql2_for_node_logs_in_to_mysql_9() {
    logs_in_through_the_tunnel(Client::Mysql2, Flavor::MySql9);
}

#[test]
fn mysql2_for_node_logs_in_to_mariadb_10_11() {
    logs_in_through_the_tunnel(Client::Mysql2, Flavor::MariaDb10);
}

#[test]
fn go_sql_driver_logs_in_to_mysql_9() {
    logs_in_through_the_tunnel(Client::GoSqlDriver, Flavor::MySql9);
}

#[test]
fn go_sql_driver_logs_in_to_mariadb_10_11() {
    logs_in_through_the_tunnel(Client::GoSqlDriver, Flavor::MariaDb10);
}
