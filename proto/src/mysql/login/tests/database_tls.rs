//! Our own TLS to the database.

use super::*;

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
