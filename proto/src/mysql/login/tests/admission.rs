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
