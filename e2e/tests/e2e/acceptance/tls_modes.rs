//! `mysql --ssl-mode=DISABLED|REQUIRED|VERIFY_CA|VERIFY_IDENTITY` by each of the machine's own names, before every
//! database: the agent's certificate is for all of them, and the client program hands out its CA.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use e2e::clients::{Address, Client, Target, Tls};

use super::checks::{SHOW_USER, app, is_user};
use super::legs::{Door, Leg};
use super::shared::{MARIADB, MARIADB_10, MYSQL, Shared, turn};

const MODES: [Tls; 4] = [Tls::Off, Tls::Required, Tls::VerifyCa, Tls::VerifyIdentity];
/// What the command line says of a certificate that it does not believe.
const SSL_ERROR: u32 = 2026;

/// A target that believes this CA only.
fn trusting(address: &Address, tls: Tls, ca: &Path) -> Target {
    Target::new(address.clone(), app(), tls).trusting(ca)
}

fn every_mode_works_by_every_name(shared: &Shared) {
    let stage = shared.get();
    let stage = turn(&stage);
    let ca = stage.ca(Leg::Tcp);
    let v4 = stage.port(Leg::Tcp);
    let listener = stage.at(Door::Agent, Leg::Tcp);
    let (_proxy, v6) = stage.proxy_at(Leg::Tcp, IpAddr::V6(Ipv6Addr::LOCALHOST));
    for tls in MODES {
        let names = [
            (v4, "localhost"),
            (v4, "127.0.0.1"),
            (&v6, "::1"),
            (listener, "localhost"),
            (listener, "127.0.0.1"),
        ];
        for (at, name) in names {
            let check = format!("{name} {tls:?}");
            let target = trusting(at, tls, ca).named(name);
            is_user(
                stage.cold(Client::MysqlCli, &target, SHOW_USER),
                "app",
                &check,
            );
        }
    }
    for (tls, door) in MODES
        .into_iter()
        .flat_map(|tls| Door::ALL.map(|door| (tls, door)))
    {
        let target = trusting(stage.at(door, Leg::Unix), tls, stage.ca(Leg::Unix));
        let check = format!("by the {door:?} {tls:?}");
        is_user(
            stage.cold(Client::MysqlCli, &target, SHOW_USER),
            "app",
            &check,
        );
    }
    for tls in [Tls::Off, Tls::Required] {
        let target = Target::new(stage.socket(Leg::Tcp).clone(), app(), tls);
        let check = format!("Unix socket {tls:?}");
        is_user(
            stage.cold(Client::MysqlCli, &target, SHOW_USER),
            "app",
            &check,
        );
    }
    // The certificate is not for this address of the machine, so identity alone stops here.
    let (_proxy, elsewhere) = stage.proxy_at(Leg::Tcp, stage.place().address());
    for (tls, works) in [(Tls::VerifyCa, true), (Tls::VerifyIdentity, false)] {
        let answer = stage.cold(Client::MysqlCli, &trusting(&elsewhere, tls, ca), SHOW_USER);
        let expected = if works { None } else { Some(SSL_ERROR) };
        assert_eq!(answer.err().map(|error| error.code), expected, "{tls:?}");
    }
    // Another instance's CA does not vouch for this one.
    let foreign = stage.ca(Leg::Unix);
    for tls in [Tls::VerifyCa, Tls::VerifyIdentity] {
        let target = trusting(v4, tls, foreign).named("localhost");
        let refused = stage
            .cold(Client::MysqlCli, &target, SHOW_USER)
            .unwrap_err();
        assert_eq!(refused.code, SSL_ERROR, "{tls:?}: {refused}");
    }
}

#[test]
fn m_2_and_m_5_every_ssl_mode_works_before_mysql_9() {
    every_mode_works_by_every_name(&MYSQL);
}

#[test]
fn m_2_and_m_5_every_ssl_mode_works_before_mariadb_10_11() {
    every_mode_works_by_every_name(&MARIADB_10);
}

#[test]
fn m_2_and_m_5_every_ssl_mode_works_before_mariadb_11_8() {
    every_mode_works_by_every_name(&MARIADB);
}

/// MariaDB's command line verifies by itself from 11.4 on, and nobody tells it of TLS or of a CA here.
fn mariadb_11_8_as_it_comes_logs_in(shared: &Shared, names: &[&str]) {
    let stage = shared.get();
    let stage = turn(&stage);
    for name in names {
        let target = Target::new(stage.port(Leg::Tcp).clone(), app(), Tls::Usual).named(name);
        let answer = stage.cold(Client::MariadbCli11, &target, SHOW_USER);
        is_user(answer, "app", &format!("by {name}"));
    }
}

#[test]
fn mariadb_11_8_as_it_comes_logs_in_to_mariadb_by_both_names_of_the_machine() {
    mariadb_11_8_as_it_comes_logs_in(&MARIADB_10, &["localhost", "127.0.0.1"]);
    mariadb_11_8_as_it_comes_logs_in(&MARIADB, &["localhost", "127.0.0.1"]);
}

/// Under any other name it wants the CA: MySQL cannot vouch for a certificate by the password as MariaDB does.
#[test]
fn mariadb_11_8_as_it_comes_logs_in_to_mysql_by_127_0_0_1_and_wants_the_ca_by_localhost() {
    mariadb_11_8_as_it_comes_logs_in(&MYSQL, &["127.0.0.1"]);
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let target = Target::new(stage.port(Leg::Tcp).clone(), app(), Tls::Usual).named("localhost");
    let refused = stage
        .cold(Client::MariadbCli11, &target, SHOW_USER)
        .unwrap_err();
    assert_eq!(refused.code, SSL_ERROR, "{refused}");
}
