//! Bytes out of order, too many, too early, or cut anywhere.

use proptest::prelude::*;

use super::*;
use crate::mysql::legs::MAX_PACKETS;

#[test]
fn a_command_sent_before_ok_waits_and_is_left_for_what_follows() {
    let mut play = Play::begun(
        options(Transport::Tcp, DatabaseLeg::Plain),
        "mysql_native_password",
    );
    let query = packet(0, b"\x03SELECT 1");
    assert!(play.login.wants(Face::Application));
    assert_eq!(play.feed(Face::Application, &query), Ok(None));
    assert!(play.to_database.is_empty());
    let wants = [Face::Application, Face::Database].map(|face| play.login.wants(face));
    assert_eq!(
        wants,
        [false, true],
        "the rest of a long command waits in its socket"
    );
    assert!(matches!(
        play.feed(Face::Database, &ok(2)),
        Ok(Some(Outcome::LoggedIn(_)))
    ));
    assert_eq!(play.inputs.application, query);
}

#[test]
fn packets_out_of_order_are_violations_on_either_leg() {
    let mut play = Play::begun(options(Transport::Tcp, DatabaseLeg::Plain), "dialog");
    assert!(play.feed(Face::Application, &packet(4, b"x")).is_err());
    let mut play = Play::begun(options(Transport::Tcp, DatabaseLeg::Plain), "dialog");
    assert!(play.feed(Face::Database, &packet(3, b"x")).is_err());
}

#[test]
fn a_database_that_says_no_is_heard_whatever_number_its_packet_has() {
    let mut play = Play::begun(options(Transport::Tcp, DatabaseLeg::Plain), "dialog");
    let err = b"\xff\x84\x04#08S01Got packets out of order";
    assert_eq!(
        play.feed(Face::Database, &packet(11, err)),
        Ok(Some(Outcome::RefusedByDatabase(1156)))
    );
    assert_eq!(play.to_application, packet(2, err));
}

#[test]
fn a_proxy_header_from_the_application_is_not_a_packet() {
    let mut play = Play::new(options(Transport::Tcp, DatabaseLeg::Plain));
    play.feed(
        Face::Database,
        &packet(0, &greeting("mysql_native_password")),
    )
    .unwrap();
    let header = b"PROXY TCP4 192.0.2.66 192.0.2.1 1 2\r\n";
    assert!(play.feed(Face::Application, header).is_err());
    assert!(play.to_database.is_empty());
}

#[test]
fn a_login_that_never_ends_is_cut() {
    let mut play = Play::begun(options(Transport::Tcp, DatabaseLeg::Plain), "dialog");
    let mut sequence = 2;
    let ended = (0..MAX_PACKETS).any(|_| {
        let ended = play
            .feed(Face::Database, &packet(sequence, b"\x04again"))
            .is_err()
            || play
                .feed(Face::Application, &packet(sequence + 1, b"x"))
                .is_err();
        sequence += 2;
        ended
    });
    assert!(ended);
}

#[test]
fn a_farewell_fits_where_the_exchange_stands() {
    let refusal = Refusal::new(Code::Deadline, "the login took too long", "try again");
    let play = Play::new(options(Transport::Tcp, DatabaseLeg::Plain));
    assert_eq!(
        play.login.farewell(&refusal)[3..8],
        [0, 0xFF, 0x86, 0x04, b't']
    );
    let play = Play::begun(options(Transport::Tcp, DatabaseLeg::Plain), "dialog");
    assert_eq!(
        play.login.farewell(&refusal)[3..8],
        [2, 0xFF, 0x86, 0x04, b'#']
    );
}

#[test]
fn the_same_bytes_cut_at_every_place_end_the_same() {
    let turns = [
        (
            Face::Database,
            packet(0, &greeting("caching_sha2_password")),
        ),
        (
            Face::Application,
            packet(
                1,
                &handshake_response("app", Some("appdb"), "caching_sha2_password"),
            ),
        ),
        (Face::Database, packet(2, &[1, 4])),
        (Face::Application, packet(3, &[2])),
        (Face::Database, packet(4, b"\x01-----BEGIN PUBLIC KEY-----")),
        (Face::Application, packet(5, &[5; 256])),
        (Face::Database, ok(6)),
    ];
    let whole = played(&turns, usize::MAX);
    assert!(matches!(whole.0, Some(Outcome::LoggedIn(_))));
    for size in 1..40 {
        assert_eq!(played(&turns, size), whole);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        database in proptest::collection::vec(any::<u8>(), 0..200),
        application in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut play = Play::new(options(Transport::Unix, DatabaseLeg::Plain));
        if play.feed(Face::Database, &packet(0, &database)).is_ok() {
            drop(play.feed(Face::Application, &packet(1, &application)));
        }
        let mut play = Play::begun(options(Transport::Unix, DatabaseLeg::Plain), "caching_sha2_password");
        if play.feed(Face::Database, &packet(2, &database)).is_ok() {
            drop(play.feed(Face::Application, &packet(3, &application)));
        }
    }
}

#[test]
fn a_first_packet_that_is_too_long_is_answered_with_the_number_behind_its_own() {
    let mut play = Play::new(options(Transport::Tcp, DatabaseLeg::Unix));
    play.feed(
        Face::Database,
        &packet(0, &greeting("mysql_native_password")),
    )
    .unwrap();
    assert!(
        play.feed(Face::Application, &[0xFF, 0xFF, 0xFE, 1])
            .is_err()
    );
    let refusal = Refusal::new(Code::Protocol, "too long", "say less");
    assert_eq!(
        play.login.farewell(&refusal)[3..13],
        *b"\x02\xff\x13\x04#08S01"
    );
}
