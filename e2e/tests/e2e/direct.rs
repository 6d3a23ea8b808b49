//! Every client against every database with nothing in between: proof of the harness itself.

use e2e::clients::{Address, Client, Runner, Target, Tls};
use e2e::databases::{Database, Flavor};
use e2e::place::Place;
use e2e::tally;

const CLIENTS: [Client; 5] = [
    Client::MysqlCli,
    Client::MariadbCli,
    Client::PyMySql,
    Client::Mysql2,
    Client::GoSqlDriver,
];

/// Whether the client can use the account at all, whatever lies in between.
fn able(client: Client, target: &Target) -> bool {
    match target.login.user.as_str() {
        "app_ed25519" => !matches!(client, Client::MysqlCli | Client::Mysql2),
        // PyMySQL takes a Unix socket for secure and sends the password as it is; for
        // sha256_password the server wants it encrypted there.
        "app_sha256" if matches!(target.address, Address::Socket(_)) => {
            client != Client::PyMySql || target.tls != Tls::Off
        }
        _ => true,
    }
}

fn every_client_logs_in(flavor: Flavor) {
    let place = Place::new("direct").unwrap();
    let database = Database::start(flavor, &place).unwrap();
    let addresses = [
        database.address().clone(),
        Address::Socket(database.socket().to_owned()),
    ];
    let mut failures = Vec::new();
    for client in CLIENTS {
        let mut runner = Runner::start(client).unwrap();
        for address in &addresses {
            for tls in [Tls::Usual, Tls::Off, Tls::Required] {
                for login in flavor.logins() {
                    let check = format!("{client} as {} over {address} {tls:?}", login.user);
                    database.flush().unwrap();
                    let target = Target::new(address.clone(), login.clone(), tls);
                    let able = able(client, &target);
                    let answer = runner
                        .query_again(&target, "SELECT VERSION(), USER(), NULL")
                        .unwrap();
                    match answer {
                        Ok(rows) if able => {
                            assert!(rows[0][0].as_ref().unwrap().starts_with(flavor.version()));
                            assert!(rows[0][1].as_ref().unwrap().starts_with(&login.user));
                            assert_eq!(rows[0][2], None);
                            tally::passed(flavor.name(), client.name(), &check).unwrap();
                        }
                        Ok(_) => failures.push(format!("{check}: able after all")),
                        Err(error) if able => failures.push(format!("{check}: {error}")),
                        Err(_) => {}
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_client_logs_in_to_mysql_9() {
    every_client_logs_in(Flavor::MySql9);
}

#[test]
fn every_client_logs_in_to_mariadb_10_11() {
    every_client_logs_in(Flavor::MariaDb10);
}
