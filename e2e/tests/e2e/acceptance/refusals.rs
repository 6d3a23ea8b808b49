//! Rows 22, 32, 33, 45 and 46: what applications are told when they are refused, by the database and by us.

use std::process::{Child, Stdio};

use e2e::clients::{Client, Login, Target, Tls};
use e2e::databases::{PASSWORD, SCHEMA};
use e2e::wait::{PATIENCE, until};

use super::mysql_cli;
use super::stage::{Leg, MARIADB, MYSQL, SHOW_USER, Shared, Stage, app, is_user, turn};

fn secure_transport_is_required(shared: &Shared, client: Client) {
    let stage = shared.get();
    let stage = turn(&stage);
    let _required = stage.set_global("require_secure_transport", "ON");
    let target = stage.over_tls(Leg::Tcp, &app());
    let refused = stage.cold(client, &target, SHOW_USER).unwrap_err();
    assert_eq!(refused.code, 3159, "{refused}");
    let target = stage.over_tls(Leg::Unix, &app());
    is_user(stage.cold(client, &target, SHOW_USER), "app", client.name());
}

#[test]
fn row_22_mysql_that_requires_secure_transport_takes_unix_for_secure() {
    secure_transport_is_required(&MYSQL, Client::MysqlCli);
}

#[test]
fn row_22_mariadb_11_8_that_requires_secure_transport_takes_unix_for_secure() {
    secure_transport_is_required(&MARIADB, Client::MariadbCli);
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
            let count = stage.database.execute(asleep)?[0][0].clone();
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
    for client in Client::ALL {
        for leg in Leg::PLAIN {
            for tls in [Tls::Off, Tls::Required] {
                let check = format!("{client} {leg:?} {tls:?}");
                let target = Target::new(stage.port(leg).clone(), app(), tls);
                let direct = Target {
                    address: stage.directly(leg),
                    ..target.clone()
                };
                let refused = client.query(&target, SHOW_USER).unwrap().unwrap_err();
                assert_eq!(
                    Err(refused.clone()),
                    client.query(&direct, SHOW_USER).unwrap(),
                    "{check}"
                );
                if tls == Tls::Off || client != Client::MariadbCli {
                    assert_eq!(refused.code, 1040, "{check}: {refused}");
                    assert!(
                        refused.message.contains("Too many connections"),
                        "{check}: {refused}"
                    );
                }
            }
        }
    }
    drop((session, full));
    let target = stage.over_tls(Leg::Tcp, &app());
    is_user(
        Client::MysqlCli.query(&target, SHOW_USER).unwrap(),
        "app",
        "afterwards",
    );
}

#[test]
fn row_33_a_database_that_is_down_is_named_in_our_own_words() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    for client in Client::ALL {
        for tls in [Tls::Off, Tls::Required] {
            let check = format!("{client} {tls:?}");
            let target = Target::new(stage.port(Leg::Down).clone(), app(), tls);
            let refused = client.query(&target, SHOW_USER).unwrap().unwrap_err();
            // In the tunnel the refusal comes instead of a greeting, which this client does not believe without TLS.
            if tls == Tls::Required && client == Client::MariadbCli {
                assert!(refused.message.contains("TLS"), "{check}: {refused}");
                continue;
            }
            assert_eq!(refused.code, 1105, "{check}: {refused}");
            assert!(
                refused.message.contains("[database-unreachable]"),
                "{check}: {refused}"
            );
        }
    }
}

#[test]
fn row_45_a_plain_client_is_told_that_tls_is_required() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    for client in Client::ALL {
        let target = Target::new(stage.port(Leg::Strict).clone(), app(), Tls::Off);
        let refused = stage.cold(client, &target, SHOW_USER).unwrap_err();
        assert_eq!(refused.code, 3159, "{client}: {refused}");
        assert!(
            refused.message.contains("[tls-required]"),
            "{client}: {refused}"
        );
        let target = stage.over_tls(Leg::Strict, &app());
        is_user(stage.cold(client, &target, SHOW_USER), "app", client.name());
    }
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
    for (login, code) in hopeless(&stage) {
        // The mysql command line keeps this one's number to itself.
        let shows = |client: &Client| code != 1862 || *client != Client::MysqlCli;
        for client in Client::ALL.into_iter().filter(shows) {
            for leg in Leg::PLAIN {
                let check = format!("{client} as {} {leg:?}", login.user);
                let target = stage.over_tls(leg, &login);
                let direct = Target {
                    address: stage.directly(leg),
                    ..target.clone()
                };
                let refused = stage.cold(client, &target, SHOW_USER).unwrap_err();
                let expected = stage.cold(client, &direct, SHOW_USER).unwrap_err();
                assert_eq!(refused, expected, "{check}");
                assert_eq!(refused.code, code, "{check}: {refused}");
            }
        }
    }
}

#[test]
fn row_46_an_expired_account_may_log_in_to_change_its_password() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let login = expired(&stage);
    let arguments = ["--ssl-mode=REQUIRED", "--connect-expired-password"];
    for leg in Leg::PLAIN {
        stage.database.flush().unwrap();
        let address = stage.port(leg);
        let refused = mysql_cli::mysql(address, &login, &arguments, SHOW_USER).unwrap_err();
        assert!(refused.starts_with("ERROR 1820 "), "{leg:?}: {refused}");
    }
    let change = format!("ALTER USER USER() IDENTIFIED BY 'another'; {SHOW_USER}");
    let printed = mysql_cli::mysql(stage.port(Leg::Tcp), &login, &arguments, &change);
    assert_eq!(printed.as_deref(), Ok("app_expired@%"));
}
