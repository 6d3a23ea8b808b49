//! Rows 22, 32, 33, 45 and 46: what applications are told when they are refused, by the database and by us.

use std::process::{Child, Stdio};

use e2e::clients::{Client, Login, SqlError, Target, Tls};
use e2e::databases::{PASSWORD, SCHEMA};
use e2e::wait::{PATIENCE, until};

use super::checks::{Failures, SHOW_USER, USUAL, app, is_user, with_tls};
use super::legs::{Door, Leg};
use super::mysql_cli;
use super::shared::{MARIADB, MYSQL, Shared, turn};
use super::stage::Stage;

fn secure_transport_is_required(shared: &Shared, client: Client) {
    let stage = shared.get();
    let stage = turn(&stage);
    let _required = stage.set_global("require_secure_transport", "ON");
    let target = stage.over_tls(Leg::Tcp, &app());
    let refused = stage.cold(client, &target, SHOW_USER).unwrap_err();
    assert_eq!(refused.code, 3159, "{refused}");
    for leg in [Leg::Unix, Leg::Tls] {
        let target = stage.over_tls(leg, &app());
        let check = format!("{client} {leg:?}");
        is_user(stage.cold(client, &target, SHOW_USER), "app", &check);
    }
}

#[test]
fn row_22_mysql_that_requires_secure_transport_takes_unix_and_tls_for_secure() {
    secure_transport_is_required(&MYSQL, Client::MysqlCli);
}

#[test]
fn row_22_mariadb_11_8_that_requires_secure_transport_takes_unix_and_tls_for_secure() {
    secure_transport_is_required(&MARIADB, Client::MariadbCli11);
}

#[test]
fn row_23_an_account_that_requires_tls_logs_in_over_the_agents_own_only() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let identified = "WITH caching_sha2_password BY '{}' REQUIRE SSL";
    let login = stage.account("app_tls", identified, PASSWORD);
    for leg in Leg::PLAIN {
        let target = stage.over_tls(leg, &login);
        let refused = stage
            .cold(Client::MysqlCli, &target, SHOW_USER)
            .unwrap_err();
        assert_eq!(refused.code, 1045, "{leg:?}: {refused}");
    }
    let target = stage.over_tls(Leg::Tls, &login);
    let answer = stage.cold(Client::MysqlCli, &target, SHOW_USER);
    is_user(answer, "app_tls", "over TLS of the agent's own");
}

/// A session of the application that keeps its slot until it is dropped.
struct Session(Child);

impl Session {
    fn open(stage: &Stage) -> Self {
        let asleep =
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'";
        let child = mysql_cli::command(&stage.directly(Leg::Tcp), &app(), &[])
            .arg("--execute=SELECT SLEEP(120)")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let session = Self(child);
        until("the session that takes the last slot", PATIENCE, || {
            let count = stage.database().execute(asleep)?[0][0].clone();
            Ok((count.as_deref() == Some("1")).then_some(()))
        })
        .unwrap();
        session
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            drop(self.0.wait());
        }
    }
}

#[test]
fn row_32_too_many_connections_reaches_the_application_in_the_databases_words() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let session = Session::open(&stage);
    // One more is kept for administrators: the harness.
    let full = stage.set_global("max_connections", "1");
    let mut failures = Failures::default();
    for client in USUAL {
        for (door, leg) in product(Door::ALL, Leg::PLAIN) {
            let check = format!("{client} {leg:?} by the {door:?}");
            let target = stage.over_tls_by(door, leg, &app());
            let refused = stage.query(client, &target, SHOW_USER).unwrap_err();
            let told = refused.code == 1040 && refused.message.contains("Too many connections");
            failures.unless(told, format_args!("{check}: {refused}"));
            if let Some(direct) = stage.without_us(client, leg, &app()) {
                let expected = stage.query(client, &direct, SHOW_USER).unwrap_err();
                failures.unless(
                    refused == expected,
                    format_args!("{check}: {refused}, directly {expected}"),
                );
            }
        }
    }
    drop((session, full));
    failures.none();
    let target = stage.over_tls(Leg::Tcp, &app());
    let answer = stage.query(Client::MysqlCli, &target, SHOW_USER);
    is_user(answer, "app", "afterwards");
}

fn product<A: Copy, B: Copy, const M: usize, const N: usize>(
    outer: [A; M],
    inner: [B; N],
) -> impl Iterator<Item = (A, B)> {
    let pairs = move |one| inner.into_iter().map(move |other| (one, other));
    outer.into_iter().flat_map(pairs)
}

/// Whether the client shows an error of ours that comes instead of a greeting. MariaDB's library, told to insist on TLS,
/// puts it behind words and a number of its own.
fn shows(refused: &SqlError, code: u32) -> bool {
    let disbelieves = "before completion of TLS handshake";
    let quoted =
        refused.message.contains(disbelieves) && refused.message.contains(&format!("{code} - "));
    refused.code == code || quoted
}

#[test]
fn row_33_a_database_that_is_down_is_named_in_our_own_words() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let mut failures = Failures::default();
    for (client, door) in with_tls().flat_map(|client| Door::ALL.map(|door| (client, door))) {
        let target = stage.over_tls_by(door, Leg::Down, &app());
        let refused = stage.query(client, &target, SHOW_USER).unwrap_err();
        let numbered = match door {
            // Instead of a greeting: our client program has none of its own.
            Door::Client => shows(&refused, 1158),
            // After TLS.
            Door::Agent => refused.code == 1158,
        };
        let told = numbered && refused.message.contains("[database-unreachable]");
        failures.unless(told, format_args!("{client} by the {door:?}: {refused}"));
    }
    failures.none();
}

#[test]
fn row_45_a_plain_client_is_told_that_tls_is_required() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let mut failures = Failures::default();
    for (client, door) in product(Client::ALL, Door::ALL) {
        let target = Target::new(stage.at(door, Leg::Strict).clone(), app(), Tls::Off);
        let refused = stage.cold(client, &target, SHOW_USER).unwrap_err();
        let told = refused.code == 3159 && refused.message.contains("[tls-required]");
        failures.unless(told, format_args!("{client} by the {door:?}: {refused}"));
    }
    for (client, door) in product(USUAL, Door::ALL) {
        let target = stage.over_tls_by(door, Leg::Strict, &app());
        let check = format!("{client} by the {door:?}");
        failures.unless_user(stage.cold(client, &target, SHOW_USER), "app", &check);
    }
    failures.none();
}

/// Accounts that cannot log in, and the number of the database's error.
fn hopeless(stage: &Stage) -> [(Login, u32); 4] {
    let wrong = Login::new("app", "not the password", SCHEMA);
    let unknown = Login::new("nobody_knows", PASSWORD, SCHEMA);
    let locked = "WITH caching_sha2_password BY '{}' ACCOUNT LOCK";
    let locked = stage.account("app_locked", locked, PASSWORD);
    [
        (wrong, 1045),
        (unknown, 1045),
        (locked, 3118),
        (expired(stage), 1862),
    ]
}

fn expired(stage: &Stage) -> Login {
    let expired = "WITH caching_sha2_password BY '{}' PASSWORD EXPIRE";
    stage.account("app_expired", expired, PASSWORD)
}

#[test]
fn row_46_refusals_of_the_database_are_the_same_through_the_tunnel() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let mut failures = Failures::default();
    for (login, code) in hopeless(&stage) {
        // The mysql command line keeps this one's number to itself.
        let shows = |client: &Client| code != 1862 || *client != Client::MysqlCli;
        for client in USUAL.into_iter().filter(shows) {
            for leg in Leg::PLAIN {
                let check = format!("{client} as {} {leg:?}", login.user);
                let target = stage.over_tls(leg, &login);
                let refused = stage.cold(client, &target, SHOW_USER).unwrap_err();
                failures.unless(refused.code == code, format_args!("{check}: {refused}"));
                if let Some(direct) = stage.without_us(client, leg, &login) {
                    let expected = stage.cold(client, &direct, SHOW_USER).unwrap_err();
                    failures.unless(
                        refused == expected,
                        format_args!("{check}: {refused}, directly {expected}"),
                    );
                }
            }
        }
    }
    failures.none();
}

#[test]
fn row_46_an_expired_account_may_log_in_to_change_its_password() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let login = expired(&stage);
    let arguments = ["--ssl-mode=REQUIRED", "--connect-expired-password"];
    for leg in Leg::PLAIN {
        stage.database().flush().unwrap();
        let address = stage.port(leg);
        let refused = mysql_cli::mysql(address, &login, &arguments, SHOW_USER).unwrap_err();
        assert!(refused.starts_with("ERROR 1820 "), "{leg:?}: {refused}");
    }
    let change = format!("ALTER USER USER() IDENTIFIED BY 'another'; {SHOW_USER}");
    let printed = mysql_cli::mysql(stage.port(Leg::Tcp), &login, &arguments, &change);
    assert_eq!(printed.as_deref(), Ok("app_expired@%"));
}
