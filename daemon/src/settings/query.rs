//! An instance as it is written: a name, and parameters of its own behind a question mark.

use super::nearest;
use crate::text::clean;

/// `NAME?key=value&key=value`, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The text before the question mark.
    pub name: String,
    /// The parameters that may be there, in their order, decoded.
    pub found: Vec<(String, String)>,
    /// All that is wrong with the others.
    pub problems: Vec<String>,
}

/// The parameters that an instance may have.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// All of them.
    pub all: &'a [&'a str],
    /// Those that may be given more than once.
    pub lists: &'a [&'a str],
    /// Those that may be without a value.
    pub switches: &'a [&'a str],
}

impl Query {
    /// Takes a text apart.
    pub fn parse(text: &str, known: Known<'_>) -> Self {
        let (name, parameters) = text.split_once('?').unwrap_or((text, ""));
        let mut query = Self {
            name: clean(name).to_owned(),
            ..Self::default()
        };
        for pair in parameters.split('&').filter(|pair| !pair.is_empty()) {
            if let Err(problem) = query.add(pair, known) {
                query.problems.push(problem);
            }
        }
        query
    }

    fn add(&mut self, pair: &str, known: Known<'_>) -> Result<(), String> {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !known.all.contains(&key) {
            return Err(unknown(key, known.all));
        }
        let value = percent_decoded(value).ok_or_else(|| {
            format!("{key} has a broken percent sign: %25 stands for the sign itself")
        })?;
        let value = clean(&value).to_owned();
        if value.is_empty() && !known.switches.contains(&key) {
            return Err(format!("{key} is empty: give it a value, or leave it out"));
        }
        let is_there = self.found.iter().any(|(other, _)| other == key);
        if is_there && !known.lists.contains(&key) {
            return Err(format!("{key} is given twice"));
        }
        self.found.push((key.to_owned(), value));
        Ok(())
    }
}

fn unknown(key: &str, known: &[&str]) -> String {
    match nearest(key, known.iter().copied()) {
        Some(meant) => format!("there is no parameter {key}; did you mean {meant}?"),
        None => format!(
            "there is no parameter {key}; there are {}",
            known.join(", ")
        ),
    }
}

/// Undoes percent encoding; `None` when a percent sign is not followed by two hexadecimal digits, or the result is no
/// text.
fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known<'_> = Known {
        all: &["port", "path", "from", "private"],
        lists: &["from"],
        switches: &["private"],
    };

    #[test]
    fn a_name_and_its_parameters_are_decoded_and_cleaned() {
        let query = Query::parse(
            " a:b:c ?port=1%0A&path=%2Fa%26b&from=x&from=y&private&",
            KNOWN,
        );
        let found = [
            ("port", "1"),
            ("path", "/a&b"),
            ("from", "x"),
            ("from", "y"),
            ("private", ""),
        ];
        let found = found.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(query.name, "a:b:c");
        assert_eq!(query.found, found);
        assert!(query.problems.is_empty(), "{:?}", query.problems);
    }

    #[test]
    fn every_wrong_parameter_is_told() {
        for (text, expected) in [
            ("a?prot=1", "there is no parameter prot; did you mean port?"),
            ("a?colour=1", "there are port, path, from, private"),
            ("a?port=1&port=1", "port is given twice"),
            ("a?port=", "port is empty"),
            ("a?port", "port is empty"),
            ("a?from=%20", "from is empty"),
            ("a?path=%zz", "path has a broken percent sign"),
            ("a?path=%+1", "path has a broken percent sign"),
            ("a?path=%4", "path has a broken percent sign"),
            ("a?path=%", "path has a broken percent sign"),
            ("a?path=%00", "path has a broken percent sign"),
            ("a?path=%ff", "path has a broken percent sign"),
        ] {
            let problems = Query::parse(text, KNOWN).problems;
            assert!(problems[0].contains(expected), "{text}: {problems:?}");
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        }
    }
}
