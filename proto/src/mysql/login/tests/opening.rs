//! Greeting, response and the way to OK.

use super::*;

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
        local_files: true,
    };
    assert_eq!(outcome, Outcome::LoggedIn(expected));
    assert_eq!(play.to_application, answer);
    assert!(play.to_database.is_empty());
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
