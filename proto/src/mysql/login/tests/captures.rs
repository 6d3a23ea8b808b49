//! Openings captured between real clients and a real server.

use super::*;

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
            &include_bytes!("../../../../testdata/mysql97_full_tcp.cap")[..],
            "caching_sha2_password",
        ),
        (
            &include_bytes!("../../../../testdata/mysql97_fast_tcp.cap")[..],
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
        "../../../../testdata/mysql97_wrong_password.cap"
    ));
    assert_eq!(played(&turns, 3).0, Some(Outcome::RefusedByDatabase(1045)));
}

#[test]
fn a_real_ssl_request_is_recognised() {
    let turns = captured(include_bytes!(
        "../../../../testdata/mysql97_ssl_wanted.cap"
    ));
    assert!(matches!(played(&turns, 5).0, Some(Outcome::Refused(_))));
}
