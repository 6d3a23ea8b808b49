//! Clients that say nothing, or leave: their room is free again in time, and the database is charged no more for them
//! than without us.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use e2e::databases::Flavor;
use e2e::raw::{Ending, Raw, Socket, encode};
use e2e::wait::{PATIENCE, until};

use super::stand::{Leg, Plan, Stand, Way, server_error};

/// No login may take longer; MySQL and MariaDB give it 10 seconds themselves.
const LIMIT: Duration = Duration::from_secs(10);

/// Ways to begin a login and not to go on.
#[derive(Clone, Copy, Debug)]
enum Silence {
    AfterTheGreeting,
    InTheRequest,
    AfterTheRequest,
    InTheResponse,
    /// Not silent: a byte now and then, for ever.
    Drip,
}

impl Silence {
    const ALL: [Self; 5] = [
        Self::AfterTheGreeting,
        Self::InTheRequest,
        Self::AfterTheRequest,
        Self::InTheResponse,
        Self::Drip,
    ];

    /// Says as much as this one says at first.
    fn begin(self, stand: &Stand, raw: &mut Raw) {
        let (request, _) = encode(1, &stand.wish(true).ssl_request()).unwrap();
        let response = stand.wish(false).response(raw.greeting());
        let (response, _) = encode(1, &response).unwrap();
        let (part, _) = match self {
            Self::AfterTheGreeting | Self::Drip => request.split_at(0),
            Self::InTheRequest => request.split_at(20),
            Self::AfterTheRequest => request.split_at(request.len()),
            Self::InTheResponse => response.split_at(60),
        };
        raw.write(part).unwrap();
    }

    /// How long it is borne.
    fn wait(self, raw: &mut Raw) -> Duration {
        let began = Instant::now();
        let mut socket = raw.socket().twin().unwrap();
        if matches!(self, Self::Drip) {
            let pace = Duration::from_millis(200);
            // A packet of 16,000 bytes that never comes to its end.
            let packet = [&[0x80, 0x3E, 0, 1][..], &[7; 16_000]].concat();
            for byte in packet {
                if socket.write_all(&[byte]).is_err()
                    || raw.ending(pace).unwrap() != Ending::Open
                    || began.elapsed() > PATIENCE
                {
                    return began.elapsed();
                }
            }
        }
        let ending = raw.ending(PATIENCE).unwrap();
        assert_ne!(ending, Ending::Open, "{self:?}");
        began.elapsed()
    }
}

#[test]
fn row_47_silent_clients_are_cut_in_time_and_their_room_is_free_again() {
    const CLIENTS: usize = 20;
    const ROOM: usize = 10;
    let plan = Plan {
        arguments: vec![
            format!("--max-connections={ROOM}"),
            format!("--max-connections-per-account={ROOM}"),
        ],
        ..Plan::default()
    };
    let stand = Stand::warm(Flavor::MySql9, &plan).unwrap();
    until("room after the start", PATIENCE, || {
        Ok((stand.status("Threads_connected") == 1).then_some(()))
    })
    .unwrap();

    for way in [Way::Tunnel(Leg::Tcp), Way::Direct(Leg::Tcp)] {
        let began = Instant::now();
        let mut silent = Vec::new();
        for (_, silence) in (0..CLIENTS).zip(Silence::ALL.into_iter().cycle()) {
            match Raw::open(&stand.address(way)) {
                Ok(mut raw) => {
                    silence.begin(&stand, &mut raw);
                    silent.push((silence, raw));
                }
                Err(error) => assert_eq!(server_error(Err(error)).code, 1040),
            }
        }
        // A client of the direct listener that has no room is greeted by the agent, and told when it answers.
        let greeted = match way {
            Way::Direct(_) => CLIENTS,
            _ => ROOM,
        };
        assert_eq!(silent.len(), greeted, "{way:?}");
        // The database has seen no more, and the harness itself.
        assert_eq!(stand.status("Threads_connected"), ROOM as u64 + 1);
        std::thread::scope(|scope| {
            for (silence, raw) in &mut silent {
                scope.spawn(move || {
                    let borne = silence.wait(raw);
                    assert!(borne < LIMIT, "{silence:?} was borne for {borne:?}");
                });
            }
        });
        drop(silent);
        let mut raw = until("room for another client", PATIENCE, || {
            Ok(Raw::log_in(&stand.address(way), &stand.wish(true)).ok())
        })
        .unwrap();
        let free = began.elapsed();
        assert!(free < LIMIT, "free after {free:?}, {way:?}");
        assert_eq!(raw.text("SELECT 'in'").unwrap(), "in");
        raw.quit().unwrap();
    }
}

/// Where a client leaves: so far into a request for TLS with a ClientHello behind it.
const LEAVINGS: [(&str, usize); 4] = [
    ("with the greeting", 0),
    ("in the request", 12),
    ("behind the request", 36),
    ("in TLS", 60),
];

/// How many of its connections the database calls aborted when a client says `last` and leaves.
fn charged(stand: &Stand, way: Way, last: impl Fn(&Raw) -> Vec<u8>, reset: bool) -> u64 {
    let idle = || {
        until("the database to be idle", PATIENCE, || {
            Ok((stand.status("Threads_connected") == 1).then_some(()))
        })
        .unwrap();
    };
    idle();
    let before = stand.status("Aborted_connects");
    let raw = stand.open(way);
    let mut socket = raw.socket().twin().unwrap();
    socket.write_all(&last(&raw)).unwrap();
    if reset && let Socket::Tcp(stream) = &socket {
        rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
    } else {
        socket.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        drop(socket.read_to_end(&mut rest));
    }
    drop((raw, socket));
    idle();
    stand.status("Aborted_connects") - before
}

#[test]
fn a_client_that_leaves_in_mid_handshake_costs_no_more_than_past_the_tunnel() {
    for flavor in [Flavor::MySql9, Flavor::MariaDb10] {
        let stand = Stand::start(flavor, &Plan::default()).unwrap();
        let (request, _) = encode(1, &stand.wish(true).ssl_request()).unwrap();
        let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3, 7].repeat(2);
        let said = [request, hello].concat();
        for (place, bytes) in LEAVINGS {
            let last = |_: &Raw| said[..bytes].to_vec();
            for reset in [false, true] {
                let past = charged(&stand, Way::Past(Leg::Tcp), last, reset);
                assert_eq!(past, 1, "{place}");
                for way in Way::TLS {
                    let what = format!("{place}, reset {reset}, {}", stand.what(way));
                    assert!(charged(&stand, way, last, reset) <= past, "{what}");
                }
            }
        }
    }
}

#[test]
fn a_client_that_leaves_instead_of_its_password_costs_no_more_than_past_the_tunnel() {
    // Nobody has logged in: the database's cache is empty, and it asks for the password.
    let stand = Stand::start(Flavor::MySql9, &Plan::default()).unwrap();
    let response = |raw: &Raw| {
        let response = stand.wish(false).response(raw.greeting());
        encode(1, &response).unwrap().0
    };
    let past = charged(&stand, Way::Past(Leg::Tcp), response, false);
    assert_eq!(past, 1);
    for way in Way::ALL {
        let cost = charged(&stand, way, response, false);
        assert!(cost <= past, "{}", stand.what(way));
    }
}
