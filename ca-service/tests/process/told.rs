//! Sentences of commands about what they did, and input as people have it.

use super::program::{Site, ca, text, wait_for};

#[test]
fn a_grant_for_all_users_says_any_and_an_instance_says_how_many_grants_go_with_it() {
    let site = Site::new();
    site.account("app", "client");
    let described = site.ok(&["instances", "describe", "db1"]);
    let grant = described.lines().find(|line| line.contains("client"));
    assert_eq!(
        grant.map(|line| line.matches("any").count()),
        Some(2),
        "{described}"
    );
    let deleted = site.json(&["instances", "delete", "db1"]);
    assert_eq!(deleted["deletedGrants"], 1);
    let (code, told) = site.fails(&["instances", "delete", "db1"]);
    assert!(
        code == 1 && told.contains("there is no instance db1"),
        "{told}"
    );
    for command in [&["disable", "no"][..], &["enable", "no"], &["delete", "no"]] {
        let (code, told) = site.fails(&[&["service-accounts"], command].concat());
        assert!(
            code == 1 && told.contains("there is no service account no"),
            "{told}"
        );
    }
}

#[test]
fn an_account_without_a_key_is_told_how_to_get_one_and_an_expired_key_is_not_enabled() {
    let site = Site::new();
    let told = site.ok(&["service-accounts", "create", "app"]);
    assert!(
        told.contains("No key was made") && told.contains("keys create --data"),
        "{told}"
    );
    let file = site.path("short.json");
    let file = file.to_str().unwrap();
    let again = [
        "service-accounts",
        "create",
        "app",
        "--if-not-exists",
        "--key-file",
        file,
    ];
    assert!(site.ok(&again).contains("No key was made"));
    let owner = ["--service-account", "app"];
    let made = ["keys", "create", "--lifetime", "1s", "--key-file", file];
    site.ok(&[&made, &owner[..]].concat());
    wait_for("the end of a key", || {
        site.json(&[&["keys", "list"], &owner[..]].concat())[0]["enabled"] == false
    });
    let listed = site.ok(&[&["keys", "list"], &owner[..]].concat());
    assert!(
        listed.contains("expired") && !listed.contains("true"),
        "{listed}"
    );
}

#[test]
fn values_are_read_through_what_surrounds_them_and_misspelt_variables_are_refused() {
    let site = Site::new();
    let data = format!("'{}'\n", site.data().display());
    let run = |variables: &[(&str, &str)]| {
        let mut command = ca();
        command
            .args(["instances", "list"])
            .env("CSQL_CA_DATA", &data);
        let ended = command.envs(variables.iter().copied()).output().unwrap();
        (
            ended.status.code(),
            text(&ended.stdout) + &text(&ended.stderr),
        )
    };
    for format in ["json", "JSON\n", " 'json'"] {
        let (code, told) = run(&[("CSQL_CA_FORMAT", format)]);
        assert!(
            code == Some(0) && told.starts_with('['),
            "{format:?}: {told}"
        );
    }
    let (code, told) = run(&[("CSQL_CA_ENDPOINTS", "https://ca.example")]);
    assert_eq!(code, Some(64), "{told}");
    assert!(told.contains("did you mean CSQL_CA_ENDPOINT?"), "{told}");
    let (code, _) = run(&[
        ("CSQL_CA_SERVICE_HOST", "10.0.0.7"),
        ("CSQL_CA_PORT", "tcp://10.0.0.7:1"),
    ]);
    assert_eq!(code, Some(0));
}
