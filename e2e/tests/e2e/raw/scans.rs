//! What the database is charged for strangers, and what it says instead of a greeting.

use std::net::TcpStream;
use std::time::Duration;

use e2e::clients::Address;
use e2e::databases::{DatabaseOptions, Flavor};
use e2e::place::AGENT_PORT;
use e2e::raw::{Raw, ServerError};
use e2e::wait::{PATIENCE, until};
use rustix::net::sockopt::set_socket_linger;
use rustix::process::Signal;

use super::stand::{Leg, Plan, Stand, Way, server_error};

/// A scan of this many connections, in batches that a backlog holds.
const SCANS: usize = 1000;
const BATCH: usize = 50;
const FAILED: &str = "csql_server_handshakes_failed_total";
const REFUSED: &str = "csql_server_database_refusals_total";

/// Connects and closes, with a reset every other time.
fn scan(address: &Address) {
    let Address::Tcp { host, port } = address else {
        panic!("a port is scanned");
    };
    for number in 0..BATCH {
        let stream = TcpStream::connect((*host, *port)).unwrap();
        if number % 2 == 0 {
            set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        }
    }
}

#[test]
fn a_thousand_port_scans_cost_the_database_nothing() {
    let mut stand = Stand::start(Flavor::MySql9, &Plan::default()).unwrap();
    let tunnels = Address::Tcp {
        host: stand.agent.address(),
        port: AGENT_PORT,
    };
    let direct = stand.address(Way::Direct(Leg::Tcp));
    // The database itself does count them.
    let before = stand.status("Aborted_connects");
    scan(&stand.address(Way::Past(Leg::Tcp)));
    until(
        "the database to count scans of its own port",
        PATIENCE,
        || Ok((stand.status("Aborted_connects") >= before + BATCH as u64).then_some(())),
    )
    .unwrap();

    let aborted = stand.status("Aborted_connects");
    let connections = stand.status("Connections");
    for address in [tunnels, direct] {
        let failed = stand.metric(FAILED, "");
        for batch in 1..=SCANS / BATCH {
            // The agent sees each of them only when it has gone again.
            stand.agent.process().signal(Signal::STOP).unwrap();
            scan(&address);
            stand.agent.process().signal(Signal::CONT).unwrap();
            let seen = failed + (batch * BATCH) as u64;
            until("the agent to see the scans", PATIENCE, || {
                Ok((stand.metric(FAILED, "") >= seen).then_some(()))
            })
            .unwrap();
        }
        assert_eq!(stand.metric(FAILED, ""), failed + SCANS as u64);
    }
    assert_eq!(stand.status("Aborted_connects"), aborted);
    // Two questions of the harness, and nothing of the agent.
    assert_eq!(stand.status("Connections"), connections + 2);
}

/// The value of `--max-connections`. The database takes one more, for an administrator.
const PLACES: usize = 10;

/// Takes what `connect` gives until `places` are held, and gives what the database says to the
/// next one. A connection that was just refused or left keeps its place for a moment: a refusal
/// before all places are held is no more than that.
fn fill(
    held: &mut Vec<Raw>,
    places: usize,
    connect: impl Fn() -> anyhow::Result<Raw>,
) -> ServerError {
    until("a full database", PATIENCE, || match connect() {
        Ok(raw) => {
            held.push(raw);
            Ok(None)
        }
        Err(error) if held.len() == places => Ok(Some(server_error(Err(error)))),
        Err(_) => Ok(None),
    })
    .unwrap()
}

#[test]
fn a_full_database_says_so_in_its_own_words_and_is_counted() {
    for flavor in [Flavor::MySql9, Flavor::MariaDb10] {
        let options = DatabaseOptions::default()
            .argument(&format!("--max-connections={PLACES}"))
            .argument("--connect-timeout=120");
        let plan = Plan {
            options,
            ..Plan::default()
        };
        let stand = Stand::warm(flavor, &plan).unwrap();
        let enter = |way| Raw::log_in(&stand.address(way), &stand.wish(false));
        let greet = |way| Raw::open(&stand.address(way));
        let past = Way::Past(Leg::Tcp);
        let mut held = Vec::new();
        // The last place is for an administrator: others are told behind the login.
        let behind_the_login = fill(&mut held, PLACES, || enter(past));
        assert_eq!(behind_the_login.code, 1040);
        let mut refused = 0;
        for way in Way::ALL {
            until(&stand.what(way), PATIENCE, || {
                let error = server_error(enter(way).map(drop));
                assert_eq!(error.code, behind_the_login.code);
                refused += 1;
                // The one refused before may still hold the administrator's place.
                Ok((error == behind_the_login).then_some(()))
            })
            .unwrap();
        }
        // With that one taken too, instead of the greeting, and without a SQLSTATE.
        let instead = fill(&mut held, PLACES + 1, || greet(past));
        assert_eq!(instead.state, "");
        assert_eq!(
            (instead.code, instead.text.as_str()),
            (1040, "Too many connections")
        );
        for way in Way::ALL {
            let error = server_error(greet(way).map(drop));
            assert_eq!(error, instead, "{}", stand.what(way));
            refused += 1;
        }
        // The agent counts a refusal after the client has read it.
        let is_counted = || stand.metric(REFUSED, "too-many-connections") == refused;
        until("each refusal is counted", PATIENCE, || {
            Ok(is_counted().then_some(()))
        })
        .unwrap();
        drop(held);
        for way in Way::ALL {
            until("room in the database", PATIENCE, || Ok(enter(way).ok())).unwrap();
        }
    }
}
