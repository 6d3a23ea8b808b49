//! The programs that are given a list of hosts.

use std::fmt;
use std::process::Command;

use e2e::drivers::Driver;
use proto::{Engine, Numbers};
use serde_json::json;

use super::host::Moment;

/// The codes for which a program goes on to the next host, as its makers say or as measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// All.
    Any,
    /// MySQL's SQLSTATEs of class 08.
    Class08,
    /// PostgreSQL's `cannot_connect_now`.
    CannotConnectNow,
}

enum Runner {
    Driver(Driver),
    /// libpq's own program.
    Psql,
}

/// A program that is given a list of hosts.
pub(super) struct Program {
    name: &'static str,
    engine: Engine,
    rule: Rule,
    runner: Runner,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Program {
    fn mysql(name: &'static str, rule: Rule, driver: anyhow::Result<Driver>) -> Self {
        Self {
            name,
            engine: Engine::Mysql,
            rule,
            runner: Runner::Driver(driver.unwrap()),
        }
    }

    /// Those that take several hosts.
    pub(super) fn all() -> Vec<Self> {
        let connector = |half| Driver::python(half);
        vec![
            Self::mysql("MySQL Connector/J", Rule::Any, Driver::java("mysql")),
            Self::mysql(
                "MariaDB Connector/J",
                Rule::Class08,
                Driver::java("mariadb"),
            ),
            Self::mysql("mysql2 PoolCluster", Rule::Any, Driver::node("mysql2")),
            Self::mysql(
                "mariadb PoolCluster (Node)",
                Rule::Any,
                Driver::node("mariadb"),
            ),
            Self::mysql(
                "Connector/Python failover",
                Rule::Any,
                connector("mysql-connector-pure"),
            ),
            Self {
                name: "libpq (psql)",
                engine: Engine::Postgres,
                rule: Rule::CannotConnectNow,
                runner: Runner::Psql,
            },
        ]
    }

    /// Those that take one host.
    pub(super) fn single() -> Vec<Self> {
        vec![
            Self::mysql("PyMySQL", Rule::Any, Driver::python("pymysql")),
            Self::mysql("go-sql-driver", Rule::Any, Driver::go()),
        ]
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) const fn engine(&self) -> Engine {
        self.engine
    }

    /// The moments at which it is refused: both, where the packet differs and the program looks at it.
    pub(super) const fn moments(&self) -> &'static [Moment] {
        match (self.engine, self.rule) {
            (Engine::Mysql, Rule::Class08) => &[Moment::Greeting, Moment::Login],
            (Engine::Mysql, _) => &[Moment::Greeting],
            (Engine::Postgres | Engine::Tcp, _) => &[Moment::Login],
        }
    }

    /// Whether these numbers make it go on to the next host.
    pub(super) fn goes_on_for(&self, numbers: Numbers) -> bool {
        match self.rule {
            Rule::Any => true,
            Rule::Class08 => numbers.is_connection_exception(),
            Rule::CannotConnectNow => numbers.postgres_state == "57P03",
        }
    }

    /// Whether it stops at some.
    pub(super) fn is_choosy(&self) -> bool {
        self.rule != Rule::Any
    }

    /// One attempt at these ports of loopback; returns the program's last words.
    pub(super) fn connect(&mut self, ports: &[u16]) -> String {
        let hosts = ports.iter().map(|port| format!("127.0.0.1:{port}"));
        let hosts = hosts.collect::<Vec<_>>().join(",");
        match &mut self.runner {
            Runner::Driver(driver) => {
                let login = json!({ "user": "app", "password": "secret", "database": "test" });
                let op = if ports.len() > 1 { "hosts" } else { "query" };
                let operation = json!({
                    "op": op, "hosts": hosts, "sql": "SELECT 1",
                    "host": "127.0.0.1", "port": ports[0],
                });
                let answer = driver.ask(&login, &operation).unwrap();
                answer.unwrap_err().to_string()
            }
            Runner::Psql => psql(ports),
        }
    }
}

fn psql(ports: &[u16]) -> String {
    let list = |one: &dyn Fn(&u16) -> String| ports.iter().map(one).collect::<Vec<_>>().join(",");
    let place = format!(
        "host={} port={} user=app dbname=test sslmode=disable gssencmode=disable",
        list(&|_| "127.0.0.1".to_owned()),
        list(&u16::to_string),
    );
    let output = Command::new("psql")
        .args([
            "--no-psqlrc",
            "--no-password",
            "--command",
            "SELECT 1",
            &place,
        ])
        .output()
        .unwrap();
    assert!(!output.status.success(), "{place}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
