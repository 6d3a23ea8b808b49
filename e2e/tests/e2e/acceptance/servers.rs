//! Rows 11 to 13 and 17: servers with other keys, with none, just restarted, or without TLS of their own.

use e2e::clients::Client;
use e2e::databases::{DatabaseOptions, Flavor, PASSWORD, RsaKeys};

use super::checks::{Failures, SHOW_USER, app, is_user, with_tls};
use super::legs::Leg;
use super::stage::Stage;

#[test]
fn row_11_a_4096_bit_key_of_the_database_encrypts_the_password() {
    let options = DatabaseOptions::default().rsa_keys(RsaKeys::Bits(4096));
    let stage = Stage::start(Flavor::MySql9, &options);
    let target = stage.over_tls(Leg::Tcp, &app());
    is_user(
        stage.cold(Client::MysqlCli, &target, SHOW_USER),
        "app",
        "4096 bits",
    );
    assert!(
        stage
            .login_trace(Leg::Tcp)
            .encrypts_the_password(PASSWORD, 4096)
    );
}

#[test]
fn row_12_a_database_without_keys_refuses_over_tcp_and_lets_in_over_unix() {
    let options = DatabaseOptions::default().rsa_keys(RsaKeys::Missing);
    let stage = Stage::start(Flavor::MySql9, &options);
    let target = stage.over_tls(Leg::Tcp, &app());
    let refused = stage
        .cold(Client::MysqlCli, &target, SHOW_USER)
        .unwrap_err();
    assert_eq!(refused.code, 1045, "{refused}");
    let target = stage.over_tls(Leg::Unix, &app());
    is_user(
        stage.cold(Client::MysqlCli, &target, SHOW_USER),
        "app",
        "over unix",
    );
}

#[test]
fn row_13_the_first_login_after_a_restart_of_the_database_succeeds() {
    let mut stage = Stage::start(Flavor::MySql9, &DatabaseOptions::default());
    let target = stage.over_tls(Leg::Tcp, &app());
    // Warm: a restart is what empties the cache.
    for _ in 0..2 {
        is_user(
            stage.query(Client::MysqlCli, &target, SHOW_USER),
            "app",
            "before",
        );
    }
    assert!(stage.login_trace(Leg::Tcp).is_fast());
    stage.database_mut().restart().unwrap();
    is_user(
        stage.query(Client::MysqlCli, &target, SHOW_USER),
        "app",
        "after",
    );
    assert!(stage.login_trace(Leg::Tcp).asks_for_full_authentication());
}

fn every_client_has_tls(flavor: Flavor) {
    let stage = Stage::start(flavor, &DatabaseOptions::default().without_tls());
    let mut failures = Failures::default();
    for client in with_tls() {
        // The strict leg proves that what is sent is TLS: nothing else is let in there.
        for leg in [Leg::Tcp, Leg::Unix, Leg::Strict] {
            let check = format!("{client} {leg:?}");
            let target = stage.over_tls(leg, &app());
            failures.unless_user(stage.cold(client, &target, SHOW_USER), "app", &check);
        }
    }
    failures.none();
    for leg in Leg::PLAIN {
        assert!(!stage.login_trace(leg).database_offers_tls(), "{leg:?}");
    }
}

#[test]
fn row_17_every_client_has_tls_before_a_mysql_without() {
    every_client_has_tls(Flavor::MySql9);
}

#[test]
fn row_17_every_client_has_tls_before_a_mariadb_10_11_without() {
    every_client_has_tls(Flavor::MariaDb10);
}
