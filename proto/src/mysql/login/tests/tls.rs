//! TLS of the application's own, inside what it reached us by.

use super::*;

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
fn the_greatest_packet_and_the_character_set_are_those_that_each_server_takes() {
    for (mariadb, expected) in [(false, [0, 0, 0, 1, 255]), (true, [1, 2, 3, 4, 33])] {
        let mut play = Play::new(LoginOptions {
            inner_tls: InnerTls::Allow,
            ..options(Transport::Tcp, DatabaseLeg::Unix)
        });
        let mut said = greeting("mysql_native_password");
        let low = 1 + 6 + 4 + 8 + 1;
        said[low] &= if mariadb { !1 } else { !0 };
        play.feed(Face::Database, &packet(0, &said)).unwrap();
        let full = handshake_response("app", None, "mysql_native_password");
        play.feed(Face::Application, &packet(1, &full[..32]))
            .unwrap();
        let mut inside = full.clone();
        inside[4..9].copy_from_slice(&[1, 2, 3, 4, 33]);
        play.feed(Face::Application, &packet(2, &inside)).unwrap();
        assert_eq!(play.to_database[8..13], expected, "MariaDB: {mariadb}");
        assert_eq!(play.to_database[13..], full[9..]);
    }
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
