//! Rows 30 and 31: the application's address by the PROXY protocol.

use std::net::{IpAddr, Ipv4Addr};

use e2e::clients::{Answer, Client, Login, Target};
use e2e::databases::{DatabaseOptions, Flavor, PASSWORD, SCHEMA};
use e2e::enclave;
use e2e::relay::Relay;

use super::checks::app;
use super::legs::{Door, Leg};
use super::stage::Stage;

/// The application's address: one that is not loopback, and is there in the test's own network namespace only.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ASK: &str = "SELECT USER(), CURRENT_USER()";

/// Logs in from `ELSEWHERE`.
fn from_elsewhere(stage: &Stage, client: Client, door: Door, leg: Leg, login: &Login) -> Answer {
    let relay = Relay::calling_from(ELSEWHERE, LOCALHOST, stage.at(door, leg)).unwrap();
    let target = Target {
        address: relay.address().clone(),
        ..stage.over_tls_by(door, leg, login)
    };
    stage.cold(client, &target, ASK)
}

fn who(answer: Answer, check: &str) -> [String; 2] {
    let rows = answer.unwrap_or_else(|error| panic!("{check}: {error}"));
    [0, 1].map(|at| rows[0][at].clone().unwrap())
}

#[test]
fn row_30_mariadb_knows_the_application_by_its_own_address() {
    enclave::enter(ELSEWHERE).unwrap();
    let options = DatabaseOptions::default();
    let options = options.argument("--proxy-protocol-networks=127.0.0.1,localhost");
    let stage = Stage::start_with(Flavor::MariaDb10, &options, "&proxy-protocol=true");
    let sql = format!(
        "CREATE USER 'guest'@'{ELSEWHERE}' IDENTIFIED BY '{PASSWORD}'; \
                       GRANT ALL PRIVILEGES ON {SCHEMA}.* TO 'guest'@'{ELSEWHERE}'"
    );
    stage.database().execute(&sql).unwrap();
    let guest = Login::new("guest", PASSWORD, SCHEMA);
    let (client, expected) = (Client::MariadbCli11, format!("guest@{ELSEWHERE}"));
    for leg in [Leg::Tcp, Leg::Unix, Leg::Tls] {
        for door in Door::ALL {
            let check = format!("{leg:?} by the {door:?}");
            let answer = from_elsewhere(&stage, client, door, leg, &guest);
            assert_eq!(
                who(answer, &check),
                [expected.clone(), expected.clone()],
                "{check}"
            );
            // Whoever comes from this machine is somebody else.
            let near = stage.over_tls_by(door, leg, &guest);
            let refused = stage.cold(client, &near, ASK).unwrap_err();
            assert_eq!(refused.code, 1045, "{check}: {refused}");
            let near = "'guest'@'127.0.0.1'";
            assert!(refused.message.contains(near), "{check}: {refused}");
        }
    }
}

#[test]
fn row_31_mysql_which_has_no_proxy_protocol_refuses_it_and_works_without() {
    enclave::enter(ELSEWHERE).unwrap();
    let stage = Stage::start_with(
        Flavor::MySql9,
        &DatabaseOptions::default(),
        "&proxy-protocol=true",
    );
    for leg in Leg::PLAIN {
        for door in Door::ALL {
            let check = format!("{leg:?} by the {door:?}");
            let refused = from_elsewhere(&stage, Client::MysqlCli, door, leg, &app()).unwrap_err();
            assert_eq!(refused.code, 1156, "{check}: {refused}");
        }
    }
    let stage = Stage::start(Flavor::MySql9, &DatabaseOptions::default());
    for leg in Leg::PLAIN {
        for door in Door::ALL {
            let check = format!("{leg:?} by the {door:?}");
            let answer = from_elsewhere(&stage, Client::MysqlCli, door, leg, &app());
            let near = if leg == Leg::Unix {
                "localhost"
            } else {
                "127.0.0.1"
            };
            let expected = [format!("app@{near}"), "app@%".to_owned()];
            assert_eq!(who(answer, &check), expected, "{check}");
        }
    }
}
