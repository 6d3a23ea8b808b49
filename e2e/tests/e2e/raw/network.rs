//! What loopback hides: certificates that a client proves by the password, and hosts that a database blocks.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use e2e::clients::Address;
use e2e::databases::{DatabaseOptions, Flavor, PASSWORD, SCHEMA};
use e2e::network::Network;
use e2e::paths::installed;
use e2e::probe::status;
use e2e::process::output_of;
use e2e::raw::{Raw, ServerError};

use super::stand::{Leg, Plan, Stand, Way, server_error};

/// `mariadb` 11.8 in the network. Without a CA it believes who proves to know the password, or should.
fn client(network: &Network, address: &Address, user: &str, ca: Option<&Path>) -> Result<String> {
    let mut command = Command::new(installed("bin/mariadb11")?);
    let plugins = installed("mariadb11/usr/lib/libmariadb3/plugin")?;
    command
        .arg("--no-defaults")
        .arg(format!("--plugin-dir={}", plugins.display()))
        .args(["--protocol=tcp", "--batch", "--skip-column-names", "--ssl"])
        .arg(format!("--host={}", address.host()))
        .arg(format!("--port={}", address.port()))
        .arg(format!("--user={user}"))
        .arg(format!("--password={PASSWORD}"))
        .arg(format!("--database={SCHEMA}"))
        .arg("--execute=SELECT USER(), @@version")
        .args(ca.map(|ca| format!("--ssl-ca={}", ca.display())));
    output_of(&mut network.inside(&command))
}

fn outside(network: &Network, options: DatabaseOptions) -> Plan {
    Plan {
        options,
        outside: Some(network.host()),
        ..Plan::default()
    }
}

#[test]
fn row_20_mariadb_11_8_refuses_an_agent_whose_certificate_it_has_no_reason_to_trust() {
    let network = Network::new().unwrap();
    let plan = outside(&network, DatabaseOptions::default().certificate_file());
    let stand = Stand::start(Flavor::MariaDb11, &plan).unwrap();
    let databases_ca = stand.database.ca().unwrap();
    let past = stand.address(Way::Past(Leg::Tcp));
    let said = client(&network, &past, "app", None).unwrap();
    assert!(said.contains("11.8."), "{said}");

    for way in Way::TLS {
        let (address, what) = (stand.address(way), stand.what(way));
        // The database's own CA is a stranger to the agent's certificate.
        let error = client(&network, &address, "app", Some(&databases_ca)).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("ERROR 2026"), "{what}: {said}");
        let without = client(&network, &address, "app", None);
        let said = without.unwrap_err().to_string();
        assert!(said.contains("NOT trusted"), "{what}: {said}");
        // A hole of 11.8.6: it calls a certificate that is shown alone, by whomever, verified. A chain it does not trust.
        assert_eq!(stand.log_in(way, true).certificates(), 2, "{what}");
    }
}

#[test]
fn row_21_mariadb_11_8_without_a_ca_trusts_the_databases_own_certificate_which_engine_tcp_shows() {
    let network = Network::new().unwrap();
    let plan = Plan {
        engine: Some("tcp"),
        ..outside(&network, DatabaseOptions::default().certificate_file())
    };
    let stand = Stand::start(Flavor::MariaDb11, &plan).unwrap();
    for way in [Way::Past(Leg::Tcp), Way::Tunnel(Leg::Tcp)] {
        for user in ["app", "app_ed25519", "app_parsec"] {
            let said = client(&network, &stand.address(way), user, None).unwrap();
            assert!(said.starts_with(user), "{}: {said}", stand.what(way));
        }
    }
}

#[test]
fn row_21_mariadb_11_8_without_a_ca_trusts_an_agent_that_has_the_databases_certificate() {
    let network = Network::new().unwrap();
    let plan = Plan {
        databases_certificate: true,
        ..outside(&network, DatabaseOptions::default().certificate_file())
    };
    let stand = Stand::start(Flavor::MariaDb11, &plan).unwrap();
    for way in Way::TLS {
        for user in ["app", "app_ed25519", "app_parsec"] {
            let said = client(&network, &stand.address(way), user, None).unwrap();
            assert!(said.starts_with(user), "{}: {said}", stand.what(way));
        }
    }
}

/// A database that blocks a host whose name it knows after a few handshakes that came to nothing.
fn blocking(network: &Network) -> Plan {
    let host = network.host();
    let options = DatabaseOptions::default()
        .hosts(&format!("127.0.0.1 localhost\n{host} agent.test\n"))
        .argument("--max-connect-errors=3");
    outside(network, options)
}

#[test]
fn row_44_health_checks_of_the_agent_do_not_make_the_database_block_it() {
    for flavor in [Flavor::MySql9, Flavor::MariaDb10] {
        let network = Network::new().unwrap();
        let stand = Stand::start(flavor, &blocking(&network)).unwrap();
        let ways = [Way::Tunnel(Leg::Tcp), Way::Direct(Leg::Tcp), Way::Quiet];
        let log_in = |way| Raw::log_in(&stand.address(way), &stand.wish(false));
        for _ in 0..20 {
            for probe in ["/startup", "/liveness", "/readiness"] {
                assert_eq!(status(stand.agent.health(), probe).unwrap(), 200);
            }
        }
        for way in ways {
            let mut raw = log_in(way).unwrap();
            assert_eq!(raw.text("SELECT USER()").unwrap(), "app@agent.test");
            raw.quit().unwrap();
        }

        // Handshakes that come to nothing do block it: then the database's words pass on, and are counted.
        let past = Way::Past(Leg::Tcp);
        let blocked = (0..20).find_map(|_| match Raw::open(&stand.address(past)) {
            Ok(mut raw) => {
                raw.write(&[0; 40]).unwrap();
                None
            }
            Err(error) => Some(server_error(Err(error))),
        });
        let blocked: ServerError = blocked.expect("the host to be blocked");
        assert_eq!((blocked.code, blocked.state.as_str()), (1129, ""));
        for way in ways {
            let through = Raw::open(&stand.address(way)).map(drop);
            assert_eq!(server_error(through), blocked, "{}", stand.what(way));
        }
        let counted = stand.metric("csql_server_database_refusals_total", "host-blocked");
        assert_eq!(counted, ways.len() as u64);
        stand
            .database
            .execute("FLUSH HOSTS")
            .or_else(|_| {
                stand
                    .database
                    .execute("TRUNCATE TABLE performance_schema.host_cache")
            })
            .unwrap();
        for way in ways {
            log_in(way).unwrap();
        }
    }
}
