//! Rows 1 to 5 and 8 to 10: MySQL 9's own two plugins, the cache empty and filled, over each database leg.

use e2e::clients::{Client, Login};
use e2e::databases::{PASSWORD, SCHEMA};

use super::checks::{Failures, SHOW_USER, USUAL, app, is_user};
use super::legs::{Door, Leg};
use super::mysql_cli::mysql;
use super::shared::{MYSQL, turn};
use super::stage::Stage;
use super::trace::Trace;

/// Every client logs in cold by both doors, and what the relay saw is as `expected`.
fn cold_logins(leg: Leg, expected: impl Fn(&Trace) -> bool) {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let mut failures = Failures::default();
    for door in Door::ALL {
        for client in USUAL {
            let check = format!("{client} by the {door:?}");
            let target = stage.over_tls_by(door, leg, &app());
            failures.unless_user(stage.cold(client, &target, SHOW_USER), "app", &check);
            let trace = stage.login_trace(leg);
            failures.unless(expected(&trace), format_args!("{check}: {:?}", trace.0));
        }
    }
    failures.none();
}

#[test]
fn row_01_cold_caching_sha2_logs_in_over_tls_and_tcp() {
    cold_logins(Leg::Tcp, |trace| {
        trace.encrypts_the_password(PASSWORD, 2048)
    });
}

#[test]
fn row_02_cold_caching_sha2_logs_in_over_tls_and_unix_without_a_key() {
    cold_logins(Leg::Unix, |trace| {
        trace.sends_the_password_as_it_is(PASSWORD)
    });
}

#[test]
fn row_03_cold_caching_sha2_logs_in_over_tls_and_the_agents_own_tls() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let mut failures = Failures::default();
    let cipher = "SHOW STATUS LIKE 'Ssl_cipher'";
    for door in Door::ALL {
        for client in USUAL {
            let check = format!("{client} by the {door:?}");
            let target = stage.over_tls_by(door, Leg::Tls, &app());
            failures.unless_user(stage.cold(client, &target, SHOW_USER), "app", &check);
            let rows = stage.query(client, &target, cipher).unwrap();
            let shown = rows[0][1].as_deref().unwrap_or_default();
            failures.unless(shown.starts_with("TLS_"), format_args!("{check}: {rows:?}"));
        }
    }
    failures.none();
    // The status is of the database's leg: in the clear it is empty.
    let target = stage.over_tls(Leg::Tcp, &app());
    let rows = stage.query(Client::MysqlCli, &target, cipher).unwrap();
    assert_eq!(rows[0][1].as_deref(), Some(""));
}

#[test]
fn row_04_cached_caching_sha2_needs_one_answer_over_tcp_and_unix() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let mut failures = Failures::default();
    for leg in Leg::PLAIN {
        stage.database().flush().unwrap();
        // The first one fills the cache for all.
        for (number, client) in USUAL.into_iter().enumerate() {
            let check = format!("{client} {leg:?}");
            let target = stage.over_tls(leg, &app());
            failures.unless_user(stage.query(client, &target, SHOW_USER), "app", &check);
            let trace = stage.login_trace(leg);
            let first = number == 0;
            let seen = trace.is_fast() != first && trace.asks_for_full_authentication() == first;
            failures.unless(seen, format_args!("{check}: {:?}", trace.0));
        }
    }
    failures.none();
}

#[test]
fn row_05_a_plain_client_that_asks_for_the_key_gets_the_agents_own_before_a_unix_leg() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    stage.database().flush().unwrap();
    let plain = ["--ssl-mode=DISABLED", "--get-server-public-key"];
    let printed = mysql(stage.port(Leg::Unix), &app(), &plain, SHOW_USER);
    assert_eq!(printed.as_deref(), Ok("app@%"));
    assert!(
        stage
            .login_trace(Leg::Unix)
            .sends_the_password_as_it_is(PASSWORD)
    );
    // The proof that it was asked for: without, the client gives up by itself.
    stage.database().flush().unwrap();
    let refused = mysql(
        stage.port(Leg::Unix),
        &app(),
        &["--ssl-mode=DISABLED"],
        SHOW_USER,
    );
    assert!(refused.unwrap_err().starts_with("ERROR 2061 "));
}

#[test]
fn row_08_sha256_password_logs_in_over_tcp_and_unix() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let login = Login::new("app_sha256", PASSWORD, SCHEMA);
    for leg in Leg::PLAIN {
        for client in [Client::MysqlCli, Client::PyMySql, Client::Mysql2] {
            let check = format!("{client} {leg:?}");
            let answer = stage.cold(client, &stage.over_tls(leg, &login), SHOW_USER);
            is_user(answer, "app_sha256", &check);
            // The server holds only TLS for secure with this plugin.
            let trace = stage.login_trace(leg);
            assert_eq!(trace.switches(), ["sha256_password"], "{check}");
            assert!(trace.shows_a_key(), "{check}: {:?}", trace.0);
        }
    }
}

/// An account whose password is as long as `length`.
fn long_password(stage: &Stage, length: usize) -> Login {
    let password = "long".repeat(length)[..length].to_owned();
    stage.account("app_long", "WITH caching_sha2_password BY '{}'", &password)
}

#[test]
fn row_09_a_password_of_213_bytes_is_the_longest_that_fits_a_2048_bit_key() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let login = long_password(&stage, 213);
    let answer = stage.cold(
        Client::MariadbCli,
        &stage.over_tls(Leg::Tcp, &login),
        SHOW_USER,
    );
    is_user(answer, "app_long", "213 bytes");
    assert!(
        stage
            .login_trace(Leg::Tcp)
            .encrypts_the_password(&login.password, 2048)
    );
}

#[test]
fn row_10_a_password_of_214_bytes_is_refused_by_word_over_tcp_and_logs_in_over_unix() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let login = long_password(&stage, 214);
    let target = stage.over_tls(Leg::Tcp, &login);
    let refused = stage
        .cold(Client::MariadbCli, &target, SHOW_USER)
        .unwrap_err();
    assert_eq!(refused.code, 1105, "{refused}");
    let text = "the password is too long for the database's RSA key";
    assert!(refused.message.contains(text), "{refused}");
    assert!(!refused.message.contains(&login.password), "{refused}");
    let target = stage.over_tls(Leg::Unix, &login);
    is_user(
        stage.cold(Client::MariadbCli, &target, SHOW_USER),
        "app_long",
        "214 bytes",
    );
}

#[test]
fn row_48_a_pinned_key_of_the_database_works_over_tcp_and_is_refused_by_word_over_unix() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let data = stage.database().execute("SELECT @@datadir").unwrap();
    let folder = data[0][0].clone().unwrap();
    let pinned = format!("--server-public-key-path={folder}public_key.pem");
    let plain = ["--ssl-mode=DISABLED", pinned.as_str()];
    stage.database().flush().unwrap();
    let printed = mysql(stage.port(Leg::Tcp), &app(), &plain, SHOW_USER);
    assert_eq!(printed.as_deref(), Ok("app@%"));
    let trace = stage.login_trace(Leg::Tcp);
    assert!(
        trace.asks_for_full_authentication() && !trace.shows_a_key(),
        "{:?}",
        trace.0
    );
    stage.database().flush().unwrap();
    let refused = mysql(stage.port(Leg::Unix), &app(), &plain, SHOW_USER).unwrap_err();
    assert!(refused.starts_with("ERROR 1105 "), "{refused}");
    let text = "the password is encrypted for a pinned key of the database";
    assert!(refused.contains(text), "{refused}");
}
