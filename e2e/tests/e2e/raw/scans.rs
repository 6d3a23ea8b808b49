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

/// Fills what `connect` takes, and gives what the database says when there is no room.
fn fill(held: &mut Vec<Raw>, connect: impl Fn() -> anyhow::Result<Raw>) -> ServerError {
    loop {
        match connect() {
            Ok(raw) => held.push(raw),
            Err(error) => return server_error(Err(error)),
        }
    }
}

#[test]
fn a_full_database_says_so_in_its_own_words_and_is_counted() {
    for flavor in [Flavor::MySql9, Flavor::MariaDb10] {
        let options = DatabaseOptions::default()
            .argument("--max-connections=10")
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
        let behind_the_login = fill(&mut held, || enter(past));
        assert_eq!(behind_the_login.code, 1040);
        for way in Way::ALL {
            let error = server_error(enter(way).map(drop));
            assert_eq!(error, behind_the_login, "{}", stand.what(way));
        }
        // With that one taken too, instead of the greeting, and without a SQLSTATE.
        let instead = until("no place at all", PATIENCE, || {
            let error = fill(&mut held, || greet(past));
            Ok(error.state.is_empty().then_some(error))
        })
        .unwrap();
        assert_eq!(
            (instead.code, instead.text.as_str()),
            (1040, "Too many connections")
        );
        for way in Way::ALL {
            let error = server_error(greet(way).map(drop));
            assert_eq!(error, instead, "{}", stand.what(way));
        }
        let counted = stand.metric(REFUSED, "too-many-connections");
        assert_eq!(counted, 2 * Way::ALL.len() as u64);
        drop(held);
        for way in Way::ALL {
            until("room in the database", PATIENCE, || Ok(enter(way).ok())).unwrap();
        }
    }
}
