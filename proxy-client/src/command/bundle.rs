//! `support-bundle`: what somebody who helps must know, in one JSON document, and nothing that must stay secret.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use daemon::environment::Environment;
use daemon::exit::Exit;
use serde_json::{Map, Value, json};

use super::ask::Door;
use super::launch::{block_on, load};
use super::{doctor, say};
use crate::admin::STATUS;
use crate::settings::Settings;

/// Where Linux names its release.
const KERNEL: &str = "/proc/sys/kernel/osrelease";
/// For this user alone: it names hosts and accounts.
const MODE: u32 = 0o600;
/// What stands for a secret that was given.
const GIVEN: &str = "(given, not shown)";

/// Collects the bundle and writes it to a new file, or to standard output.
pub(super) fn run(flags: Settings, output: Option<&Path>) -> Exit {
    let environment = Environment::of_process();
    let loaded = load(flags, &environment);
    let settings = loaded.as_ref().map_or(Value::Null, shown);
    let door = loaded
        .as_ref()
        .map(|settings| Door::default().below(settings))
        .unwrap_or_default();
    let reports = match doctor::examined(loaded, &environment) {
        Ok(reports) => reports,
        Err(exit) => return exit,
    };
    let mut program = Value::Null;
    let asked = block_on(async {
        program = at_work(&door).await;
        Exit::Success
    });
    if asked != Exit::Success {
        return asked;
    }
    let made = daemon::clock::now().duration_since(UNIX_EPOCH);
    let kernel = std::fs::read_to_string(KERNEL).unwrap_or_default();
    let bundle = json!({
        "format": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "made_at_unix_seconds": made.unwrap_or_default().as_secs(),
        "machine": {
            "system": std::env::consts::OS,
            "processor": std::env::consts::ARCH,
            "kernel": kernel.trim_end(),
        },
        "settings": settings,
        "doctor": reports,
        "program": program,
    });
    let text = serde_json::to_string_pretty(&bundle).unwrap_or_default() + "\n";
    match output {
        None => say::out(&text),
        Some(path) => match write(path, &text) {
            Ok(()) => Exit::Success,
            Err(error) => {
                say::complain(&format!("cannot write {}: {error}", path.display()));
                Exit::Failure
            }
        },
    }
}

/// The settings that are set. Secrets are not serialised at all; that they were given is told.
fn shown(settings: &Settings) -> Value {
    let mut shown = Map::new();
    if let Ok(Value::Object(all)) = serde_json::to_value(settings) {
        for (key, mut value) in all {
            scrub(&mut value);
            if !value.is_null() && value != json!([]) {
                shown.insert(key, value);
            }
        }
    }
    let instances: Vec<&str> = settings.all_instances().collect();
    shown.insert("instance".to_owned(), json!(instances));
    let secrets = [
        ("token", settings.token.is_some()),
        ("json-credentials", settings.json_credentials.is_some()),
    ];
    for (key, is_given) in secrets {
        if is_given {
            shown.insert(key.to_owned(), json!(GIVEN));
        }
    }
    Value::Object(shown)
}

/// Takes the password out of a URL.
fn scrub(value: &mut Value) {
    if let Value::String(text) = value
        && let Some((scheme, rest)) = text.split_once("://")
        && let Some((_, host)) = rest.rsplit_once('@')
    {
        *text = format!("{scheme}://{GIVEN}@{host}");
    }
}

/// What a program at work says, if there is one.
async fn at_work(door: &Door) -> Value {
    let mut said = Map::new();
    for (name, path) in [
        ("status", STATUS),
        ("readiness", "/readiness"),
        ("metrics", "/metrics"),
    ] {
        let answer = match door.ask("GET", path).await {
            Ok(answer) => serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body)),
            Err(error) => json!({ "error": error.to_string() }),
        };
        said.insert(name.to_owned(), answer);
    }
    Value::Object(said)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(MODE).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_secret_flag_is_known_to_the_bundle() {
        let command = Settings::command();
        let mut secrets: Vec<&str> = command
            .get_arguments()
            .filter(|argument| argument.is_hide_env_values_set())
            .filter_map(|argument| argument.get_long())
            .collect();
        secrets.sort_unstable();
        // `--login-token` is refused whenever it is given, so nothing is ever started with one.
        assert_eq!(secrets, ["json-credentials", "login-token", "token"]);
        let settings = Settings {
            token: Some("canary".into()),
            json_credentials: Some("canary".into()),
            sqladmin_api_endpoint: Some("https://user:canary@ca.example".into()),
            port: Some(3310),
            ..Settings::default()
        };
        let text = shown(&settings).to_string();
        assert!(!text.contains("canary"), "{text}");
        assert!(
            text.contains("\"port\":3310") && text.contains("@ca.example"),
            "{text}"
        );
        assert_eq!(shown(&settings)["token"], GIVEN);
    }
}
