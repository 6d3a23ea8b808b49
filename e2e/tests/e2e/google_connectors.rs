//! Google's unmodified connectors for Python, Go and Node, and Google's proxy, against our CA and agent.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::agent::Leg;
use e2e::authority::Dialect;
use e2e::clients::{Answer, Login, SqlError};
use e2e::databases::Flavor;
use e2e::google::{Connector, Session};
use e2e::tally;
use e2e::wait::until;
use e2e::world::{Serving, World, instance};
use serde_json::{Value, json};

const ACCOUNT: &str = "legacy";
const STRANGER: &str = "stranger";
const FIVE_MEGABYTES: usize = 5_000_000;
/// Both connectors refresh at most twice in a row and then once in 30 s.
const REFRESH_PATIENCE: Duration = Duration::from_secs(70);

fn login() -> Login {
    let [usual, _] = Flavor::MySql9.logins();
    usual
}

/// A world with an account for Google's libraries that may connect to both instances.
fn world(connector: Connector, flavor: Flavor) -> World {
    let serving = if connector.sends_server_name() {
        Serving::Together
    } else {
        Serving::Apart
    };
    World::with(flavor, serving, ACCOUNT, connector.dialect()).unwrap()
}

fn version(session: &mut Session, instance: &str) -> Answer {
    session
        .ask(
            instance,
            &login(),
            &json!({ "op": "query", "sql": "SELECT VERSION()" }),
        )
        .unwrap()
}

fn carries_sessions(connector: Connector, flavor: Flavor) {
    let world = world(connector, flavor);
    let mut session = Session::start(connector, &world.authority, world.key_file()).unwrap();
    for leg in Leg::ALL {
        let instance = instance(leg);
        world.database.flush().unwrap();
        let rows = version(&mut session, instance).unwrap();
        assert!(rows[0][0].as_ref().unwrap().starts_with(flavor.version()));
        let blob = json!({ "op": "blob", "bytes": FIVE_MEGABYTES });
        let back = session.ask(instance, &login(), &blob).unwrap().unwrap();
        assert_eq!(
            back,
            [[Some(FIVE_MEGABYTES.to_string()), Some("same".to_owned())]]
        );
        let sessions = json!({ "op": "sessions", "count": 20 });
        let ids = session.ask(instance, &login(), &sessions).unwrap().unwrap();
        assert_eq!(ids.into_iter().flatten().collect::<HashSet<_>>().len(), 20);
        let check = format!("query, 5 MB and 20 sessions, database leg {leg:?}");
        tally::passed(flavor.name(), connector.name(), &check).unwrap();
    }
}

#[test]
fn the_python_connector_carries_sessions_to_mysql_9() {
    carries_sessions(Connector::Python, Flavor::MySql9);
}

#[test]
fn the_go_connector_carries_sessions_to_mysql_9() {
    carries_sessions(Connector::Go, Flavor::MySql9);
}

#[test]
fn the_node_connector_carries_sessions_to_mysql_9() {
    carries_sessions(Connector::Node, Flavor::MySql9);
}

#[test]
fn googles_proxy_on_a_port_carries_sessions_to_mysql_9() {
    carries_sessions(Connector::ProxyTcp, Flavor::MySql9);
}

#[test]
fn googles_proxy_on_a_socket_carries_sessions_to_mysql_9() {
    carries_sessions(Connector::ProxySocket, Flavor::MySql9);
}

#[test]
fn the_python_connector_carries_sessions_to_mariadb_10_11() {
    carries_sessions(Connector::Python, Flavor::MariaDb10);
}

#[test]
fn the_go_connector_carries_sessions_to_mariadb_10_11() {
    carries_sessions(Connector::Go, Flavor::MariaDb10);
}

#[test]
fn the_node_connector_carries_sessions_to_mariadb_10_11() {
    carries_sessions(Connector::Node, Flavor::MariaDb10);
}

#[test]
fn googles_proxy_on_a_port_carries_sessions_to_mariadb_10_11() {
    carries_sessions(Connector::ProxyTcp, Flavor::MariaDb10);
}

#[test]
fn googles_proxy_on_a_socket_carries_sessions_to_mariadb_10_11() {
    carries_sessions(Connector::ProxySocket, Flavor::MariaDb10);
}

/// A connector that cannot dial the agent asks for new settings and a new certificate, and recovers with them.
fn recovers_by_a_forced_refresh(connector: Connector) {
    let mut world = world(connector, Flavor::MySql9);
    let instance = instance(Leg::Tcp);
    let mut session = Session::start(connector, &world.authority, world.key_file()).unwrap();
    version(&mut session, instance).unwrap();
    let before = world.authority.certificates(instance).unwrap().len();
    world.crash_agents().unwrap();
    version(&mut session, instance).unwrap_err();
    world.resume_agents().unwrap();
    until(
        "a session after the agent's return",
        REFRESH_PATIENCE,
        || Ok(version(&mut session, instance).ok()),
    )
    .unwrap();
    until("a second certificate", REFRESH_PATIENCE, || {
        let now = of_account(&world, instance, ACCOUNT);
        Ok((now >= 2).then_some(()))
    })
    .unwrap();
    assert!(world.authority.certificates(instance).unwrap().len() > before);
    tally::passed(Flavor::MySql9.name(), connector.name(), "forced refresh").unwrap();
}

fn of_account(world: &World, instance: &str, account: &str) -> usize {
    let issued = world.authority.certificates(instance).unwrap();
    issued
        .iter()
        .filter(|certificate| certificate.to_string().contains(account))
        .count()
}

#[test]
fn the_python_connector_recovers_by_a_forced_refresh() {
    recovers_by_a_forced_refresh(Connector::Python);
}

#[test]
fn the_go_connector_recovers_by_a_forced_refresh() {
    recovers_by_a_forced_refresh(Connector::Go);
}

#[test]
fn the_node_connector_recovers_by_a_forced_refresh() {
    recovers_by_a_forced_refresh(Connector::Node);
}

#[test]
fn googles_proxy_recovers_by_a_forced_refresh() {
    recovers_by_a_forced_refresh(Connector::ProxyTcp);
}

/// Puts the private key of another account into a key file.
fn with_the_key_of(other: &Path, key_file: &Path) -> PathBuf {
    let read =
        |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let mut forged = read(key_file);
    forged["private_key"] = read(other)["private_key"].clone();
    let path = key_file.with_extension("forged.json");
    std::fs::write(&path, forged.to_string()).unwrap();
    path
}

fn refusals_are_clear(connector: Connector) {
    let world = world(connector, Flavor::MySql9);
    let authority = &world.authority;
    let stranger = authority
        .create_account(STRANGER, connector.dialect())
        .unwrap();
    let ask = |key_file: &Path, instance: &str| {
        let mut session = Session::start(connector, authority, key_file).unwrap();
        version(&mut session, instance).unwrap_err()
    };
    let legs = instance(Leg::Tcp);
    let wrong_key = ask(&with_the_key_of(&stranger, world.key_file()), legs);
    // With a universe domain the assertion is the bearer, and no token endpoint refuses it.
    let expected = match connector.dialect() {
        Dialect::Universe => "401",
        _ => "invalid_grant",
    };
    assert_says(&wrong_key, &[expected]);
    let no_grant = ask(&stranger, legs);
    assert_says(&no_grant, &["403", legs]);
    let unknown = ask(world.key_file(), "no-such-database");
    assert!(
        ["403", "404"]
            .iter()
            .any(|code| unknown.message.contains(code)),
        "{unknown}"
    );
    assert_says(&unknown, &["no-such-database"]);
    for refusal in ["wrong key", "no grant", "unknown instance"] {
        tally::passed(Flavor::MySql9.name(), connector.name(), refusal).unwrap();
    }
}

fn assert_says(error: &SqlError, words: &[&str]) {
    for word in words {
        assert!(
            error.message.contains(word),
            "{word:?} is missing in: {error}"
        );
    }
}

#[test]
fn refusals_reach_users_of_the_python_connector_as_clear_4xx() {
    refusals_are_clear(Connector::Python);
}

#[test]
fn refusals_reach_users_of_the_go_connector_as_clear_4xx() {
    refusals_are_clear(Connector::Go);
}

#[test]
fn refusals_reach_users_of_the_node_connector_as_clear_4xx() {
    refusals_are_clear(Connector::Node);
}

#[test]
fn refusals_are_in_the_log_of_googles_proxy_as_clear_4xx() {
    refusals_are_clear(Connector::ProxyTcp);
}
