//! The databases and their variants, with nothing in between: proof of the harness itself.

use e2e::clients::{Address, Client, Login, Target, Tls};
use e2e::databases::{Database, DatabaseOptions, Flavor, PAM_USER, PASSWORD, Pam, RsaKeys, SCHEMA};
use e2e::place::Place;

fn log_in(client: Client, address: &Address, user: &str, password: &str, tls: Tls) -> bool {
    let login = Login::new(user, password, SCHEMA);
    let target = Target::new(address.clone(), login, tls);
    client.query(&target, "SELECT 1").unwrap().is_ok()
}

#[test]
fn mysql_has_the_rsa_keys_that_it_is_given() {
    for (keys, works, length) in [
        (RsaKeys::Usual, true, 451),
        (RsaKeys::Bits(4096), true, 800),
        (RsaKeys::Missing, false, 0),
    ] {
        let place = Place::new("rsa").unwrap();
        let options = DatabaseOptions::default().rsa_keys(keys);
        let database = Database::start_with(Flavor::MySql9, &place, &options).unwrap();
        let shown = database
            .execute("SELECT LENGTH(VARIABLE_VALUE) FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Caching_sha2_password_rsa_public_key'")
            .unwrap();
        let shown: usize = shown[0][0].as_ref().unwrap().parse().unwrap();
        assert!(shown.abs_diff(length) < 60, "{keys:?}: {shown}");
        database.flush().unwrap();
        let in_the_clear = log_in(
            Client::MysqlCli,
            database.address(),
            "app",
            PASSWORD,
            Tls::Off,
        );
        assert_eq!(in_the_clear, works, "{keys:?}");
    }
}

#[test]
fn a_database_without_tls_offers_none() {
    for flavor in Flavor::ALL {
        let place = Place::new("no-tls").unwrap();
        let options = DatabaseOptions::default().without_tls();
        let database = Database::start_with(flavor, &place, &options).unwrap();
        let over = |tls| log_in(Client::MysqlCli, database.address(), "app", PASSWORD, tls);
        assert!(over(Tls::Off), "{flavor:?}");
        assert!(!over(Tls::Required), "{flavor:?}");
        assert_eq!(database.ca(), None);
        assert!(database.fingerprint().is_err());
    }
}

#[test]
fn a_database_may_demand_secure_transport() {
    for flavor in Flavor::ALL {
        let place = Place::new("secure").unwrap();
        let options = DatabaseOptions::default().secure_transport_required();
        let database = Database::start_with(flavor, &place, &options).unwrap();
        let over = |tls| log_in(Client::MysqlCli, database.address(), "app", PASSWORD, tls);
        assert!(!over(Tls::Off), "{flavor:?}");
        assert!(over(Tls::Required), "{flavor:?}");
    }
}

#[test]
fn the_certificate_of_a_database_is_known_to_the_tests() {
    for (flavor, options) in [
        (Flavor::MySql9, DatabaseOptions::default()),
        (Flavor::MariaDb10, DatabaseOptions::default()),
        (
            Flavor::MariaDb11,
            DatabaseOptions::default().certificate_file(),
        ),
    ] {
        let place = Place::new("certificate").unwrap();
        let database = Database::start_with(flavor, &place, &options).unwrap();
        let login = Login::new("app", PASSWORD, SCHEMA);
        let target = Target::new(database.address().clone(), login, Tls::VerifyCa)
            .trusting(&database.ca().unwrap());
        let rows = Client::MysqlCli.query(&target, "SELECT 1").unwrap();
        assert!(rows.is_ok(), "{flavor:?}: {rows:?}");
        let fingerprint = database.fingerprint().unwrap();
        assert_eq!(fingerprint.len(), 64);
        assert_eq!(fingerprint, database.fingerprint().unwrap());
    }
    let place = Place::new("certificate").unwrap();
    let mut database = Database::start(Flavor::MariaDb11, &place).unwrap();
    assert_eq!(database.ca(), None);
    let first = database.fingerprint().unwrap();
    database.restart().unwrap();
    assert_ne!(first, database.fingerprint().unwrap(), "made in memory");
}

#[test]
fn pam_takes_the_right_password_only() {
    for flavor in [Flavor::MariaDb10, Flavor::MariaDb11] {
        for pam in [Pam::Dialog, Pam::Clear] {
            let place = Place::new("pam").unwrap();
            let options = DatabaseOptions::default().pam(pam);
            let database = Database::start_with(flavor, &place, &options).unwrap();
            let with = |password| {
                let address = database.address();
                log_in(
                    Client::MariadbCli,
                    address,
                    PAM_USER,
                    password,
                    Tls::Required,
                )
            };
            assert!(with(PASSWORD), "{flavor:?} {pam:?}");
            assert!(!with("not the password"), "{flavor:?} {pam:?}");
        }
    }
}
