//! Flags and their environment twins: all that is wrong with them is said at once.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Arg, Command, Parser};

use crate::environment::says_nothing;
use crate::exit::Exit;

/// Reads flags and their environment twins. Help and version are printed; what is wrong is complained about.
///
/// # Errors
/// How the program is to end: [`Exit::Success`] after help, [`Exit::Usage`] after a complaint.
pub fn parse<T: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<T, Exit> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let first = match read::<T>(&arguments) {
        Ok(parsed) => return Ok(parsed),
        Err(error) => error,
    };
    if is_answer(&first) {
        print(&first);
        return Err(Exit::Success);
    }
    match further::<T>(arguments, &first).as_slice() {
        [] => print(&first),
        further => print_all(&first, further),
    }
    Err(Exit::Usage)
}

fn read<T: Parser>(arguments: &[OsString]) -> Result<T, Error> {
    let mut command = without_empty_variables(T::command());
    let matches = command.try_get_matches_from_mut(arguments)?;
    T::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// A manifest that sets a variable to nothing means that it is not set.
fn without_empty_variables(command: Command) -> Command {
    let without = |arg: Arg| match arg.get_env().is_some_and(says_nothing) {
        true => arg.env(Resettable::Reset),
        false => arg,
    };
    command
        .mut_args(without)
        .mut_subcommands(without_empty_variables)
}

/// What else is wrong: each flag that is complained about is taken away and the rest is read again.
fn further<T: Parser>(mut arguments: Vec<OsString>, first: &Error) -> Vec<Error> {
    let mut found = Vec::new();
    loop {
        let last = found.last().unwrap_or(first);
        let Some(place) = culprit(&arguments, last) else {
            return found;
        };
        arguments.drain(place);
        match read::<T>(&arguments) {
            Err(error) if !is_answer(&error) && !is_consequence(&error) => found.push(error),
            _ => return found,
        }
    }
}

fn is_answer(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    )
}

/// What may be missing only because it was taken away.
fn is_consequence(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// Where the flag is that an error is about, with its value where that is an argument of its own.
fn culprit(arguments: &[OsString], error: &Error) -> Option<std::ops::Range<usize>> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) if !text.is_empty() => Some(text.as_str()),
        _ => None,
    };
    let is = |argument: &OsString, text: &str| argument == OsStr::new(text);
    if error.kind() == ErrorKind::UnknownArgument {
        let name = text(ContextKind::InvalidArg)?;
        let with_value = format!("{name}=");
        let at = arguments.iter().position(|argument| {
            is(argument, name)
                || argument
                    .as_encoded_bytes()
                    .starts_with(with_value.as_bytes())
        })?;
        return Some(at..at + 1);
    }
    let value = text(ContextKind::InvalidValue)?;
    let flag = text(ContextKind::InvalidArg)?.split_whitespace().next()?;
    let whole = format!("{flag}={value}");
    if let Some(at) = arguments.iter().position(|argument| is(argument, &whole)) {
        return Some(at..at + 1);
    }
    let at = arguments.iter().position(|argument| is(argument, value))?;
    let is_flag = |argument: &OsString| argument.as_encoded_bytes().starts_with(b"-");
    let flag = at
        .checked_sub(1)
        .filter(|before| arguments.get(*before).is_some_and(is_flag));
    Some(flag.unwrap_or(at)..at + 1)
}

fn print(error: &Error) {
    if let Err(error) = error.print() {
        tracing::debug!(%error, "the help text could not be written");
    }
}

/// Each complaint without the usage, which is said once.
fn print_all(first: &Error, further: &[Error]) {
    let mut text = String::new();
    for error in std::iter::once(first).chain(further) {
        let rendered = error.render().to_string();
        let end = rendered
            .find("\n\nUsage:")
            .or_else(|| rendered.find("\n\nFor more information"));
        let complaint = end.and_then(|end| rendered.get(..end)).unwrap_or(&rendered);
        text.push_str(complaint.trim_end());
        text.push('\n');
    }
    text.push_str("\nFor more information, try '--help'.\n");
    if let Err(error) = std::io::stderr().lock().write_all(text.as_bytes()) {
        tracing::debug!(%error, "complaints could not be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Flags {
        #[arg(short, long, env = "DAEMON_TEST_PORT")]
        port: Option<u16>,
        #[arg(long)]
        limit: Option<u32>,
        names: Vec<String>,
    }

    fn given(flags: &[&str]) -> Vec<OsString> {
        std::iter::once("x")
            .chain(flags.iter().copied())
            .map(OsString::from)
            .collect()
    }

    #[test]
    fn a_bad_flag_ends_with_the_usage_code_and_help_with_success() {
        let parse = |flag: &str| parse::<Flags>(given(&[flag]));
        assert_eq!(parse("--port=1").ok().and_then(|flags| flags.port), Some(1));
        assert_eq!(parse("--port=no").err(), Some(Exit::Usage));
        assert_eq!(parse("--prot=1").err(), Some(Exit::Usage));
        assert_eq!(parse("--help").err(), Some(Exit::Success));
    }

    #[test]
    fn all_that_is_wrong_is_found_however_it_is_written() {
        for (flags, expected) in [
            (&["--prot=1", "--limit=x", "--colour"][..], 3),
            (&["--limit", "x", "--port", "y", "name"], 2),
            (&["-p", "x", "--prot"], 2),
            (&["--port=x"], 1),
            (&["--prot", "--prot", "--limit=1"], 2),
            // Help is no complaint, and what is only missing because it was taken away is none either.
            (&["--prot", "--help"], 1),
        ] {
            let first = read::<Flags>(&given(flags)).unwrap_err();
            let found = 1 + further::<Flags>(given(flags), &first).len();
            assert_eq!(found, expected, "{flags:?}");
        }
    }
}
