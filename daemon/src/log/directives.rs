//! The words of a log level, checked: the filter itself takes a misspelt level for the name of a target.

use crate::settings::nearest;

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// The level or directives in small letters, without blanks.
///
/// # Errors
/// A sentence with the levels that there are.
pub(super) fn checked(text: &str) -> Result<String, String> {
    let directives = text
        .split(',')
        .map(|directive| checked_one(directive.trim()));
    let directives = directives.collect::<Result<Vec<_>, _>>()?;
    Ok(directives.join(","))
}

fn checked_one(directive: &str) -> Result<String, String> {
    let (target, level) = match directive.rsplit_once('=') {
        Some((target, level)) => (Some(target.trim()), level.trim()),
        None => (None, directive),
    };
    let level = level.to_ascii_lowercase();
    if !LEVELS.contains(&level.as_str()) || target == Some("") {
        return Err(wrong(directive, &level));
    }
    Ok(match target {
        Some(target) => format!("{target}={level}"),
        None => level,
    })
}

fn wrong(directive: &str, level: &str) -> String {
    let meant = match level {
        "warning" => Some("warn"),
        other => nearest(other, LEVELS),
    };
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
    format!(
        "expected error, warn, info, debug, trace or off, or TARGET=LEVEL such as session=info, \
         found {directive:?}{meant}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_taken_in_any_case_and_with_blanks() {
        for (text, expected) in [
            ("info", "info"),
            ("INFO\n", "info"),
            (" info , session=INFO ", "info,session=info"),
            ("off", "off"),
            ("info,audit=off", "info,audit=off"),
            ("proxy_client::serve=debug", "proxy_client::serve=debug"),
        ] {
            assert_eq!(checked(text).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn a_misspelt_level_is_refused_with_the_levels_that_there_are() {
        for (text, meant) in [
            ("inof", "did you mean info?"),
            ("warning", "did you mean warn?"),
            ("debgu", "did you mean debug?"),
            ("info,session=inof", "did you mean info?"),
            ("verbose", "found \"verbose\""),
            ("session", "found \"session\""),
            ("", "found \"\""),
            ("info,", "found \"\""),
            ("=info", "found \"=info\""),
            ("5", "found \"5\""),
        ] {
            let found = checked(text).unwrap_err();
            assert!(
                found.contains("error, warn, info, debug, trace or off"),
                "{found}"
            );
            assert!(found.contains(meant), "{text:?}: {found}");
        }
    }
}
