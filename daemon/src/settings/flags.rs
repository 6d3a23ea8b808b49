//! Flags and their environment twins: all that is wrong with them is said at once.

mod former;

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Arg, Command, Parser};

use super::Complaints;
use super::value::tolerant;
use crate::environment::says_nothing;
use crate::exit::Exit;
pub use former::Former;

/// Reads flags and their environment twins. Help and version are printed; what is wrong is complained about.
///
/// # Errors
/// How the program is to end: [`Exit::Success`] after help, [`Exit::Usage`] after a complaint.
pub fn parse<T: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<T, Exit> {
    parse_with(arguments, |_, _| None, |_| Complaints::default())
}

/// As [`parse`], for a program that has more to check than flags: where those are wrong, `more` is asked what else there
/// is to complain about in those that are right, and it is all said at once. `former` has the advice for flags of a
/// predecessor.
///
/// # Errors
/// As [`parse`].
pub fn parse_with<T: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    former: Former,
    more: impl FnOnce(T) -> Complaints,
) -> Result<T, Exit> {
    let mut given = Given::new(arguments);
    let mut complaints = given.take_away_former(&T::command(), former);
    let (errors, rest) = match given.read::<T>() {
        Ok(parsed) if complaints.is_empty() => return Ok(parsed),
        Ok(parsed) => (Vec::new(), Some(parsed)),
        Err(answer) if is_answer(&answer) => {
            print(&answer);
            return Err(Exit::Success);
        }
        Err(error) if !complaints.is_empty() && is_consequence(&error) => (Vec::new(), None),
        Err(error) => further::<T>(&mut given, error),
    };
    complaints.extend(
        rest.filter(|_| given.is_clear)
            .map(more)
            .unwrap_or_default(),
    );
    match errors.as_slice() {
        [one] if complaints.is_empty() => print(one),
        _ => print_all(&errors, &complaints),
    }
    Err(Exit::Usage)
}

/// Reads flags that were right before, once more.
///
/// # Errors
/// The first one that is wrong.
pub fn parse_again<T: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<T, Complaints> {
    let read = Given::new(arguments).read();
    read.map_err(|error| Complaints::one("the command line", error.to_string()))
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
    fn new(arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            arguments: arguments.into_iter().collect(),
            muted: Vec::new(),
            is_clear: true,
        }
    }

    fn read<T: Parser>(&self) -> Result<T, Error> {
        let mut command = tolerant(without_variables(T::command(), &self.muted));
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

/// A manifest that sets a variable to nothing means that it is not set. So do variables that Kubernetes sets.
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

/// All that is wrong: each flag that is complained about is taken away and the rest is read again. Returns what is left
/// when that is right.
fn further<T: Parser>(given: &mut Given, first: Error) -> (Vec<Error>, Option<T>) {
    let mut found = vec![first];
    while let Some(last) = found.last() {
        if !given.take_away(last) {
            break;
        }
        match given.read() {
            Ok(rest) => return (found, Some(rest)),
            Err(error) if !is_answer(&error) && !is_consequence(&error) => found.push(error),
            Err(_) => break,
        }
    }
    (found, None)
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
fn print_all(errors: &[Error], more: &Complaints) {
    let mut text = String::new();
    for error in errors {
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
mod tests;
