//! Logins played against the machine: real captured openings, both legs of the bridge, and hostile bytes.

use proptest::prelude::*;

use super::*;
use crate::Code;
use crate::mysql::RsaKey;
use crate::mysql::legs::MAX_PACKETS;
use crate::mysql::{packet, rsa};

const NONCE: [u8; 20] = *b"abcdefghijklmnopqrst";
const CAPABILITIES: u32 = 0xDFFF_FFFF;
const CLIENT: u32 = 0x000F_A685 | capability_ssl();

const fn capability_ssl() -> u32 {
    0x0000_0800
}

fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    packet::encode(sequence, payload).unwrap()
}

fn greeting(plugin: &str) -> Vec<u8> {
    let low = u16::try_from(CAPABILITIES & 0xFFFF).unwrap().to_le_bytes();
    let high = u16::try_from(CAPABILITIES >> 16).unwrap().to_le_bytes();
    [
        &b"\x0a9.7.4\0\x2a\0\0\0"[..],
        &NONCE[..8],
        &[0],
        &low,
        &[0xFF, 0x02, 0x00],
        &high,
        &[21],
        &[0; 10],
        &NONCE[8..],
        &[0],
        plugin.as_bytes(),
        &[0],
    ]
    .concat()
}

fn handshake_response(user: &str, schema: Option<&str>, plugin: &str) -> Vec<u8> {
    let capabilities = CLIENT | 0x0008_0000 | if schema.is_some() { 8 } else { 0 };
    let mut payload = capabilities.to_le_bytes().to_vec();
    payload.extend_from_slice(&[0, 0, 0, 1, 255]);
    payload.extend_from_slice(&[0; 23]);
    payload.extend_from_slice(user.as_bytes());
    payload.extend_from_slice(&[0, 3, 9, 9, 9]);
    if let Some(schema) = schema {
        payload.extend_from_slice(schema.as_bytes());
        payload.push(0);
    }
    payload.extend_from_slice(plugin.as_bytes());
    payload.push(0);
    payload
}

fn options(application: Transport, database: DatabaseLeg) -> LoginOptions {
    LoginOptions {
        application,
        database,
        rsa_key: None,
        allowed_users: vec![],
        allowed_schemas: vec![],
        inner_tls: InnerTls::Off,
    }
}

/// A machine with what has been read and what it has said.
struct Play {
    login: Login,
    inputs: Inputs,
    to_application: Vec<u8>,
    to_database: Vec<u8>,
}

impl Play {
    fn new(options: LoginOptions) -> Self {
        let (to_application, to_database) = (vec![], vec![]);
        Self {
            login: Login::new(options),
            inputs: Inputs::default(),
            to_application,
            to_database,
        }
    }

    /// Past greeting and handshake response of `plugin`, with both records empty.
    fn begun(options: LoginOptions, plugin: &str) -> Self {
        let mut play = Self::new(options);
        play.feed(Face::Database, &packet(0, &greeting(plugin)))
            .unwrap();
        let response = handshake_response("app", Some("appdb"), plugin);
        play.feed(Face::Application, &packet(1, &response)).unwrap();
        // Where the database was asked for TLS, the response follows inside.
        play.feed(Face::Database, &[]).unwrap();
        play.to_application.clear();
        play.to_database.clear();
        play
    }

    fn feed(&mut self, face: Face, bytes: &[u8]) -> Result<Option<Outcome>, Violation> {
        self.inputs.of(face).extend_from_slice(bytes);
        loop {
            match self.login.step(&mut self.inputs)? {
                Step::NeedInput => return Ok(None),
                Step::Send(Face::Application, bytes) => self.to_application.extend(bytes),
                Step::Send(Face::Database, bytes) => self.to_database.extend(bytes),
                Step::Done(outcome) => return Ok(Some(outcome)),
            }
        }
    }
}

fn ok(sequence: u8) -> Vec<u8> {
    packet(sequence, &[0, 0, 0, 2, 0, 0, 0])
}

#[test]
fn the_greeting_loses_its_offer_of_tls_and_nothing_else() {
    let mut play = Play::new(options(Transport::Tcp, DatabaseLeg::Plain));
    let sent = packet(0, &greeting("caching_sha2_password"));
    assert_eq!(play.feed(Face::Database, &sent), Ok(None));
    let changed: Vec<usize> = (0..sent.len())
        .filter(|at| sent[*at] != play.to_application[*at])
        .collect();
    let version_end = 4 + 1 + 5;
    assert_eq!(changed, [version_end + 15, version_end + 20]);
    assert_eq!(play.to_application[version_end + 15], 0xF7);
    assert_eq!(play.to_application[version_end + 20], 0x9F);
}

#[test]
fn client_ssl_is_cleared_in_the_response_that_the_database_gets() {
    let mut play = Play::new(options(Transport::Tcp, DatabaseLeg::Plain));
    play.feed(
        Face::Database,
        &packet(0, &greeting("caching_sha2_password")),
    )
    .unwrap();
    let response = packet(1, &handshake_response("app", None, "caching_sha2_password"));
    play.feed(Face::Application, &response).unwrap();
    assert_eq!(play.to_database.len(), response.len());
    assert_eq!(response[5] & 0x08, 0x08);
    assert_eq!(play.to_database[5] & 0x08, 0);
    assert_eq!(play.to_database[6..], response[6..]);
}

#[test]
fn a_login_by_the_fast_path_ends_with_what_is_known_of_it() {
    let mut play = Play::begun(
        options(Transport::Tcp, DatabaseLeg::Unix),
        "caching_sha2_password",
    );
    let answer = [packet(2, &[1, 3]), ok(3)].concat();
    let outcome = play.feed(Face::Database, &answer).unwrap().unwrap();
    let expected = LoggedIn {
        user: "app".into(),
        schema: Some("appdb".into()),
        plugin: "caching_sha2_password".into(),
        connection_id: 42,
        application: Transport::Tcp,
        compressed: false,
    };
    assert_eq!(outcome, Outcome::LoggedIn(expected));
    assert_eq!(play.to_application, answer);
    assert!(play.to_database.is_empty());
}

#[test]
fn a_request_for_the_key_is_answered_with_ours_where_the_database_is_secure() {
    let key = RsaKey::generate().unwrap();
    let mut options = options(Transport::Tcp, DatabaseLeg::Unix);
    options.rsa_key = Some(key);
    let mut play = Play::begun(options, "caching_sha2_password");
    play.feed(Face::Database, &packet(2, &[1, 4])).unwrap();
    play.to_application.clear();
    play.feed(Face::Application, &packet(3, &[2])).unwrap();
    assert!(
        play.to_database.is_empty(),
        "the database must not see the request"
    );
    let pem = &play.to_application[5..];
    assert_eq!(play.to_application[3..5], [4, 1]);
    let ciphertext = rsa::encrypt(pem, b"secret\0", &NONCE).unwrap().unwrap();
    play.feed(Face::Application, &packet(5, &ciphertext))
        .unwrap();
    assert_eq!(play.to_database, packet(3, b"secret\0"));
    play.to_application.clear();
    assert!(matches!(
        play.feed(Face::Database, &ok(4)),
        Ok(Some(Outcome::LoggedIn(_)))
    ));
    assert_eq!(play.to_application, ok(6), "each leg keeps its own numbers");
}

#[test]
fn a_password_in_clear_is_encrypted_where_the_database_is_plain() {
    let key = RsaKey::generate().unwrap();
    let mut play = Play::begun(
        options(Transport::Unix, DatabaseLeg::Plain),
        "caching_sha2_password",
    );
    play.feed(Face::Database, &packet(2, &[1, 4])).unwrap();
    play.to_application.clear();
    play.feed(Face::Application, &packet(3, b"secret\0"))
        .unwrap();
    assert_eq!(
        play.to_database,
        packet(3, &[2]),
        "the key is asked for, the password held"
    );
    play.to_database.clear();
    let answer = [&[1], key.public_pem().as_bytes()].concat();
    play.feed(Face::Database, &packet(4, &answer)).unwrap();
    assert!(play.to_application.is_empty());
    assert_eq!(play.to_database[3], 5);
    assert_eq!(
        key.decrypt(&play.to_database[4..], &NONCE)
            .unwrap()
            .as_slice(),
        b"secret\0"
    );
    play.feed(Face::Database, &ok(6)).unwrap();
    assert_eq!(play.to_application, ok(4));
}

#[test]
fn what_fits_both_legs_passes_as_it_is() {
    for (application, database, password) in [
        (Transport::Unix, DatabaseLeg::Unix, &b"secret\0"[..]),
        (Transport::Unix, DatabaseLeg::Tls, b"secret\0"),
        (Transport::Tcp, DatabaseLeg::Plain, &[2]),
        (Transport::Tcp, DatabaseLeg::Unix, b"secret\0"),
    ] {
        let mut play = Play::begun(options(application, database), "caching_sha2_password");
        let next = if database == DatabaseLeg::Tls { 3 } else { 2 };
        play.feed(Face::Database, &packet(next, &[1, 4])).unwrap();
        play.feed(Face::Application, &packet(3, password)).unwrap();
        assert_eq!(play.to_database, packet(next + 1, password));
    }
}

#[test]
fn a_switch_brings_its_own_nonce() {
    let key = RsaKey::generate().unwrap();
    let mut play = Play::begun(
        options(Transport::Unix, DatabaseLeg::Unix),
        "caching_sha2_password",
    );
    let switch = [&b"\xfesha256_password\0"[..], &[9; 20], &[0]].concat();
    play.feed(Face::Database, &packet(2, &switch)).unwrap();
    play.to_application.clear();
    play.feed(Face::Application, &packet(3, b"secret\0"))
        .unwrap();
    assert_eq!(
        play.to_database,
        packet(3, &[1]),
        "a Unix socket is not secure for sha256_password"
    );
    play.to_database.clear();
    let answer = [&[1], key.public_pem().as_bytes()].concat();
    play.feed(Face::Database, &packet(4, &answer)).unwrap();
    assert_eq!(
        key.decrypt(&play.to_database[4..], &[9; 20])
            .unwrap()
            .as_slice(),
        b"secret\0"
    );
}

#[test]
fn a_password_for_a_pinned_key_is_refused_on_a_secure_leg_and_passes_on_a_plain_one() {
    for (database, passes) in [(DatabaseLeg::Unix, false), (DatabaseLeg::Plain, true)] {
        let mut play = Play::begun(options(Transport::Tcp, database), "caching_sha2_password");
        play.feed(Face::Database, &packet(2, &[1, 4])).unwrap();
        play.to_application.clear();
        let outcome = play.feed(Face::Application, &packet(3, &[7; 256]));
        if passes {
            assert_eq!((outcome, play.to_application), (Ok(None), vec![]));
        } else {
            assert_refused(outcome, &play.to_application, 4);
        }
    }
}

#[test]
fn a_password_too_long_for_the_databases_key_is_refused_with_what_to_do() {
    let key = RsaKey::generate().unwrap();
    let options = options(Transport::Unix, DatabaseLeg::Plain);
    let mut play = Play::begun(options, "caching_sha2_password");
    play.feed(Face::Database, &packet(2, &[1, 4])).unwrap();
    let password = [&[b'x'; 214][..], &[0]].concat();
    play.feed(Face::Application, &packet(3, &password)).unwrap();
    play.to_application.clear();
    let answer = [&[1], key.public_pem().as_bytes()].concat();
    let outcome = play.feed(Face::Database, &packet(4, &answer));
    assert_refused(outcome, &play.to_application, 4);
}

/// The application has an ERR packet of ours with this number, which says that the login is not possible.
fn assert_refused(outcome: Result<Option<Outcome>, Violation>, said: &[u8], number: u8) {
    let Ok(Some(Outcome::Refused(refusal))) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(refusal.code, Code::Authentication);
    assert_eq!(said[3..6], [number, 0xFF, 0x51]);
    assert!(
        String::from_utf8_lossy(said).contains("tcp:")
            || String::from_utf8_lossy(said).contains("unix:")
    );
}

#[test]
fn a_database_that_refuses_its_key_ends_the_login_with_its_own_words() {
    let mut play = Play::begun(
        options(Transport::Unix, DatabaseLeg::Plain),
        "caching_sha2_password",
    );
    play.feed(Face::Database, &packet(2, &[1, 4])).unwrap();
    play.feed(Face::Application, &packet(3, b"secret\0"))
        .unwrap();
    play.to_application.clear();
    let err = packet(4, b"\xff\x15\x04#28000Access denied");
    assert_eq!(
        play.feed(Face::Database, &err),
        Ok(Some(Outcome::RefusedByDatabase(1045)))
    );
    assert_eq!(play.to_application, err);
}

#[test]
fn an_error_instead_of_a_greeting_reaches_the_application() {
    let mut play = Play::new(options(Transport::Tcp, DatabaseLeg::Plain));
    let err = packet(0, b"\xff\x10\x04Too many connections");
    assert_eq!(
        play.feed(Face::Database, &err),
        Ok(Some(Outcome::RefusedByDatabase(1040)))
    );
    assert_eq!(play.to_application, err);
}

#[test]
fn an_ssl_request_is_refused_with_the_reason_and_never_forwarded() {
    let mut play = Play::new(options(Transport::Tcp, DatabaseLeg::Plain));
    play.feed(
        Face::Database,
        &packet(0, &greeting("caching_sha2_password")),
    )
    .unwrap();
    play.to_application.clear();
    let request = handshake_response("", None, "")[..32].to_vec();
    let outcome = play
        .feed(Face::Application, &packet(1, &request))
        .unwrap()
        .unwrap();
    assert!(matches!(outcome, Outcome::Refused(refusal) if refusal.code == Code::Protocol));
    assert!(play.to_database.is_empty());
    assert_eq!(play.to_application[3..7], [2, 0xFF, 0x13, 0x04]);
}

/// A machine that offers TLS, past the greeting.
fn offering_tls(inner_tls: InnerTls, database: DatabaseLeg) -> Play {
    let mut options = options(Transport::Tcp, database);
    options.inner_tls = inner_tls;
    let mut play = Play::new(options);
    let mut bare = greeting("caching_sha2_password");
    // A database that does not offer TLS itself.
    let version_end = 1 + 5;
    bare[version_end + 15] &= !0x08;
    play.feed(Face::Database, &packet(0, &bare)).unwrap();
    assert_eq!(play.to_application[version_end + 19] & 0x08, 0x08);
    play.to_application.clear();
    play
}

#[test]
fn an_application_may_speak_tls_and_the_database_never_knows() {
    let mut play = offering_tls(InnerTls::Allow, DatabaseLeg::Unix);
    let full = handshake_response("app", Some("appdb"), "caching_sha2_password");
    let client_hello = b"\x16\x03\x01 a ClientHello in the same write";
    let both = [packet(1, &full[..32]), client_hello.to_vec()].concat();
    assert_eq!(
        play.feed(Face::Application, &both),
        Ok(Some(Outcome::StartTls))
    );
    assert_eq!(
        play.inputs.application, client_hello,
        "what follows is for TLS, not for the machine"
    );
    assert!(play.to_database.is_empty() && play.to_application.is_empty());
    play.inputs.application.clear();

    // The response that counts has the front of the request: here they differ in one capability.
    let mut other_front = full.clone();
    other_front[3] ^= 0x01;
    play.feed(Face::Application, &packet(2, &other_front))
        .unwrap();
    let mut expected = packet(1, &full);
    expected[5] &= !0x08;
    assert_eq!(play.to_database, expected);
    play.to_database.clear();

    play.feed(Face::Database, &packet(2, &[1, 4])).unwrap();
    assert_eq!(
        play.to_application,
        packet(3, &[1, 4]),
        "one number ahead on this leg"
    );
    play.to_application.clear();
    play.feed(Face::Application, &packet(4, b"secret\0"))
        .unwrap();
    assert_eq!(play.to_database, packet(3, b"secret\0"));
    assert!(matches!(
        play.feed(Face::Database, &ok(4)),
        Ok(Some(Outcome::LoggedIn(_)))
    ));
    assert_eq!(play.to_application, ok(5));
}

#[test]
fn a_password_sent_in_clear_inside_tls_is_encrypted_for_a_plain_database() {
    let mut play = offering_tls(InnerTls::Require, DatabaseLeg::Plain);
    let full = handshake_response("app", None, "caching_sha2_password");
    play.feed(Face::Application, &packet(1, &full[..32]))
        .unwrap();
    play.feed(Face::Application, &packet(2, &full)).unwrap();
    play.feed(Face::Database, &packet(2, &[1, 4])).unwrap();
    play.to_database.clear();
    play.feed(Face::Application, &packet(4, b"secret\0"))
        .unwrap();
    assert_eq!(play.to_database, packet(3, &[2]));
}

#[test]
fn an_application_without_tls_is_told_that_it_is_required() {
    let mut play = offering_tls(InnerTls::Require, DatabaseLeg::Unix);
    let response = packet(1, &handshake_response("app", None, "caching_sha2_password"));
    let outcome = play.feed(Face::Application, &response).unwrap().unwrap();
    assert!(matches!(outcome, Outcome::Refused(refusal) if refusal.code == Code::TlsRequired));
    assert_eq!(play.to_application[3..13], *b"\x02\xff\x57\x0c#HY000");
    assert!(play.to_database.is_empty());
}

#[test]
fn tls_inside_tls_is_a_violation() {
    let mut play = offering_tls(InnerTls::Allow, DatabaseLeg::Unix);
    let request = handshake_response("app", None, "caching_sha2_password")[..32].to_vec();
    play.feed(Face::Application, &packet(1, &request)).unwrap();
    assert!(play.feed(Face::Application, &packet(2, &request)).is_err());
}

#[test]
fn a_user_or_schema_outside_the_grant_never_reaches_the_database() {
    for (user, schema, allowed) in [
        ("app", "appdb", true),
        ("root", "appdb", false),
        ("app", "mysql", false),
    ] {
        let mut options = options(Transport::Tcp, DatabaseLeg::Plain);
        options.allowed_users = vec!["app".into()];
        options.allowed_schemas = vec!["appdb".into()];
        let mut play = Play::new(options);
        play.feed(
            Face::Database,
            &packet(0, &greeting("caching_sha2_password")),
        )
        .unwrap();
        let response = handshake_response(user, Some(schema), "caching_sha2_password");
        let outcome = play.feed(Face::Application, &packet(1, &response)).unwrap();
        assert_eq!(play.to_database.is_empty(), !allowed);
        assert_eq!(matches!(outcome, Some(Outcome::Refused(_))), !allowed);
    }
}

#[test]
fn compression_is_withheld_from_both_sides_where_the_user_is_restricted() {
    let mut options = options(Transport::Tcp, DatabaseLeg::Plain);
    options.allowed_users = vec!["app".into()];
    let mut play = Play::new(options);
    play.feed(
        Face::Database,
        &packet(0, &greeting("caching_sha2_password")),
    )
    .unwrap();
    let version_end = 4 + 1 + 5;
    assert_eq!(play.to_application[version_end + 14] & 0x20, 0);
    assert_eq!(play.to_application[version_end + 20] & 0x04, 0);
    let mut response = handshake_response("app", None, "caching_sha2_password");
    response[0] |= 0x20;
    response[3] |= 0x04;
    play.feed(Face::Application, &packet(1, &response)).unwrap();
    assert_eq!(
        (play.to_database[4] & 0x20, play.to_database[7] & 0x04),
        (0, 0)
    );
}

#[test]
fn commands_are_watched_where_the_bridge_or_the_grant_needs_it() {
    let login = |application, compressed| LoggedIn {
        user: "app".into(),
        schema: None,
        plugin: "caching_sha2_password".into(),
        connection_id: 42,
        application,
        compressed,
    };
    for (application, database, compressed, watched) in [
        (Transport::Tcp, DatabaseLeg::Plain, false, false),
        (Transport::Tcp, DatabaseLeg::Unix, false, true),
        (Transport::Tcp, DatabaseLeg::Unix, true, false),
        (Transport::Tls, DatabaseLeg::Plain, false, true),
        (Transport::Tls, DatabaseLeg::Unix, false, false),
    ] {
        let mut options = options(application, database);
        assert_eq!(options.watches(&login(application, compressed)), watched);
        options.allowed_users = vec!["app".into()];
        assert!(options.watches(&login(application, false)));
    }
}

#[test]
fn a_command_sent_before_ok_waits_and_is_left_for_what_follows() {
    let mut play = Play::begun(
        options(Transport::Tcp, DatabaseLeg::Plain),
        "mysql_native_password",
    );
    let query = packet(0, b"\x03SELECT 1");
    assert_eq!(play.feed(Face::Application, &query), Ok(None));
    assert!(play.to_database.is_empty());
    assert!(matches!(
        play.feed(Face::Database, &ok(2)),
        Ok(Some(Outcome::LoggedIn(_)))
    ));
    assert_eq!(play.inputs.application, query);
}

#[test]
fn plugin_data_without_a_prefix_and_empty_answers_pass() {
    let mut play = Play::begun(options(Transport::Tcp, DatabaseLeg::Plain), "dialog");
    play.feed(Face::Database, &packet(2, b"\x04Password: "))
        .unwrap();
    play.feed(Face::Application, &packet(3, b"")).unwrap();
    assert_eq!(play.to_database, packet(3, b""));
    assert!(matches!(
        play.feed(Face::Database, &ok(4)),
        Ok(Some(Outcome::LoggedIn(_)))
    ));
}

#[test]
fn packets_out_of_order_are_violations_on_either_leg() {
    let mut play = Play::begun(options(Transport::Tcp, DatabaseLeg::Plain), "dialog");
    assert!(play.feed(Face::Application, &packet(4, b"x")).is_err());
    let mut play = Play::begun(options(Transport::Tcp, DatabaseLeg::Plain), "dialog");
    assert!(play.feed(Face::Database, &packet(3, b"x")).is_err());
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
        [0, 0xFF, 0x51, 0x04, b't']
    );
    let play = Play::begun(options(Transport::Tcp, DatabaseLeg::Plain), "dialog");
    assert_eq!(
        play.login.farewell(&refusal)[3..8],
        [2, 0xFF, 0x51, 0x04, b'#']
    );
}

/// Plays both sides' bytes, in the order of `turns`, cut into pieces of `size`.
fn played(turns: &[(Face, Vec<u8>)], size: usize) -> (Option<Outcome>, Vec<u8>, Vec<u8>) {
    let mut play = Play::new(options(Transport::Tcp, DatabaseLeg::Plain));
    let mut outcome = None;
    for (face, bytes) in turns {
        for piece in bytes.chunks(size) {
            outcome = play.feed(*face, piece).unwrap();
        }
    }
    (outcome, play.to_application, play.to_database)
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

/// The turns of a capture in `testdata`, which says how each was taken.
fn captured(file: &[u8]) -> Vec<(Face, Vec<u8>)> {
    let mut turns = vec![];
    let mut rest = file;
    while let Some((face, tail)) = rest.split_first() {
        let face = if *face == b'A' {
            Face::Application
        } else {
            Face::Database
        };
        let (length, tail) = tail.split_first_chunk::<4>().unwrap();
        let (bytes, tail) = tail.split_at(usize::try_from(u32::from_be_bytes(*length)).unwrap());
        turns.push((face, bytes.to_vec()));
        rest = tail;
    }
    turns
}

/// All that one side said in a capture.
fn said(turns: &[(Face, Vec<u8>)], by: Face) -> Vec<u8> {
    turns
        .iter()
        .filter(|(face, _)| *face == by)
        .flat_map(|(_, bytes)| bytes.clone())
        .collect()
}

#[test]
fn a_real_login_passes_both_ways_but_for_the_offer_of_tls() {
    for (file, plugin) in [
        (
            &include_bytes!("../../../testdata/mysql97_full_tcp.cap")[..],
            "caching_sha2_password",
        ),
        (
            &include_bytes!("../../../testdata/mysql97_fast_tcp.cap")[..],
            "caching_sha2_password",
        ),
    ] {
        let turns = captured(file);
        let (command, login) = turns.split_last().unwrap();
        let (outcome, to_application, to_database) = played(login, 7);
        let Some(Outcome::LoggedIn(logged_in)) = outcome else {
            panic!("no login: {outcome:?}")
        };
        assert_eq!(
            (logged_in.user.as_str(), logged_in.plugin.as_str()),
            ("app", plugin)
        );
        assert_eq!(logged_in.schema.as_deref(), Some("appdb"));
        assert!(command.1.ends_with(b"select @@version_comment limit 1"));
        assert_eq!(to_database, said(login, Face::Application));
        let sent = said(login, Face::Database);
        let differing = sent
            .iter()
            .zip(&to_application)
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!((to_application.len(), differing), (sent.len(), 2));
    }
}

#[test]
fn a_real_refusal_ends_with_the_databases_error_number() {
    let turns = captured(include_bytes!(
        "../../../testdata/mysql97_wrong_password.cap"
    ));
    assert_eq!(played(&turns, 3).0, Some(Outcome::RefusedByDatabase(1045)));
}

#[test]
fn a_real_ssl_request_is_recognised() {
    let turns = captured(include_bytes!("../../../testdata/mysql97_ssl_wanted.cap"));
    assert!(matches!(played(&turns, 5).0, Some(Outcome::Refused(_))));
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
fn tls_to_the_database_begins_with_the_front_of_the_response_and_its_numbers_go_on() {
    let mut play = Play::new(options(Transport::Tcp, DatabaseLeg::Tls));
    play.feed(
        Face::Database,
        &packet(0, &greeting("caching_sha2_password")),
    )
    .unwrap();
    let response = handshake_response("app", Some("appdb"), "caching_sha2_password");
    let outcome = play.feed(Face::Application, &packet(1, &response)).unwrap();
    assert_eq!(outcome, Some(Outcome::StartDatabaseTls));
    let mut request = response[..32].to_vec();
    request[3] &= !0x40;
    assert_eq!(play.to_database, packet(1, &request));
    play.to_database.clear();

    assert_eq!(play.feed(Face::Database, &[]), Ok(None));
    let mut inside = response;
    inside[3] &= !0x40;
    assert_eq!(play.to_database, packet(2, &inside));
    assert_ne!(play.to_database[5] & 0x08, 0, "CLIENT_SSL stays set");
    play.to_application.clear();
    let outcome = play.feed(Face::Database, &ok(3)).unwrap();
    assert!(matches!(outcome, Some(Outcome::LoggedIn(_))));
    assert_eq!(play.to_application, ok(2));
}

#[test]
fn what_the_database_says_between_the_request_for_tls_and_tls_is_refused() {
    let mut play = Play::new(options(Transport::Tcp, DatabaseLeg::Tls));
    let glued = [packet(0, &greeting("caching_sha2_password")), ok(2)].concat();
    play.feed(Face::Database, &glued).unwrap();
    let response = handshake_response("app", None, "caching_sha2_password");
    assert!(play.feed(Face::Application, &packet(1, &response)).is_err());
}

#[test]
fn a_database_that_offers_no_tls_is_not_sent_the_response() {
    let mut play = Play::new(options(Transport::Tcp, DatabaseLeg::Tls));
    let mut plain = greeting("caching_sha2_password");
    plain[1 + 5 + 1 + 14] &= !0x08;
    play.feed(Face::Database, &packet(0, &plain)).unwrap();
    let response = handshake_response("app", None, "caching_sha2_password");
    let outcome = play.feed(Face::Application, &packet(1, &response)).unwrap();
    assert!(
        matches!(outcome, Some(Outcome::Refused(refusal)) if refusal.code == Code::DatabaseRefused)
    );
    assert!(play.to_database.is_empty());
}

/// An anonymous application up to its request for TLS.
fn anonymous() -> Play {
    let mut play = Play::new(LoginOptions {
        inner_tls: InnerTls::Require,
        ..options(Transport::Tcp, DatabaseLeg::Unix)
    });
    play.login = Login::anonymous(play.login.options().clone());
    play.feed(
        Face::Database,
        &packet(0, &greeting("caching_sha2_password")),
    )
    .unwrap();
    let low = play.to_application[4 + 1 + 6 + 4 + 8 + 1];
    assert_eq!(low & 0x20, 0, "compression would hide a change of user");
    let response = handshake_response("app", None, "caching_sha2_password");
    let outcome = play.feed(Face::Application, &packet(1, &response[..32]));
    assert_eq!(outcome, Ok(Some(Outcome::StartTls)));
    play
}

#[test]
fn who_is_known_inside_tls_only_is_bound_to_the_users_of_its_grant() {
    for (allowed, passes) in [("app", true), ("other", false)] {
        let mut play = anonymous();
        play.login
            .identified(Ok((vec![allowed.to_owned()], vec![])));
        let response = handshake_response("app", None, "caching_sha2_password");
        let outcome = play.feed(Face::Application, &packet(2, &response)).unwrap();
        assert_eq!(outcome.is_none(), passes);
        assert_eq!(play.to_database.is_empty(), !passes);
    }
}

#[test]
fn who_is_not_let_in_reads_so_behind_its_response_and_the_database_hears_nothing() {
    let mut play = anonymous();
    let refusal = Refusal::new(Code::NoGrant, "no grant", "ask for one");
    play.login.identified(Err(refusal.clone()));
    play.to_application.clear();
    let response = handshake_response("app", None, "caching_sha2_password");
    let outcome = play.feed(Face::Application, &packet(2, &response)).unwrap();
    assert_eq!(outcome, Some(Outcome::Refused(refusal)));
    assert_eq!(play.to_application[3..7], [3, 0xFF, 0x15, 0x04]);
    assert!(play.to_database.is_empty());
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

#[test]
fn the_version_of_the_database_is_kept() {
    let mut play = Play::new(options(Transport::Tcp, DatabaseLeg::Unix));
    assert_eq!(play.login.version(), None);
    play.feed(
        Face::Database,
        &packet(0, &greeting("mysql_native_password")),
    )
    .unwrap();
    assert_eq!(play.login.version(), Some(&b"9.7.4"[..]));
}
