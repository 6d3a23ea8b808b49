//! Where listeners are and who may use them, as flags and parameters say.

use std::path::Path;

use transport::accept::{Callers, UnixOptions};

use super::*;

fn first(flags: &[&str]) -> InstanceConfig {
    config(flags).unwrap().instances.remove(0)
}

#[test]
fn addresses_are_literals_or_localhost_and_never_empty() {
    let address = |flags: &[&str]| match first(flags).place {
        Place::Tcp { address, .. } => address,
        place => panic!("{place:?}"),
    };
    for (flag, expected) in [
        ("127.0.0.2", "127.0.0.2"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("0.0.0.0", "0.0.0.0"),
        ("localhost", "localhost"),
        ("LocalHost", "localhost"),
    ] {
        assert_eq!(
            address(&["p:r:a", &format!("--address={flag}")]).to_string(),
            expected
        );
        assert_eq!(
            address(&[&format!("p:r:a?address={flag}")]).to_string(),
            expected
        );
    }
    assert_eq!(address(&["p:r:a"]).to_string(), "127.0.0.1");
    for bad in ["", "db.example", "127.0.0.1:3306", "1.2.3", "[127.0.0.1"] {
        let found = complaints(&["p:r:a", &format!("--address={bad}")]);
        assert!(
            found.contains("expected an IP address or localhost"),
            "{bad}: {found}"
        );
    }
    let is_wildcard = |text: &str| text.parse::<Address>().unwrap().is_wildcard();
    assert!(is_wildcard("0.0.0.0") && is_wildcard("::"));
    assert!(!is_wildcard("localhost") && !is_wildcard("10.0.0.1"));
}

#[test]
fn sockets_are_guarded_by_the_flags_unless_the_instance_says_otherwise() {
    let plain = first(&["p:r:a?unix-socket=/run"]);
    assert_eq!(plain.socket, UnixOptions::of_mode(0o660));
    assert_eq!(plain.callers, Callers::default());
    let flags = [
        "p:r:a?unix-socket=/run&socket-mode=0600&allow-uid=7&allow-uid=8&allow-from=10.0.0.0/8",
        "p:r:b?unix-socket=/run",
        "--socket-mode=0777",
        "--socket-group=4321",
        "--long-socket-paths",
        "--allow-uid=1",
        "--allow-gid=2,3",
        "--allow-from=127.0.0.0/8,::1",
    ];
    let instances = config(&flags).unwrap().instances;
    let [own, common] = instances.as_slice() else {
        panic!("two instances");
    };
    let socket = UnixOptions {
        mode: 0o777,
        group: Some(4321),
        is_long_allowed: true,
    };
    assert_eq!(common.socket, socket);
    assert_eq!(
        (
            common.callers.uids.as_slice(),
            common.callers.gids.as_slice()
        ),
        (&[1][..], &[2, 3][..])
    );
    assert_eq!(common.callers.networks.len(), 2);
    assert_eq!(
        own.socket,
        UnixOptions {
            mode: 0o600,
            ..socket
        }
    );
    // Whoever names users means those and no others.
    assert_eq!(
        (own.callers.uids.as_slice(), own.callers.gids.as_slice()),
        (&[7, 8][..], &[][..])
    );
    assert_eq!(own.callers.networks, ["10.0.0.0/8".parse().unwrap()]);
}

#[test]
fn what_does_not_guard_is_complained_about() {
    for (flag, expected) in [
        ("--socket-mode=0888", "expected permission bits in octal"),
        ("--socket-mode=4755", "expected permission bits in octal"),
        ("--socket-group=no-such-group", "there is no group"),
        ("--allow-from=10.1.2.3/8", "write 10.0.0.0/8"),
        ("--allow-from=home", "expected an address or a network"),
        (
            "p:r:b?socket-mode=rw",
            "socket-mode: expected permission bits",
        ),
        (
            "p:r:b?allow-uid=root",
            "allow-uid: expected a user's number",
        ),
        (
            "p:r:b?allow-from=10.1.2.3/8",
            "allow-from: expected a network",
        ),
        ("p:r:b?unix-socket=", "unix-socket is empty"),
        ("p:r:b?private-ip=true&psc=true", "exclude each other"),
    ] {
        let found = complaints(&["p:r:a", flag]);
        assert!(found.contains(expected), "{flag}: {found}");
    }
}

#[test]
fn addresses_of_agents_are_of_the_class_that_is_asked_for() {
    for (flags, route) in [
        (&["p:r:a"][..], Route::Public),
        (&["p:r:a", "--psc"], Route::Psc),
        (&["p:r:a?psc"], Route::Psc),
        (&["p:r:a", "--private-ip"], Route::Private),
        (&["p:r:a?private-ip=false", "--private-ip"], Route::Public),
        (&["p:r:a?psc=true", "--private-ip"], Route::Psc),
        (&["p:r:a", "--auto-ip"], Route::Either),
    ] {
        assert_eq!(first(flags).route, route, "{flags:?}");
    }
}

#[test]
fn a_path_is_exact_and_only_postgresql_adds_to_it() {
    let place = first(&["p:r:a?unix-socket-path=/run/a/.s.PGSQL.5432"]).place;
    assert_eq!(
        place,
        Place::UnixPath(Path::new("/run/a/.s.PGSQL.5432").to_owned())
    );
    assert!(!place.depends_on_engine());
    assert!(
        first(&["p:r:a?unix-socket-path=/run/a"])
            .place
            .depends_on_engine()
    );
    assert!(first(&["p:r:a?unix-socket=/run"]).place.depends_on_engine());
    assert!(!first(&["p:r:a?port=1"]).place.depends_on_engine());
}

#[test]
fn two_instances_at_one_place_are_complained_about() {
    for (one, other, place) in [
        (
            "p:r:a?port=4000",
            "p:r:b?port=4000",
            "port 4000 of 127.0.0.1",
        ),
        ("p:r:a?port=4000", "p:r:b", "port 4000 of 127.0.0.1"),
        (
            "p:r:a?unix-socket-path=/run/x",
            "p:r:b?unix-socket-path=/run/x",
            "/run/x",
        ),
    ] {
        let found = complaints(&[one, other, "--port=4000"]);
        let expected = format!("instance p:r:b: is at {place}, where p:r:a is already");
        assert!(found.contains(&expected), "{found}");
    }
    for apart in [
        ["p:r:a?port=4000", "p:r:b?port=4000&address=127.0.0.2"],
        ["p:r:a?unix-socket=/run", "p:r:b?unix-socket=/run"],
        ["p:r:a", "p:r:b"],
    ] {
        assert!(config(&apart).is_ok(), "{apart:?}");
    }
}

#[test]
fn a_path_that_no_application_can_name_is_complained_about_unless_it_is_asked_for() {
    let long = format!("p:r:a?unix-socket-path=/tmp/{}/p:r:a", "f".repeat(120));
    let found = complaints(&[&long]);
    for part in [
        "unix-socket-path: ",
        "has 131 bytes",
        "allows 107",
        "/run/csql/a",
    ] {
        assert!(found.contains(part), "{part} is missing: {found}");
    }
    assert!(config(&[&long, "--long-socket-paths"]).is_ok());
    let name = format!("p:r:a?unix-socket-path=@{}", "n".repeat(108));
    assert!(complaints(&[&name, "--long-socket-paths"]).contains("has 108 bytes"));
    assert!(complaints(&["p:r:a?unix-socket-path=@"]).contains("needs a name behind its @"));
}
