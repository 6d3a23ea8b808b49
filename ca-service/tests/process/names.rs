//! The names of an instance on the command line.

use serde_json::json;

use super::program::Site;

#[test]
fn an_instance_is_made_with_names_and_gets_and_loses_some() {
    let site = Site::new();
    let create = [
        "instances",
        "create",
        "db2",
        "--address",
        "db2.example.com",
        "--name",
        "DB.Example.com",
        "--name",
        "10.0.0.7",
    ];
    let made = site.json(&create);
    assert_eq!(made["names"], json!(["db.example.com", "10.0.0.7"]));
    site.ok(&[&create[..], &["--if-not-exists"]].concat());
    let fewer = [&create[..5], &["--if-not-exists"]].concat();
    assert!(site.fails(&fewer).1.contains("differs"));
    let update = ["instances", "update", "db2"];
    let changed = site.json(
        &[
            &update[..],
            &[
                "--add-name",
                "app.example.com",
                "--remove-name",
                "10.0.0.7",
                "--address",
                "10.0.0.8",
            ],
        ]
        .concat(),
    );
    assert_eq!(
        changed["names"],
        json!(["db.example.com", "app.example.com"])
    );
    assert_eq!(changed["address"], "10.0.0.8");
    let described = site.json(&["instances", "describe", "db2"]);
    assert_eq!(described["names"], changed["names"]);
    let told = site.ok(&[&update[..], &["--add-name", "x.example.com"]].concat());
    assert!(told.contains("app.example.com,x.example.com"), "{told}");
    assert_eq!(site.json(&["instances", "list"])[0]["names"], json!([]));
}

#[test]
fn what_no_certificate_may_bear_is_a_usage_error_that_names_the_flag() {
    let site = Site::new();
    let update =
        |flag: &'static str, name: &'static str| vec!["instances", "update", "db1", flag, name];
    for (command, named) in [
        (update("--add-name", "*.example.com"), "--add-name"),
        (
            update("--add-name", "db2.eu.demo.csql.internal"),
            "not free",
        ),
        (update("--remove-name", "never.was"), "it has: none"),
        (update("--address", "h:3307"), "--address"),
        (vec!["instances", "update", "db1"], "nothing is to change"),
    ] {
        let (code, told) = site.fails(&command);
        assert_eq!(code, 64, "{command:?}: {told}");
        assert!(told.contains(named), "{told}");
    }
    let (code, told) = site.fails(&["instances", "update", "db9", "--add-name", "a"]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("instances list"), "{told}");
    assert_eq!(
        site.json(&["instances", "describe", "db1"])["names"],
        json!([])
    );
}
