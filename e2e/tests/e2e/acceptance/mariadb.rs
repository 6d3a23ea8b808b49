//! Rows 18, 19 and 43: MariaDB's own plugins, and a replica.

use e2e::clients::{Address, Client, Login};
use e2e::databases::{Database, DatabaseOptions, Flavor, PAM_USER, PASSWORD, Pam, SCHEMA};
use e2e::wait::{PATIENCE, until};

use super::checks::{SHOW_USER, is_user};
use super::legs::Leg;
use super::shared::{MARIADB, turn};
use super::stage::Stage;

const CLIENTS: [Client; 2] = [Client::MariadbCli11, Client::MariadbNode];

#[test]
fn row_18_ed25519_logs_in_over_tcp_and_unix() {
    let stage = MARIADB.get();
    let stage = turn(&stage);
    let login = Login::new("app_ed25519", PASSWORD, SCHEMA);
    for client in CLIENTS {
        for leg in Leg::PLAIN {
            let check = format!("{client} {leg:?}");
            let target = stage.over_tls(leg, &login);
            is_user(
                stage.query(client, &target, SHOW_USER),
                "app_ed25519",
                &check,
            );
            assert_eq!(
                stage.login_trace(leg).switches(),
                ["client_ed25519"],
                "{check}"
            );
        }
    }
}

#[test]
fn row_18_parsec_logs_in_over_tcp_and_unix() {
    let stage = MARIADB.get();
    let stage = turn(&stage);
    let login = Login::new("app_parsec", PASSWORD, SCHEMA);
    for client in CLIENTS {
        for leg in Leg::PLAIN {
            let check = format!("{client} {leg:?}");
            let target = stage.over_tls(leg, &login);
            is_user(
                stage.query(client, &target, SHOW_USER),
                "app_parsec",
                &check,
            );
            let trace = stage.login_trace(leg);
            assert_eq!(trace.switches(), ["parsec"], "{check}");
            // The salt is asked for, and then the proof is sent.
            assert_eq!(trace.rounds(), 2, "{check}: {:?}", trace.0);
        }
    }
}

#[test]
fn row_18_an_account_with_two_plugins_is_asked_for_both() {
    let stage = MARIADB.get();
    let stage = turn(&stage);
    let either =
        "VIA ed25519 USING PASSWORD('another') OR mysql_native_password USING PASSWORD('{}')";
    let login = stage.account("app_either", either, PASSWORD);
    for client in CLIENTS {
        for leg in Leg::PLAIN {
            let check = format!("{client} {leg:?}");
            let target = stage.over_tls(leg, &login);
            is_user(
                stage.query(client, &target, SHOW_USER),
                "app_either",
                &check,
            );
            let switches = stage.login_trace(leg).switches();
            assert_eq!(
                switches,
                ["client_ed25519", "mysql_native_password"],
                "{check}"
            );
        }
    }
}

fn pam_logs_in(pam: Pam, plugin: &str) {
    let stage = Stage::start(Flavor::MariaDb10, &DatabaseOptions::default().pam(pam));
    let login = Login::new(PAM_USER, PASSWORD, SCHEMA);
    let target = stage.over_tls(Leg::Tcp, &login);
    is_user(
        stage.query(Client::MariadbCli, &target, SHOW_USER),
        PAM_USER,
        plugin,
    );
    assert_eq!(stage.login_trace(Leg::Tcp).switches(), [plugin]);
    let wrong = Login::new(PAM_USER, "not the password", SCHEMA);
    let target = stage.over_tls(Leg::Tcp, &wrong);
    let refused = stage.query(Client::MariadbCli, &target, SHOW_USER);
    assert_eq!(refused.unwrap_err().code, 1045);
}

#[test]
fn row_19_pam_logs_in_by_dialog() {
    pam_logs_in(Pam::Dialog, "dialog");
}

#[test]
fn row_19_pam_logs_in_by_clear_password() {
    pam_logs_in(Pam::Clear, "mysql_clear_password");
}

/// The two states of a replica's threads that matter, and why the first one failed.
fn replica_status(replica: &Database) -> anyhow::Result<[String; 3]> {
    let status = replica.execute("SHOW SLAVE STATUS")?;
    let [state, io, sql, error] = [0, 10, 11, 35].map(|at| {
        let field = status.first().and_then(|row| row.get(at)).cloned();
        field.flatten().unwrap_or_default()
    });
    Ok([io, sql, format!("{state}: {error}")])
}

#[test]
fn row_43_a_replica_with_tls_follows_through_the_tunnel() {
    let server = |id: u32| DatabaseOptions::default().argument(&format!("--server-id={id}"));
    let stage = Stage::start(Flavor::MariaDb10, &server(1).argument("--log-bin=binlog"));
    let login = stage.account("replica", "BY '{}'", PASSWORD);
    let grant = "GRANT REPLICATION SLAVE ON *.* TO 'replica'@'%'";
    stage.database().execute(grant).unwrap();
    let replica = Database::start_with(Flavor::MariaDb10, stage.place(), &server(2)).unwrap();
    // Where nothing but TLS is let in.
    let Address::Tcp { host, port } = stage.port(Leg::Strict) else {
        panic!("a port");
    };
    let follow = format!(
        "CHANGE MASTER TO MASTER_HOST='{host}', MASTER_PORT={port}, MASTER_USER='{}', MASTER_PASSWORD='{}', \
         MASTER_SSL=1, MASTER_SSL_VERIFY_SERVER_CERT=0, MASTER_USE_GTID=slave_pos; START SLAVE",
        login.user, login.password
    );
    replica.execute(&follow).unwrap();
    until("a running replica", PATIENCE, || {
        let [io, sql, why] = replica_status(&replica)?;
        anyhow::ensure!(why.ends_with(": "), "the replica says {why}");
        Ok((io == "Yes" && sql == "Yes").then_some(()))
    })
    .unwrap();
    let write = format!(
        "CREATE TABLE {SCHEMA}.told (word TEXT); INSERT INTO {SCHEMA}.told VALUES ('followed')"
    );
    stage.database().execute(&write).unwrap();
    until("the row on the replica", PATIENCE, || {
        let row = replica
            .execute(&format!("SELECT word FROM {SCHEMA}.told"))
            .ok();
        Ok(row.filter(|rows| *rows == [[Some("followed".to_owned())]]))
    })
    .unwrap();
}
