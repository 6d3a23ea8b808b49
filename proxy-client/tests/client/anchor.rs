//! Google's proxy, flag by flag: what this program does with each, checked against its parser and its documentation.

mod tables;

use crate::world::write_private;
use clap::{Arg, ArgAction, CommandFactory as _, Parser as _};
use daemon::environment::Environment;
use proxy_client::config::Config;
use proxy_client::settings::{LEFT_OUT, LeftOutFlag, Settings};
use tables::Kind::{Switch, Value};
use tables::Status::{Better, LeftOut, Same};
use tables::{EXAMPLES, FLAGS, PARAMETERS};

fn arg(long: &str) -> Option<Arg> {
    let command = Settings::command();
    let found = command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(long));
    found.cloned()
}

fn reason(long: &str) -> Option<&'static str> {
    let found = LEFT_OUT.into_iter().find(|flag| flag.name == long);
    found.map(|flag| flag.reason)
}

/// All that the program complains about; nothing when it takes the arguments.
fn complaints(arguments: &[&str]) -> String {
    let line = std::iter::once("cloudsql-proxy").chain(arguments.iter().copied());
    let settings = match Settings::try_parse_from(line) {
        Ok(settings) => settings,
        Err(error) => return error.to_string(),
    };
    let environment = Environment::default();
    let config = settings
        .load(&environment)
        .and_then(|settings| Config::new(settings, &environment));
    config
        .err()
        .map(|complaints| complaints.to_string())
        .unwrap_or_default()
}

#[test]
fn each_flag_of_googles_proxy_is_taken_as_the_table_says() {
    for (long, short, kind, status) in FLAGS {
        if ["help", "version"].contains(&long) {
            continue;
        }
        let arg = arg(long).unwrap_or_else(|| panic!("there is no --{long}"));
        assert_eq!(arg.get_short(), short, "the letter of --{long}");
        let values = arg.get_num_args().map(|range| range.min_values());
        let takes = match (arg.get_action(), values) {
            (ArgAction::SetTrue, _) | (_, Some(0)) => Switch,
            _ => Value,
        };
        assert_eq!(takes, kind, "what --{long} takes");
        assert_eq!(arg.is_hide_set(), status == LeftOut, "--{long} in the help");
        assert_eq!(
            reason(long).is_some(),
            status == LeftOut,
            "--{long} as left out"
        );
        let is_key = <Settings as daemon::settings::Settings>::keys().contains(&long.to_owned());
        assert_eq!(is_key, status != LeftOut, "{long} as a key of the file");
        let twin = format!("CSQL_PROXY_{}", long.to_uppercase().replace('-', "_"));
        assert_eq!(
            arg.get_env().and_then(|twin| twin.to_str()),
            Some(twin.as_str())
        );
    }
    let known = FLAGS.map(|(long, ..)| long);
    for LeftOutFlag { name, .. } in LEFT_OUT {
        assert!(known.contains(&name), "{name} is no flag of Google's");
    }
    assert!(arg("no-such-flag").is_none());
}

#[test]
fn what_is_left_out_is_refused_by_name_with_its_reason_and_false_asks_for_nothing() {
    for (long, _, kind, status) in FLAGS {
        if status != LeftOut {
            continue;
        }
        let flag = match kind {
            Switch => format!("--{long}"),
            Value => format!("--{long}=x"),
        };
        let found = complaints(&["p:r:a", "--token=t", &flag]);
        assert!(
            found.contains(&format!("{long}: is Google's and not supported here")),
            "{long}: {found}"
        );
        assert!(found.contains(reason(long).unwrap()), "{long}: {found}");
        if kind == Switch {
            let found = complaints(&["p:r:a", "--token=t", &format!("--{long}=false")]);
            assert_eq!(found, "", "--{long}=false");
        }
    }
    let found = complaints(&["p:r:a", "--token=t", "--sql-data-endpoint=x"]);
    assert!(found.contains("sqldata-api-endpoint"), "{found}");
}

#[test]
fn each_parameter_of_an_instance_is_taken_or_refused_by_name() {
    for (name, value, status) in PARAMETERS {
        let found = complaints(&[&format!("p:r:a?{name}={value}"), "--token=t"]);
        match status {
            LeftOut => assert!(
                found.contains(&format!("{name} is Google's")),
                "{name}: {found}"
            ),
            Same | Better(_) => assert_eq!(found, "", "{name}"),
        }
    }
    assert_eq!(
        complaints(&[
            "p:r:a?sql-data=false&auto-iam-authn=f&connect-tunnel=0",
            "--token=t"
        ]),
        ""
    );
}

#[tokio::test]
async fn the_published_argument_lists_are_taken_or_refused_for_a_reason() {
    let (world, _) = crate::world::World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.json");
    write_private(&key, &world.ca.key_file());
    let key = key.to_str().unwrap();
    for (arguments, refused) in EXAMPLES {
        let given: Vec<String> = arguments
            .iter()
            .map(|text| text.replace("KEY", key))
            .collect();
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        let found = complaints(&given);
        match refused {
            None => assert_eq!(found, "", "{arguments:?}"),
            Some(flag) => assert!(
                found.contains(&format!("{flag}: is Google's")),
                "{arguments:?}: {found}"
            ),
        }
    }
}

#[test]
fn the_exclusive_combinations_are_googles() {
    for flags in [
        &["--token=t", "--credentials-file=k"][..],
        &["--token=t", "--json-credentials={}"],
        &["--json-credentials={}", "--credentials-file=k"],
        &["--token=t", "--gcloud-auth"],
        &["--token=t", "--address=127.0.0.1", "--unix-socket=/run"],
        &["--token=t", "--port=1", "--unix-socket=/run"],
        &["--token=t", "--private-ip", "--auto-ip"],
        &["--token=t", "--private-ip", "--psc"],
        &["--token=t", "--psc", "--sql-data"],
        &["--token=t", "--auto-iam-authn"],
        &["--token=t", "--login-token=l"],
        &["--token=t", "--fuse=/f", "--run-connection-test"],
        &["--token=t", "--fuse-tmp-dir=/f"],
        &[
            "--token=t",
            "--sqladmin-api-endpoint=https://a",
            "--universe-domain=b.example",
        ],
    ] {
        let mut line = vec!["p:r:a"];
        line.extend(flags);
        assert_ne!(complaints(&line), "", "{flags:?} was accepted");
    }
    for query in [
        "address=127.0.0.1&unix-socket=/run",
        "port=1&unix-socket=/run",
        "address=127.0.0.1&unix-socket-path=/run/x",
        "port=1&unix-socket-path=/run/x",
        "unix-socket=/run&unix-socket-path=/run/x",
        "private-ip=true&psc=true",
        "port=1&port=2",
    ] {
        let instance = format!("p:r:a?{query}");
        assert_ne!(
            complaints(&[&instance, "--token=t"]),
            "",
            "{query} was accepted"
        );
    }
}

/// The flags in docs/migrating.md, made of the tables above.
fn documented() -> String {
    let mut text = String::from("| flag | here | why |\n|---|---|---|\n");
    for (long, short, _, status) in FLAGS {
        let letter = short
            .map(|short| format!("`-{short}`, "))
            .unwrap_or_default();
        let (status, why) = match status {
            Same => ("same", "".to_owned()),
            Better(why) => ("better", why.to_owned()),
            LeftOut => ("left out", reason(long).unwrap_or_default().to_owned()),
        };
        text.push_str(&format!("| {letter}`--{long}` | {status} | {why} |\n"));
    }
    text.push_str("\n| only here | what it does |\n|---|---|\n");
    let theirs = FLAGS.map(|(long, ..)| long);
    for arg in Settings::command().get_arguments() {
        let Some(long) = arg.get_long().filter(|long| !theirs.contains(long)) else {
            continue;
        };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let first = help
            .split(". ")
            .next()
            .unwrap_or_default()
            .trim_end_matches('.');
        text.push_str(&format!("| `--{long}` | {first} |\n"));
    }
    text
}

#[test]
fn the_tables_of_the_documentation_are_these() {
    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/migrating.md");
    let page = std::fs::read_to_string(PATH).unwrap();
    let (_, rest) = page
        .split_once("<!-- flags: begin -->\n")
        .expect("no begin");
    let (table, _) = rest.split_once("<!-- flags: end -->").expect("no end");
    let expected = documented();
    assert!(
        table == expected,
        "docs/migrating.md is to have these tables:\n{expected}"
    );
}
