//! Flags in a form that a predecessor had: long ones with one dash, and names that are called differently now.
//!
//! Without this, `-token=x` would be read as `-t oken=x`.

use clap::Command;

use super::{Complaints, Given};

/// Returns the advice for a predecessor's flag, by its name and its value.
pub type Former = fn(name: &str, value: Option<&str>) -> Option<String>;

/// Shortest name of a long flag: shorter ones may be letters in a row.
const MIN_NAME: usize = 3;

impl Given {
    /// Takes such flags away and complains about them.
    pub(super) fn take_away_former(&mut self, command: &Command, former: Former) -> Complaints {
        let names = names(command);
        let mut complaints = Complaints::default();
        let mut at = 1;
        while let Some(argument) = self.arguments.get(at) {
            if argument == "--" {
                break;
            }
            let wrong = argument
                .to_str()
                .and_then(|text| wrong(text, &names, former));
            let Some((name, advice)) = wrong else {
                at += 1;
                continue;
            };
            complaints.add(name, advice);
            self.arguments.remove(at);
            // The rest is not what was meant: its value may stand behind it, and something may be missing without it.
            self.is_clear = false;
        }
        complaints
    }
}

/// The flag as it was written, without its value, and what to write in its place.
fn wrong(text: &str, names: &[String], former: Former) -> Option<(String, String)> {
    let rest = text.strip_prefix('-')?;
    let is_long = rest.starts_with('-');
    let rest = rest.trim_start_matches('-');
    let (name, value) = match rest.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (rest, None),
    };
    if name.len() < MIN_NAME || name.starts_with(|first: char| !first.is_ascii_alphabetic()) {
        return None;
    }
    let dashed = name.replace('_', "-");
    let is_known = names.contains(&dashed);
    let advice = match is_known {
        true if is_long && dashed == name => return None,
        true => format!("is written --{dashed}"),
        false => former(name, value)?,
    };
    let written = text.split('=').next().unwrap_or(text);
    Some((written.to_owned(), advice))
}

/// Long names of all flags, those of sub-commands too.
fn names(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(|arg| arg.get_long());
    let own = own.map(str::to_owned);
    own.chain(command.get_subcommands().flat_map(names))
        .collect()
}
