//! Google's proxy, flag by flag: what this program does with each, checked against its parser and its documentation.

use clap::{Arg, ArgAction, CommandFactory as _, Parser as _};
use daemon::environment::Environment;
use proxy_client::config::Config;
use proxy_client::settings::{LEFT_OUT, Settings};

/// What becomes of a flag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    /// Same name, same meaning.
    Same,
    /// The same, and what was wrong or missing is not.
    Better(&'static str),
    /// Refused by name; the reason is the program's own text.
    LeftOut,
}

use Status::{Better, LeftOut, Same};

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing, or `=true` and `=false`.
    Switch,
    /// A value.
    Value,
}

use Kind::{Switch, Value};

/// A flag's long name, its letter, its kind, and what becomes of it.
type Flag = (&'static str, Option<char>, Kind, Status);

/// The flags of cloud-sql-proxy 2.25.3: facts, in the order of its source.
const FLAGS: [Flag; 48] = [
    (
        "config-file",
        None,
        Value,
        Better("has an environment twin; unknown keys and values of a wrong kind are refused"),
    ),
    ("user-agent", None, Value, Same),
    ("token", Some('t'), Value, Same),
    ("login-token", None, Value, LeftOut),
    (
        "credentials-file",
        Some('c'),
        Value,
        Better("read and checked before anything starts; may name the CA and its root"),
    ),
    (
        "json-credentials",
        Some('j'),
        Value,
        Better("checked before anything starts"),
    ),
    ("gcloud-auth", Some('g'), Switch, LeftOut),
    (
        "structured-logs",
        Some('l'),
        Switch,
        Better("values are fields of their own, not parts of a sentence"),
    ),
    ("debug-logs", None, Switch, Same),
    (
        "max-connections",
        None,
        Value,
        Better("who is over the limit reads error 1040 in place of a closed socket"),
    ),
    ("min-sigterm-delay", None, Value, Same),
    (
        "max-sigterm-delay",
        None,
        Value,
        Better(
            "sessions that are still being opened may finish; the exit code is that of the signal, not 1",
        ),
    ),
    ("telemetry-project", None, Value, LeftOut),
    ("disable-traces", None, Switch, Same),
    ("telemetry-sample-rate", None, Value, LeftOut),
    ("disable-metrics", None, Switch, Same),
    ("telemetry-prefix", None, Value, LeftOut),
    ("exit-zero-on-sigterm", None, Switch, Same),
    ("prometheus", None, Switch, Same),
    ("prometheus-namespace", None, Value, Same),
    ("http-address", None, Value, Same),
    ("http-port", None, Value, Same),
    ("debug", None, Switch, LeftOut),
    (
        "quitquitquit",
        None,
        Switch,
        Better("by POST alone: a page that somebody opens ends nothing"),
    ),
    ("admin-port", None, Value, Same),
    (
        "health-check",
        None,
        Switch,
        Better("readiness says per instance whether it can serve now, and why not"),
    ),
    ("sqladmin-api-endpoint", None, Value, Same),
    ("universe-domain", None, Value, Same),
    ("quota-project", None, Value, Same),
    ("fuse", None, Value, LeftOut),
    ("fuse-tmp-dir", None, Value, LeftOut),
    ("impersonate-service-account", None, Value, LeftOut),
    ("quiet", None, Switch, Better("JSON stays JSON")),
    ("auto-ip", None, Switch, Same),
    (
        "lazy-refresh",
        None,
        Switch,
        Better(
            "with a port or a PostgreSQL socket path, nothing is fetched before the first connection",
        ),
    ),
    ("resource-exhausted-cooldown-delay", None, Value, LeftOut),
    ("sqldata-api-endpoint", None, Value, LeftOut),
    (
        "run-connection-test",
        None,
        Switch,
        Better(
            "waits for the agent's consent or the database's first word, so that a rejected certificate is noticed; tells all instances that fail",
        ),
    ),
    (
        "skip-failed-instance-config",
        None,
        Switch,
        Better("always so: an instance that fails never stops the others"),
    ),
    (
        "address",
        Some('a'),
        Value,
        Better(
            "localhost means both families; a wildcard is had only by asking for it, with a warning",
        ),
    ),
    ("port", Some('p'), Value, Same),
    (
        "unix-socket",
        Some('u'),
        Value,
        Better(
            "mode 0660 in place of 0777; length checked; a stale socket is replaced, a live one is not; seen only when ready",
        ),
    ),
    ("auto-iam-authn", Some('i'), Switch, LeftOut),
    ("private-ip", None, Switch, Same),
    ("psc", None, Switch, Same),
    ("sql-data", None, Switch, LeftOut),
    ("help", Some('h'), Switch, Same),
    ("version", Some('v'), Switch, Same),
];

/// The parameters of its instances, each with a value.
const PARAMETERS: [(&str, &str, Status); 8] = [
    ("address", "127.0.0.2", Same),
    ("port", "3310", Same),
    ("unix-socket", "/run/db", Same),
    ("unix-socket-path", "/run/db.sock", Same),
    ("auto-iam-authn", "true", LeftOut),
    ("private-ip", "true", Same),
    ("psc", "true", Same),
    ("sql-data", "true", LeftOut),
];

fn arg(long: &str) -> Option<Arg> {
    let command = Settings::command();
    let found = command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(long));
    found.cloned()
}

fn reason(long: &str) -> Option<&'static str> {
    let found = LEFT_OUT.iter().find(|(name, _)| *name == long);
    found.map(|(_, reason)| *reason)
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
        let twin = format!("CSQL_PROXY_{}", long.to_uppercase().replace('-', "_"));
        assert_eq!(
            arg.get_env().and_then(|twin| twin.to_str()),
            Some(twin.as_str())
        );
    }
    let known = FLAGS.map(|(long, ..)| long);
    for (name, _) in LEFT_OUT {
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
        complaints(&["p:r:a?sql-data=false&auto-iam-authn=f", "--token=t"]),
        ""
    );
}

/// Argument lists of its published help, README, documentation and examples; what stands behind is the only flag
/// that is refused.
const EXAMPLES: [(&[&str], Option<&str>); 30] = [
    (&["proj:region:mysql"], None),
    (&["proj:region:mysql", "proj:region:pg"], None),
    (&["--port", "6000", "proj:region:mysql"], None),
    (
        &["--port", "6000", "proj:region:mysql", "proj:region:pg"],
        None,
    ),
    (&["proj:region:mysql?port=9000", "proj:region:pg"], None),
    (
        &[
            "proj:region:pg?address=0.0.0.0&port=7000",
            "proj:region:mysql?address=0.0.0.0&port=7000",
        ],
        None,
    ),
    (&["--address", "0.0.0.0", "proj:region:mysql"], None),
    (
        &["--address", "0.0.0.0", "--port", "5432", "proj:region:pg"],
        None,
    ),
    (&["--private-ip", "proj:region:mysql"], None),
    (
        &["proj:region:mysql?private-ip=true", "proj:region:pg"],
        None,
    ),
    (&["--psc", "proj:region:mysql"], None),
    (&["--auto-ip", "proj:region:mysql"], None),
    (&["--unix-socket", "/mycooldir", "proj:region:mysql"], None),
    (&["-u", "/cloudsql", "proj:region:mysql"], None),
    (&["proj:region:mysql?unix-socket=/mycooldir"], None),
    (
        &["proj:region:mysql?unix-socket-path=/mycooldir/mysql.sock"],
        None,
    ),
    (&["--credentials-file", "KEY", "proj:region:mysql"], None),
    (&["-c=KEY", "-p=3310", "proj:region:mysql"], None),
    (
        &[
            "--structured-logs",
            "--port=5432",
            "--credentials-file=KEY",
            "proj:region:pg",
        ],
        None,
    ),
    (
        &[
            "--health-check",
            "--http-address=0.0.0.0",
            "--http-port=9090",
            "proj:region:mysql",
        ],
        None,
    ),
    (
        &["--prometheus", "--http-port", "9090", "proj:region:mysql"],
        None,
    ),
    (
        &["--debug-logs", "--lazy-refresh", "proj:region:mysql"],
        None,
    ),
    (
        &[
            "--max-sigterm-delay=30s",
            "--exit-zero-on-sigterm",
            "--quiet",
            "proj:region:mysql",
        ],
        None,
    ),
    (&["--run-connection-test", "proj:region:mysql"], None),
    (
        &[
            "--quitquitquit",
            "--admin-port",
            "9092",
            "proj:region:mysql",
        ],
        None,
    ),
    (
        &["--telemetry-project", "proj", "proj:region:mysql"],
        Some("telemetry-project"),
    ),
    (
        &["--auto-iam-authn", "proj:region:mysql"],
        Some("auto-iam-authn"),
    ),
    (&["-gi", "proj:region:mysql"], Some("gcloud-auth")),
    (&["--fuse", "/mycooldir"], Some("fuse")),
    (
        &[
            "--impersonate-service-account",
            "a@p.iam.example,b@p.iam.example",
            "proj:region:mysql",
        ],
        Some("impersonate-service-account"),
    ),
];

#[tokio::test]
async fn the_published_argument_lists_are_taken_or_refused_for_a_reason() {
    let (world, _) = crate::world::World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.json");
    std::fs::write(&key, world.ca.key_file()).unwrap();
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
