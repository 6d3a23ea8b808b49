//! Admin commands, while the CA runs and while it does not.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::time::{Duration, Instant};

use serde_json::json;
use transport::tls::PrivateKey;

use super::program::{Site, read_key_file};

#[test]
fn a_key_file_has_what_googles_libraries_and_ours_need_and_is_its_owners_alone() {
    let site = Site::new();
    let key_file = site.account("app", "client");
    let path = site.path("app.json");
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(key_file.kind, "service_account");
    assert_eq!(key_file.project_id, "demo");
    assert_eq!(key_file.client_email, "app@demo.iam.gserviceaccount.com");
    assert_eq!(key_file.token_uri, "https://127.0.0.1:8443/token");
    assert_eq!(
        key_file.csql_endpoint.as_deref(),
        Some("https://127.0.0.1:8443")
    );
    assert!(
        key_file
            .private_key
            .starts_with("-----BEGIN PRIVATE KEY-----\n")
    );
    assert!(
        key_file
            .csql_root_certificate
            .unwrap()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
    assert!(
        key_file.client_id.bytes().all(|b| b.is_ascii_digit()) && key_file.client_id.len() == 21
    );
    assert_eq!(key_file.private_key_id.len(), 32);
    assert_eq!(key_file.universe_domain, None);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("universe_domain"), "absent, not null");
    // A key file is never overwritten, and the account is not made either.
    let flag = path.to_str().unwrap();
    let (code, told) = site.fails(&["service-accounts", "create", "other", "--key-file", flag]);
    assert_eq!(code, 1, "{told}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert_eq!(
        site.json(&["service-accounts", "list"])
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_universe_domain_is_in_the_name_and_in_the_key_file() {
    let site = Site::new();
    let path = site.path("app.json");
    let flag = path.to_str().unwrap();
    site.ok(&[
        "service-accounts",
        "create",
        "app",
        "--key-file",
        flag,
        "--compat",
        "--universe-domain",
        "ca.test",
    ]);
    let key_file = read_key_file(&path);
    assert_eq!(key_file.client_email, "app@demo.iam.ca.test");
    assert_eq!(key_file.universe_domain.as_deref(), Some("ca.test"));
    let listed = site.json(&["service-accounts", "list"]);
    assert_eq!(listed[0]["mode"], "compat");
    assert_eq!(listed[0]["email"], "app@demo.iam.ca.test");
}

#[test]
fn creating_twice_is_an_error_unless_it_is_said_not_to_be() {
    let site = Site::new();
    site.account("app", "client");
    let grant = [
        "grant",
        "--instance",
        "db1",
        "--service-account",
        "app",
        "--role",
        "client",
    ];
    let path = site.path("x.json");
    for command in [
        &["init", "--project", "demo", "--region", "eu"][..],
        &["instances", "create", "db1", "--address", "127.0.0.1"],
        &[
            "service-accounts",
            "create",
            "app",
            "--key-file",
            path.to_str().unwrap(),
        ],
        &grant,
    ] {
        let (code, told) = site.fails(command);
        assert_eq!(code, 1, "{told}");
        assert!(told.contains("exists already"), "{told}");
        site.ok(&[command, &["--if-not-exists"]].concat());
    }
    assert!(
        !path.exists(),
        "no key was made for an account that existed"
    );
    // What exists otherwise is not what was asked for.
    let other = [
        "instances",
        "create",
        "db1",
        "--address",
        "127.0.0.2",
        "--if-not-exists",
    ];
    assert!(site.fails(&other).1.contains("differs"));
    let narrowed = [&grant[..], &["--db-user", "u", "--if-not-exists"]].concat();
    assert!(site.fails(&narrowed).1.contains("other users"));
}

#[test]
fn what_does_not_exist_is_named_with_the_command_that_lists_what_does() {
    let site = Site::new();
    for (command, hint) in [
        (&["instances", "describe", "nope"][..], "instances list"),
        (&["instances", "delete", "demo:us:db1"], "instances list"),
        (
            &["service-accounts", "disable", "nope"],
            "service-accounts list",
        ),
        (
            &["keys", "list", "--service-account", "nope"],
            "service-accounts list",
        ),
        (
            &[
                "grant",
                "--instance",
                "db1",
                "--service-account",
                "nope",
                "--role",
                "client",
            ],
            "service-accounts list",
        ),
    ] {
        let (code, told) = site.fails(command);
        assert_eq!(code, 1, "{told}");
        assert!(told.contains(hint), "{told}");
    }
    site.account("app", "client");
    let (_, told) = site.fails(&[
        "ungrant",
        "--instance",
        "db1",
        "--service-account",
        "app",
        "--role",
        "agent",
    ]);
    assert!(told.contains("there is no grant"), "{told}");
}

#[test]
fn names_and_values_that_are_none_are_usage_errors() {
    let site = Site::new();
    for command in [
        &["instances", "create", "../db", "--address", "127.0.0.1"][..],
        &["instances", "create", "DB", "--address", "127.0.0.1"],
        &["instances", "create", "db2", "--address", "127.0.0.1:3307"],
        &[
            "instances",
            "create",
            "db2",
            "--address",
            "h",
            "--database-version",
            "mysql",
        ],
        &["service-accounts", "create", "a b"],
        &["service-accounts", "create", "app@nowhere"],
        &[
            "grant",
            "--instance",
            "db1",
            "--service-account",
            "app",
            "--role",
            "root",
        ],
        &[
            "grant",
            "--instance",
            "db1",
            "--service-account",
            "app",
            "--role",
            "agent",
            "--db-user",
            "u",
        ],
        &["configure", "--endpoint", "ftp://x"],
        &["instances", "list", "--format", "xml"],
        &["nonsense"],
    ] {
        let (code, told) = site.fails(command);
        assert_eq!(code, 64, "{command:?}: {told}");
    }
}

#[test]
fn lists_are_json_arrays_and_tables_have_headings() {
    let site = Site::new();
    site.account("app", "client");
    assert_eq!(
        site.json(&["instances", "list"])[0]["connectionName"],
        "demo:eu:db1"
    );
    let described = site.json(&["instances", "describe", "demo:eu:db1"]);
    assert_eq!(described["grants"][0]["role"], "client");
    assert_eq!(site.json(&["certificates", "list"]), json!([]));
    let keys = site.json(&["keys", "list", "--service-account", "app"]);
    assert_eq!(keys[0]["algorithm"], "RS256");
    assert!(
        site.ok(&["instances", "list"])
            .starts_with("NAME  CONNECTION NAME")
    );
    site.ok(&[
        "keys",
        "delete",
        keys[0]["kid"].as_str().unwrap(),
        "--service-account",
        "app",
    ]);
    assert_eq!(
        site.json(&["keys", "list", "--service-account", "app"]),
        json!([])
    );
    site.ok(&["instances", "delete", "db1"]);
    assert_eq!(site.json(&["instances", "list"]), json!([]));
    site.ok(&["service-accounts", "delete", "app"]);
    assert_eq!(site.json(&["service-accounts", "list"]), json!([]));
}

#[tokio::test]
async fn a_running_ca_sees_an_admin_change_within_a_second() {
    let site = Site::new();
    let app = site.account("app", "client");
    let agent = site.account("agent", "agent");
    let running = site.serve(&[]);
    let key = PrivateKey::generate_p256().unwrap();
    let token = running.token(&app, &key).await;
    assert_eq!(running.certify(&token, &key).await.unwrap().status(), 200);
    let agent_token = running.token(&agent, &key).await;
    let path = "/csql/v1/projects/demo/instances/db1/agentSettings";
    let (_, settings) = running.get(path, &agent_token).await;
    let waiting = format!("{path}?revision={}&waitSeconds=25", settings["revision"]);
    let change = tokio::task::spawn_blocking(move || {
        site.ok(&["service-accounts", "disable", "app"]);
        (site, Instant::now())
    });
    let (answer, change) = tokio::join!(running.get(&waiting, &agent_token), change);
    let (site, done) = change.unwrap();
    assert!(
        done.elapsed() < Duration::from_secs(1),
        "{:?}",
        done.elapsed()
    );
    assert_eq!(answer.1["grants"], json!([]), "{answer:?}");
    assert_eq!(running.certify(&token, &key).await.unwrap().status(), 401);
    site.ok(&["service-accounts", "enable", "app"]);
    assert_eq!(running.certify(&token, &key).await.unwrap().status(), 200);
    let listed = site.json(&["certificates", "list", "--instance", "db1"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(listed[0]["state"], "issued");
}

#[tokio::test]
async fn two_keys_of_an_account_work_side_by_side_until_one_is_deleted() {
    let site = Site::new();
    let first = site.account("app", "client");
    let path = site.path("second.json");
    site.ok(&[
        "keys",
        "create",
        "--service-account",
        "app",
        "--key-file",
        path.to_str().unwrap(),
    ]);
    let second = read_key_file(&path);
    assert_ne!(first.private_key_id, second.private_key_id);
    let running = site.serve(&[]);
    let key = PrivateKey::generate_p256().unwrap();
    running.token(&first, &key).await;
    running.token(&second, &key).await;
    site.ok(&[
        "keys",
        "delete",
        &first.private_key_id,
        "--service-account",
        "app",
    ]);
    let refused = running
        .exchange(&super::program::assertion(&first, &key))
        .await;
    assert_eq!(refused.status(), 400);
    running.token(&second, &key).await;
}

#[tokio::test]
async fn a_moved_endpoint_is_the_audience_of_key_files_made_after_it() {
    let site = Site::new();
    let before = site.account("before", "client");
    let running = site.serve(&[]);
    let key = PrivateKey::generate_p256().unwrap();
    running.token(&before, &key).await;
    site.ok(&["configure", "--endpoint", "https://moved.test"]);
    let after = site.account("after", "client");
    assert_eq!(after.token_uri, "https://moved.test/token");
    running.token(&after, &key).await;
    let refused = running
        .exchange(&super::program::assertion(&before, &key))
        .await;
    let told: serde_json::Value = refused.json().await.unwrap();
    let told = told["error_description"].as_str().unwrap();
    assert!(told.contains("https://moved.test/token"), "{told}");
}

#[test]
fn a_grant_that_no_agent_could_enforce_is_refused_with_the_reason() {
    let site = Site::new();
    site.account("app", "client");
    for (number, version) in ["POSTGRES_15", "SQLSERVER_2022", "TCP_REDIS"]
        .into_iter()
        .enumerate()
    {
        let name = format!("other{number}");
        site.ok(&[
            "instances",
            "create",
            &name,
            "--address",
            "127.0.0.1",
            "--database-version",
            version,
        ]);
        let grant = ["grant", "--instance", &name, "--service-account", "app"];
        let grant = [&grant[..], &["--role", "client"]].concat();
        for narrowed in [
            &["--db-user", "u"][..],
            &["--schema", "s"],
            &["--db-user", "u", "--schema", "s", "--if-not-exists"],
            &["--db-user", "u", "--format", "json"],
        ] {
            let (code, told) = site.fails(&[&grant[..], narrowed].concat());
            assert_eq!(code, 64, "{told}");
            for expected in ["MySQL and MariaDB only", version] {
                assert!(told.contains(expected), "{expected} in {told}");
            }
        }
        let described = site.json(&["instances", "describe", &name]);
        assert_eq!(described["grants"], json!([]));
        site.ok(&grant);
    }
}

#[test]
fn a_grant_that_names_schemas_says_that_statements_are_not_checked() {
    let site = Site::new();
    site.account("app", "client");
    let grant = ["grant", "--instance", "db1", "--service-account", "app"];
    let grant = [&grant[..], &["--role", "client", "--schema", "reports"]].concat();
    site.ok(&[
        "ungrant",
        "--instance",
        "db1",
        "--service-account",
        "app",
        "--role",
        "client",
    ]);
    let told = site.ok(&grant);
    assert!(told.contains("`USE other`"), "{told}");
    site.ok(&[
        "ungrant",
        "--instance",
        "db1",
        "--service-account",
        "app",
        "--role",
        "client",
    ]);
    assert_eq!(site.json(&grant)["schemasCheckedAt"], "login");
}

#[test]
fn a_store_elsewhere_is_the_one_of_every_command_and_a_second_one_is_refused() {
    let site = Site::new();
    site.account("app", "client");
    let folder = site.path("other");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).unwrap();
    let (own, moved) = (site.data().join("store.db"), folder.join("store.db"));
    let store = format!("--store=sqlite:{}", moved.display());
    std::fs::copy(&own, &moved).unwrap();
    let (code, told) = site.fails(&["serve", "--listen=127.0.0.1:0", &store]);
    assert_eq!(code, 64, "{told}");
    assert!(told.contains("is another one"), "{told}");
    for file in ["store.db", "store.db-wal", "store.db-shm"] {
        let from = site.data().join(file);
        if from.exists() {
            std::fs::rename(from, folder.join(file)).unwrap();
        }
    }
    let running = site.serve(&[&store]);
    site.ok(&["service-accounts", "disable", "app"]);
    assert!(!own.exists(), "no second store");
    drop(running);
    // Without the flag, too.
    let _running = site.serve(&[]);
    let listed = site.json(&["service-accounts", "list"]);
    assert_eq!(listed[0]["enabled"], false);
    let (code, told) = site.fails(&["init"]);
    assert_eq!(code, 1, "{told}");
}
