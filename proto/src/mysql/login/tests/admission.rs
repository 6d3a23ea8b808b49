//! What the grant allows, and what is withheld to keep it so.

use super::*;

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
fn compression_is_withheld_where_the_grant_is_restricted_and_refused_to_who_insists() {
    for (bits, by_schema) in [([0x20, 0], false), ([0, 0x04], false), ([0x20, 0x04], true)] {
        let mut options = options(Transport::Tcp, DatabaseLeg::Plain);
        match by_schema {
            true => options.allowed_schemas = vec!["appdb".into()],
            false => options.allowed_users = vec!["app".into()],
        }
        withheld_and_refused(options, bits);
    }
}

fn withheld_and_refused(options: LoginOptions, [low, high]: [u8; 2]) {
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
    response[0] |= low;
    response[3] |= high;
    play.to_application.clear();
    let outcome = play.feed(Face::Application, &packet(1, &response)).unwrap();
    assert!(
        matches!(outcome, Some(Outcome::Refused(refusal)) if refusal.code == Code::Authentication)
    );
    assert!(play.to_database.is_empty());
    assert_eq!(play.to_application[3..5], [2, 0xFF]);
}

#[test]
fn local_files_are_neither_offered_nor_asked_for_where_the_grant_is_restricted() {
    for restricted in [false, true] {
        let mut options = options(Transport::Tcp, DatabaseLeg::Plain);
        if restricted {
            options.allowed_users = vec!["app".into()];
        }
        let mut play = Play::new(options);
        let mut greeting = greeting("caching_sha2_password");
        greeting[1 + 5 + 14] |= 0x80;
        play.feed(Face::Database, &packet(0, &greeting)).unwrap();
        let expected = if restricted { 0 } else { 0x80 };
        assert_eq!(play.to_application[4 + 1 + 5 + 14] & 0x80, expected);
        let mut response = handshake_response("app", None, "caching_sha2_password");
        response[0] |= 0x80;
        play.feed(Face::Application, &packet(1, &response)).unwrap();
        assert_eq!(play.to_database[4] & 0x80, expected);
        let outcome = play.feed(Face::Database, &ok(2)).unwrap();
        assert!(
            matches!(outcome, Some(Outcome::LoggedIn(login)) if login.local_files != restricted)
        );
    }
}

#[test]
fn an_application_that_insists_on_compression_gets_it_where_nothing_is_restricted() {
    // It is not offered there, because a change of user could not be bridged.
    let mut options = options(Transport::Tls, DatabaseLeg::Plain);
    options.inner_tls = InnerTls::Allow;
    let mut play = Play::new(options);
    let greeting = packet(0, &greeting("caching_sha2_password"));
    play.feed(Face::Database, &greeting).unwrap();
    assert_eq!(play.to_application[4 + 1 + 5 + 14] & 0x20, 0);
    let mut response = handshake_response("app", None, "caching_sha2_password");
    response[0] |= 0x20;
    play.feed(Face::Application, &packet(1, &response)).unwrap();
    assert_eq!(
        play.to_database[4] & 0x20,
        0x20,
        "both must speak of the same stream"
    );
    let outcome = play.feed(Face::Database, &ok(2)).unwrap();
    assert!(matches!(outcome, Some(Outcome::LoggedIn(login)) if login.compressed));
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
        local_files: false,
    };
    for (application, database, compressed, watched) in [
        (Transport::Tcp, DatabaseLeg::Plain, false, false),
        (Transport::Tcp, DatabaseLeg::Unix, false, true),
        (Transport::Tcp, DatabaseLeg::Unix, true, false),
        (Transport::Tls, DatabaseLeg::Plain, false, true),
        // For sha256_password, which takes a Unix socket for no secure transport.
        (Transport::Tls, DatabaseLeg::Unix, false, true),
        (Transport::Tls, DatabaseLeg::Tls, false, false),
        (Transport::Unix, DatabaseLeg::Tls, false, false),
    ] {
        let mut options = options(application, database);
        let commands = options.commands(&login(application, compressed));
        assert_eq!(commands.is_some(), watched, "{application:?} {database:?}");
        options.allowed_users = vec!["app".into()];
        assert!(options.commands(&login(application, compressed)).is_some());
        (options.allowed_users, options.allowed_schemas) = (vec![], vec!["appdb".into()]);
        assert!(options.commands(&login(application, false)).is_some());
    }
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
