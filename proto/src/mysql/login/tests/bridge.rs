//! The authentication bridge, with legs that differ and legs that fit.

use super::*;
use crate::mysql::rsa;

/// A database whose users have `sha256_password` unless they have another plugin names it in its greeting, and the
/// application's response is made by it.
#[test]
fn a_response_made_by_sha256_password_is_asked_for_again_where_the_legs_differ() {
    let mut leak = Vec::new();
    for application in [Transport::Tcp, Transport::Unix, Transport::Tls] {
        for database in [DatabaseLeg::Plain, DatabaseLeg::Unix, DatabaseLeg::Tls] {
            let mut play = Play::begun(options(application, database), "caching_sha2_password");
            let as_it_is = play.login.options().takes_sha256();
            play = Play::new(options(application, database));
            play.feed(Face::Database, &packet(0, &greeting("sha256_password")))
                .unwrap();
            let response = handshake_response("app", Some("appdb"), "sha256_password");
            play.feed(Face::Application, &packet(1, &response)).unwrap();
            play.feed(Face::Database, &[]).unwrap();
            let sent = play.to_database.clone();
            let has = |part: &[u8]| sent.windows(part.len()).any(|window| window == part);
            assert!(
                has(b"app\0") && has(b"appdb\0"),
                "{application:?} {database:?}"
            );
            assert_eq!(
                has(b"\x03\x09\x09\x09appdb"),
                as_it_is,
                "{application:?} {database:?}"
            );
            assert_eq!(
                has(b"app\0\0appdb\0none\0"),
                !as_it_is,
                "{application:?} {database:?}"
            );
            leak.push(as_it_is);
        }
    }
    assert_eq!(leak.iter().filter(|as_it_is| **as_it_is).count(), 2);
}

#[test]
fn a_password_in_clear_of_the_first_response_reaches_a_plain_database_encrypted() {
    let key = RsaKey::generate().unwrap();
    let mut play = Play::begun(
        options(Transport::Tls, DatabaseLeg::Plain),
        "sha256_password",
    );
    let switch = [&b"\xfesha256_password\0"[..], &[9; 20], &[0]].concat();
    play.feed(Face::Database, &packet(2, &switch)).unwrap();
    assert_eq!(play.to_application, packet(2, &switch));
    play.feed(Face::Application, &packet(3, b"secret\0"))
        .unwrap();
    assert_eq!(play.to_database, packet(3, &[1]), "the key is asked for");
    play.to_database.clear();
    let answer = [&[1], key.public_pem().as_bytes()].concat();
    play.feed(Face::Database, &packet(4, &answer)).unwrap();
    let password = key.decrypt(&play.to_database[4..], &[9; 20]).unwrap();
    assert_eq!(password.as_slice(), b"secret\0");
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
