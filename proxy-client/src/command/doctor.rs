//! `doctor`: the ladder, for people and for scripts.

use daemon::environment::Environment;
use daemon::exit::Exit;
use daemon::log::Output;
use daemon::settings::Complaints;
use proto::{Code, Refusal};

use super::launch::{block_on, load};
use super::say;
use crate::config::{Config, Logging};
use crate::doctor::{Report, Rung, examine};
use crate::settings::Settings;

/// Where complaints about the key file begin.
const CREDENTIALS: [&str; 4] = [
    "credentials-file",
    "json-credentials",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "the default credentials",
];

/// Examines all instances; 0 when no rung is broken.
pub(super) fn run(settings: Settings, as_json: bool) -> Exit {
    let environment = Environment::of_process();
    let reports = match examined(load(settings, &environment), &environment) {
        Ok(reports) => reports,
        Err(exit) => return exit,
    };
    let text = if as_json {
        serde_json::to_string_pretty(&reports).unwrap_or_default() + "\n"
    } else {
        reports.iter().map(Report::text).collect()
    };
    match say::out(&text) {
        Exit::Success if reports.iter().any(|report| !report.healthy) => Exit::Failure,
        exit => exit,
    }
}

/// The reports on all instances, or on the settings when there is nothing else to examine.
pub(super) fn examined(
    settings: Result<Settings, Complaints>,
    environment: &Environment,
) -> Result<Vec<Report>, Exit> {
    let config = match settings.and_then(|settings| configure(settings, environment)) {
        Ok(config) => config,
        Err(complaints) => return Ok(vec![of_complaints(&complaints)]),
    };
    let mut reports = Vec::new();
    let exit = block_on(async {
        reports = examine(config, daemon::clock::system()).await;
        Exit::Success
    });
    match exit {
        Exit::Success => Ok(reports),
        exit => Err(exit),
    }
}

/// What is found is told in the report: the log tells it a second time only to who asks for it.
fn configure(settings: Settings, environment: &Environment) -> Result<Config, Complaints> {
    let Logging { level, style } = Logging::new(&settings);
    let level = level.unwrap_or_else(|| "off".to_owned());
    daemon::log::init(Some(&level), style, Output::Stderr)?;
    Config::new(settings, environment)
}

fn of_complaints(complaints: &Complaints) -> Report {
    let begins = |key: &str, with: &[&str]| with.iter().any(|start| key.starts_with(start));
    let mut is_of_key_file = false;
    let mut is_of_more = false;
    for complaint in complaints.iter() {
        let is_credentials = begins(&complaint.key, &CREDENTIALS);
        is_of_key_file |= is_credentials;
        // A short name lacks its project when there is no key file: the key file's fault.
        is_of_more |= !is_credentials && !begins(&complaint.key, &["instance "]);
    }
    let rung = if is_of_key_file && !is_of_more {
        Rung::KeyFile
    } else {
        Rung::Settings
    };
    let told = complaints
        .iter()
        .map(|complaint| format!("{}: {}", complaint.key, complaint.problem));
    let told = told.collect::<Vec<_>>().join("; ");
    Report::of_settings(rung, &Refusal::new(Code::Settings, told, "correct it"))
}
