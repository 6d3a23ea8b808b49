//! Two accounts, each narrowed to one of three users, on every engine.
//!
//! `cloudsql-ca grant` refuses a narrowed grant on an engine that the agent does not read. Here the instance is a MySQL
//! until the grants are given: they stand as in a store from before that refusal.

use std::process::Command;

use anyhow::Result;
use e2e::agent::{Agent, Leg};
use e2e::authority::{Authority, Dialect};
use e2e::clients::{Address, Client, Login, Target};
use e2e::databases::{Database, Flavor, PASSWORD, Postgres};
use e2e::paths::installed;
use e2e::place::{Loopback, Place};
use e2e::proxy::{Mount, Proxy};
use e2e::tally;
use e2e::world::AGENT_ACCOUNT;

const INSTANCE: &str = "db";
/// A user of the database that no grant names, and that may do everything there.
const HARNESS: &str = "harness";

/// Logs in as a user: the name that the database answers, or its refusal.
type Enter<'a> = dyn Fn(&Address, &str) -> Result<Result<String, String>> + 'a;

/// A database, and how to try to enter it as a user.
struct Entrance<'a> {
    name: &'a str,
    /// What stands behind the instance's name in the agent's settings.
    parameters: String,
    /// As the store has it once the grants are given.
    version: &'a str,
    users: [&'a str; 3],
    enter: &'a Enter<'a>,
}

impl Entrance<'_> {
    /// Asserts that an account narrowed to a user enters as that user only where `is_enforced`, else not at all.
    fn check(&self, place: &Place, is_enforced: bool) {
        let authority = Authority::start(place).unwrap();
        let agent_key = authority
            .create_account(AGENT_ACCOUNT, Dialect::Ours)
            .unwrap();
        let address = Loopback::reserve().unwrap();
        let at = address.ip().to_string();
        authority
            .create_instance(INSTANCE, &at, "MYSQL_8_4")
            .unwrap();
        authority.grant(INSTANCE, AGENT_ACCOUNT, "agent").unwrap();
        let [first, second, _] = self.users;
        let accounts = [("one", Some(first)), ("two", Some(second)), ("wide", None)];
        let keys = accounts.map(|(account, user)| {
            let key = authority.create_account(account, Dialect::Ours).unwrap();
            grant(&authority, account, user);
            key
        });
        set_version(place, self.version);
        let instance = format!("{INSTANCE}?{}", self.parameters);
        let _agent = Agent::start(place, &agent_key, address, &[instance]).unwrap();
        for ((account, granted), key) in accounts.iter().zip(&keys) {
            let mount = Mount::tcp(place, INSTANCE).unwrap();
            let address = mount.address().clone();
            let _proxy = Proxy::start(place, key, &[mount], &[]).unwrap();
            for user in self.users {
                let may = granted.is_none_or(|granted| is_enforced && granted == user);
                let entered = (self.enter)(&address, user).unwrap();
                let what = format!("{}: {account} as {user}: {entered:?}", self.name);
                match entered {
                    Ok(found) => assert!(may && found == user, "{what}"),
                    Err(told) => assert!(!may && told.contains("no-grant"), "{what}"),
                }
            }
        }
        tally::passed(self.name, "narrowed grants", "enter as nobody else").unwrap();
    }
}

fn grant(authority: &Authority, account: &str, user: Option<&str>) {
    let command = [
        "grant",
        "--instance",
        INSTANCE,
        "--service-account",
        account,
    ];
    let narrowed = user.map_or(vec![], |user| vec!["--db-user", user]);
    let command = [&command[..], &["--role", "client"], &narrowed].concat();
    authority.admin(&command).unwrap();
}

/// Changes the instance's version behind the CA's back, which no command can.
fn set_version(place: &Place, version: &str) {
    let change = "import sqlite3, sys\n\
        store = sqlite3.connect(sys.argv[1])\n\
        store.execute('UPDATE instances SET database_version = ?', (sys.argv[2],))\n\
        store.commit()\n";
    let mut python = Command::new(installed("venv/bin/python").unwrap());
    python.args(["-c", change]).arg(place.join("ca/store.db"));
    assert!(python.arg(version).status().unwrap().success());
}

/// Tries a MySQL or MariaDB; `parameters` come behind its place in the agent's settings.
fn mysql(flavor: Flavor, name: &str, parameters: &str, is_enforced: bool) {
    let place = Place::new("narrowing").unwrap();
    let database = Database::start(flavor, &place).unwrap();
    let client = match flavor {
        Flavor::MySql9 => Client::MysqlCli,
        Flavor::MariaDb10 | Flavor::MariaDb11 => Client::MariadbCli,
    };
    let [first, second] = flavor.logins().map(|login| login.user);
    let argument = Leg::Unix.argument(INSTANCE, &database);
    let (_, at) = argument.split_once('?').unwrap();
    let enter = |address: &Address, user: &str| {
        let schema = if user == HARNESS { "mysql" } else { "appdb" };
        let login = Login::new(user, PASSWORD, schema);
        let target = Target::usual(address.clone(), login);
        let answer = client.query(&target, "SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1)")?;
        Ok(answer
            .map(|rows| rows[0][0].clone().unwrap_or_default())
            .map_err(|error| error.to_string()))
    };
    let target = Entrance {
        name,
        parameters: format!("{at}{parameters}"),
        version: flavor.database_version(),
        users: [&first, &second, HARNESS],
        enter: &enter,
    };
    target.check(&place, is_enforced);
}

#[test]
fn mysql_and_mariadb_let_in_whom_the_grant_names_and_nobody_else() {
    for flavor in Flavor::ALL {
        mysql(flavor, flavor.name(), "", true);
    }
}

#[test]
fn a_database_that_is_served_as_plain_tcp_lets_in_nobody_with_a_narrowed_grant() {
    mysql(Flavor::MySql9, "tcp", "&engine=tcp", false);
}

#[test]
fn postgres_lets_in_nobody_with_a_narrowed_grant() {
    let place = Place::new("narrowing").unwrap();
    let users = ["readonly", "app", "postgres"];
    let database = Postgres::start(&place, &["readonly", "app"]).unwrap();
    let target = Entrance {
        name: "PostgreSQL",
        parameters: format!("database=unix:{}", database.socket().display()),
        version: "POSTGRES_15",
        users,
        enter: &|address, user| Postgres::query_at(address, user, "SELECT current_user"),
    };
    target.check(&place, false);
}
