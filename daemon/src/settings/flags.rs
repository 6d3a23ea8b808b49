//! Flags and their environment twins: all that is wrong with them is said at once.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Arg, Command, Parser};

use super::Complaints;
use crate::environment::says_nothing;
use crate::exit::Exit;

/// Reads flags and their environment twins. Help and version are printed; what is wrong is complained about.
///
/// # Errors
/// How the program is to end: [`Exit::Success`] after help, [`Exit::Usage`] after a complaint.
pub fn parse<T: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<T, Exit> {
    parse_with(arguments, |_| Complaints::default())
}

/// The same for a program that has more to check than flags: where those are wrong, `more` is asked what else there is to
/// complain about in those that are right, and it is all said at once.
///
/// # Errors
/// As [`parse`].
pub fn parse_with<T: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    more: impl FnOnce(T) -> Complaints,
) -> Result<T, Exit> {
    let mut given = Given {
        arguments: arguments.into_iter().collect(),
        muted: Vec::new(),
        is_clear: true,
    };
    let first = match given.read::<T>() {
        Ok(parsed) => return Ok(parsed),
        Err(error) => error,
    };
    if is_answer(&first) {
        print(&first);
        return Err(Exit::Success);
    }
    let (further, rest) = further::<T>(&mut given, &first);
    let rest = rest.filter(|_| given.is_clear);
    let more = rest.map(more).unwrap_or_default();
    if further.is_empty() && more.is_empty() {
        print(&first);
    } else {
        print_all(&first, &further, &more);
    }
    Err(Exit::Usage)
}

/// What a program is given.
struct Given {
    arguments: Vec<OsString>,
    /// Long names of the flags whose variables are not read.
    muted: Vec<String>,
    /// Whether nothing is left that may be a value of what was taken away.
    is_clear: bool,
}

impl Given {
    fn read<T: Parser>(&self) -> Result<T, Error> {
        let mut command = without_variables(T::command(), &self.muted);
        let matches = command.try_get_matches_from_mut(&self.arguments)?;
        T::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }

    /// Takes away what an error is about. `false` when that is not found.
    fn take_away(&mut self, error: &Error) -> bool {
        if let Some(place) = culprit(&self.arguments, error) {
            let next = self.arguments.get(place.end);
            if error.kind() == ErrorKind::UnknownArgument
                && next.is_some_and(|next| !next.as_encoded_bytes().starts_with(b"-"))
            {
                self.is_clear &= self.arguments.get(place.clone()).is_some_and(has_value);
            }
            self.arguments.drain(place);
            return true;
        }
        // Not an argument: then its variable.
        let flag = context(error, ContextKind::InvalidArg);
        let name = flag.and_then(|flag| flag.split_whitespace().next()?.strip_prefix("--"));
        match name.map(str::to_owned) {
            Some(name) if !self.muted.contains(&name) => {
                self.muted.push(name);
                true
            }
            _ => false,
        }
    }
}

fn has_value(arguments: &[OsString]) -> bool {
    arguments
        .iter()
        .any(|argument| argument.as_encoded_bytes().contains(&b'='))
}

/// A manifest that sets a variable to nothing means that it is not set.
fn without_variables(command: Command, muted: &[String]) -> Command {
    let is_muted = |arg: &Arg| muted.iter().any(|name| arg.get_long() == Some(name));
    let without = |arg: Arg| match arg.get_env().is_some_and(says_nothing) || is_muted(&arg) {
        true => arg.env(Resettable::Reset),
        false => arg,
    };
    command
        .mut_args(without)
        .mut_subcommands(|command| without_variables(command, muted))
}

/// What else is wrong: each flag that is complained about is taken away and the rest is read again. Says what is left
/// when that is right.
fn further<T: Parser>(given: &mut Given, first: &Error) -> (Vec<Error>, Option<T>) {
    let mut found = Vec::new();
    loop {
        let last = found.last().unwrap_or(first);
        if !given.take_away(last) {
            return (found, None);
        }
        match given.read() {
            Ok(rest) => return (found, Some(rest)),
            Err(error) if !is_answer(&error) && !is_consequence(&error) => found.push(error),
            Err(_) => return (found, None),
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
    let text = |kind| context(error, kind);
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

fn context(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// Prints help and version, which somebody waits for, and complaints, for which the program does not wait.
fn print(error: &Error) {
    if error.use_stderr() && !std::io::stderr().is_terminal() {
        return crate::log::complain(&error.render().to_string());
    }
    if let Err(error) = error.print() {
        tracing::debug!(%error, "the help text could not be written");
    }
}

/// Each complaint without the usage, which is said once.
fn print_all(first: &Error, further: &[Error], more: &Complaints) {
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
    for complaint in more.iter() {
        text.push_str(&format!(
            "error: {}: {}\n",
            complaint.key, complaint.problem
        ));
    }
    text.push_str("\nFor more information, try '--help'.\n");
    crate::log::complain(&text);
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
            let mut given = Given {
                arguments: given(flags),
                muted: Vec::new(),
                is_clear: true,
            };
            let first = given.read::<Flags>().unwrap_err();
            let found = 1 + further::<Flags>(&mut given, &first).0.len();
            assert_eq!(found, expected, "{flags:?}");
        }
    }

    #[test]
    fn the_flags_that_are_right_are_asked_for_more_where_others_are_wrong_and_only_there() {
        let asked = |flags: &[&str]| {
            let mut asked = None;
            let parsed = parse_with::<Flags>(given(flags), |flags| {
                asked = Some((flags.port, flags.names));
                Complaints::default()
            });
            (parsed.is_ok(), asked)
        };
        assert_eq!(asked(&["--port=1", "name"]), (true, None));
        let names = vec!["name".to_owned()];
        let rest = Some((Some(1), names));
        assert_eq!(
            asked(&["--port=1", "--prot=2", "name", "--limit=x"]),
            (false, rest)
        );
        // The name may be the value of what is not known.
        assert_eq!(asked(&["--port=1", "--prot", "name"]), (false, None));
        assert_eq!(asked(&["--help"]), (false, None));
    }
}
