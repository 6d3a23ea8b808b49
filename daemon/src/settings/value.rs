//! Values as people have them: blanks, line breaks and quotes around them, and all the words for yes and no.
//!
//! [`tolerant`] gives every argument of a command the reader of its type, so that flags and variables of all programs
//! are read in one way and refused in plain words; the settings file and instances' parameters use the same readers.

use std::any::TypeId;
use std::ffi::OsString;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{OsStringValueParser, StringValueParser, TypedValueParser as _};
use clap::{Arg, Command, ValueEnum, ValueHint};

use crate::text::clean;

/// Answer to a wrong boolean.
pub const BOOLEAN: &str = "expected true or false (or 1, 0, yes, no, on, off)";

/// The boolean that a word stands for, in small or capital letters.
pub fn boolean(text: &str) -> Option<bool> {
    match clean(text).to_ascii_lowercase().as_str() {
        "true" | "t" | "1" | "yes" | "y" | "on" => Some(true),
        "false" | "f" | "0" | "no" | "n" | "off" => Some(false),
        _ => None,
    }
}

/// One of an enum's words.
///
/// # Errors
/// A sentence with all of them.
pub fn choice<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(clean(text), true).map_err(|_| {
        let words = T::value_variants().iter().filter_map(T::to_possible_value);
        let words: Vec<String> = words.map(|word| word.get_name().to_owned()).collect();
        format!("expected {}", words.join(" or "))
    })
}

/// Gives each argument the reader of its type. Those with [`ValueHint::Other`] are taken to the letter.
pub(super) fn tolerant(command: Command) -> Command {
    command
        .mut_args(|arg| {
            let is_literal = arg.get_value_hint() == ValueHint::Other;
            match arg.get_action().takes_values() && !is_literal {
                true => read_tolerantly(arg),
                false => arg,
            }
        })
        .mut_subcommands(tolerant)
}

fn read_tolerantly(arg: Arg) -> Arg {
    let id = arg.get_value_parser().type_id();
    let is = |other: TypeId| id == other;
    if is(TypeId::of::<String>()) {
        arg.value_parser(StringValueParser::new().map(|text| clean(&text).to_owned()))
    } else if is(TypeId::of::<PathBuf>()) {
        arg.value_parser(OsStringValueParser::new().try_map(path))
    } else if is(TypeId::of::<bool>()) {
        arg.value_parser(|text: &str| boolean(text).ok_or(BOOLEAN))
    } else if is(TypeId::of::<u16>()) {
        arg.value_parser(|text: &str| number::<u16>(text, "a number from 0 to 65535"))
    } else if is(TypeId::of::<u32>()) {
        arg.value_parser(|text: &str| number::<u32>(text, "a number from 0 to 4294967295"))
    } else if is(TypeId::of::<usize>()) {
        arg.value_parser(|text: &str| number::<usize>(text, "a number, 0 or more"))
    } else if is(TypeId::of::<NonZeroU32>()) {
        arg.value_parser(|text: &str| number::<NonZeroU32>(text, "a number from 1 to 4294967295"))
    } else if is(TypeId::of::<IpAddr>()) {
        arg.value_parser(ip)
    } else {
        arg
    }
}

fn number<T: FromStr>(text: &str, expected: impl Display) -> Result<T, String> {
    let number = clean(text).parse();
    number.map_err(|_| format!("expected {expected}"))
}

fn path(text: OsString) -> Result<PathBuf, &'static str> {
    let path = match text.to_str() {
        Some(text) => PathBuf::from(clean(text)),
        None => PathBuf::from(text),
    };
    match path.as_os_str().is_empty() {
        true => Err("expected a path, found nothing"),
        false => Ok(path),
    }
}

fn ip(text: &str) -> Result<IpAddr, &'static str> {
    let text = clean(text);
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let bare = text.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
    let ip = bare.unwrap_or(text).parse();
    ip.map_err(|_| "expected an IP address, such as 127.0.0.1 or ::1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boolean_has_the_words_that_people_use() {
        for text in ["true", "TRUE", "t", "1", "yes", "Y", "on", " On\n", "'1'"] {
            assert_eq!(boolean(text), Some(true), "{text:?}");
        }
        for text in ["false", "F", "0", "no", "n", "off\n"] {
            assert_eq!(boolean(text), Some(false), "{text:?}");
        }
        for text in ["", "2", "maybe", "truee", "enabled"] {
            assert_eq!(boolean(text), None, "{text:?}");
        }
    }

    #[derive(Debug, Default, PartialEq, clap::Parser)]
    struct Flags {
        #[arg(long)]
        port: Option<u16>,
        #[arg(long)]
        uid: Vec<u32>,
        #[arg(long)]
        most: Option<usize>,
        #[arg(long)]
        one_in: Option<NonZeroU32>,
        #[arg(long, num_args = 0..=1, default_missing_value = "true")]
        quiet: Option<bool>,
        #[arg(long)]
        file: Option<PathBuf>,
        #[arg(long, value_delimiter = ',')]
        name: Vec<String>,
        #[arg(long, value_hint = ValueHint::Other)]
        literal: Option<String>,
        #[arg(long)]
        ip: Option<IpAddr>,
        #[arg(long, value_parser = choice::<crate::log::Style>)]
        style: Option<crate::log::Style>,
        #[arg(long)]
        once: bool,
    }

    fn read(flag: &str) -> Result<Flags, String> {
        let command = tolerant(<Flags as clap::CommandFactory>::command());
        let matches = command.try_get_matches_from(["x", flag]);
        let matches = matches.map_err(|error| error.to_string())?;
        <Flags as clap::FromArgMatches>::from_arg_matches(&matches)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_type_of_value_is_read_through_what_surrounds_it() {
        let expected = |change: fn(&mut Flags)| {
            let mut flags = Flags::default();
            change(&mut flags);
            Ok(flags)
        };
        for (name, value, flags) in [
            ("port", "5", expected(|flags| flags.port = Some(5))),
            ("uid", "7", expected(|flags| flags.uid = vec![7])),
            ("most", "9", expected(|flags| flags.most = Some(9))),
            (
                "one-in",
                "3",
                expected(|flags| flags.one_in = NonZeroU32::new(3)),
            ),
            ("quiet", "on", expected(|flags| flags.quiet = Some(true))),
            (
                "file",
                "/a b",
                expected(|flags| flags.file = Some("/a b".into())),
            ),
            ("name", "a", expected(|flags| flags.name = vec!["a".into()])),
            (
                "ip",
                "::1",
                expected(|flags| flags.ip = Some("::1".parse().unwrap())),
            ),
            (
                "style",
                "JSON",
                expected(|flags| flags.style = Some(crate::log::Style::Json)),
            ),
        ] {
            for around in ["{}", "{}\n", " {}\r\n", "\"{}\"", "'{}'\n"] {
                let flag = format!("--{name}={}", around.replace("{}", value));
                assert_eq!(read(&flag), flags, "{flag:?}");
            }
        }
        assert_eq!(
            read("--literal= a ").unwrap().literal.as_deref(),
            Some(" a ")
        );
        assert_eq!(read("--name=a , b\n").unwrap().name, ["a", "b"]);
        assert!(read("--once").unwrap().once);
        assert_eq!(read("--quiet").unwrap().quiet, Some(true));
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_flag_its_kind_and_its_range() {
        for (flag, expected) in [
            ("--port=70000", "a number from 0 to 65535"),
            ("--port=-1", "a number from 0 to 65535"),
            ("--uid=x", "a number from 0 to 4294967295"),
            ("--most=1.5", "a number, 0 or more"),
            ("--one-in=0", "a number from 1 to 4294967295"),
            ("--quiet=perhaps", BOOLEAN),
            ("--file=", "expected a path"),
            ("--ip=db.example", "an IP address"),
            ("--style=xml", "expected text or json"),
        ] {
            let found = read(flag).unwrap_err();
            let name = flag.split('=').next().unwrap();
            assert!(
                found.contains(expected) && found.contains(name),
                "{flag}: {found}"
            );
            for jargon in ["invalid digit", "expected u16", "NonZero"] {
                assert!(!found.contains(jargon), "{flag}: {found}");
            }
        }
    }
}
