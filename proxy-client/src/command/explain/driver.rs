//! Numbers, SQLSTATEs and words of database drivers, and the codes that are told with them: a section of docs/errors.md.

/// The heading of the section.
const HEADING: &str = "## Numbers, SQLSTATEs and words of drivers\n";

/// An entry of the section: keys, codes and other causes.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    keys: &'static str,
    rest: &'static str,
}

impl Entry {
    /// Whether an error of this code carries the number or the words.
    pub(super) fn is_told_with(self, code: &str) -> bool {
        let codes = self.rest.split('.').next().unwrap_or_default();
        in_quotes(codes).any(|told| told == code)
    }

    /// The entry on lines as they stand in the document.
    pub(super) fn text(self) -> String {
        format!("{}: {}", self.keys, self.rest).replace("\n  ", "\n")
    }

    fn matches(self, words: &str) -> bool {
        in_quotes(self.keys).any(|key| holds(words, &key))
    }
}

/// The first entry with a key that is among the words.
pub(super) fn entry(pages: &'static str, words: &str) -> Option<Entry> {
    entries(pages).find(|entry| entry.matches(words))
}

fn entries(pages: &'static str) -> impl Iterator<Item = Entry> {
    let section = pages.split_once(HEADING).map_or("", |(_, section)| section);
    let section = section.split("\n## ").next().unwrap_or_default();
    section.split("\n* ").skip(1).filter_map(|entry| {
        let (keys, rest) = entry.split_once(": ")?;
        Some(Entry {
            keys,
            rest: rest.trim_end(),
        })
    })
}

/// The parts in backticks. A line break within one is a blank.
fn in_quotes(text: &'static str) -> impl Iterator<Item = String> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Whether the key is in the words, whatever its case, and not as a part of a longer word or number.
fn holds(words: &str, key: &str) -> bool {
    let (words, key) = (words.to_lowercase(), key.to_lowercase());
    let is_edge = |letter: Option<char>| letter.is_none_or(|one| !one.is_alphanumeric());
    words.match_indices(&key).any(|(at, found)| {
        let (before, after) = (words.get(..at), words.get(at.saturating_add(found.len())..));
        is_edge(before.and_then(|text| text.chars().next_back()))
            && is_edge(after.and_then(|text| text.chars().next()))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proto::Code;

    use super::super::PAGES;
    use super::*;

    fn codes(entry: Entry) -> BTreeSet<&'static str> {
        let told = Code::ALL.map(Code::as_str).into_iter();
        told.filter(|code| entry.is_told_with(code)).collect()
    }

    #[test]
    fn every_number_and_sqlstate_of_ours_leads_to_all_codes_that_carry_it() {
        let keys = |code: Code| {
            let numbers = code.numbers();
            let states = [numbers.mysql_state, numbers.postgres_state];
            [
                numbers.mysql.to_string(),
                states[0].to_owned(),
                states[1].to_owned(),
            ]
        };
        for key in Code::ALL.into_iter().flat_map(keys) {
            let carriers = Code::ALL
                .into_iter()
                .filter(|code| keys(*code).contains(&key));
            let carriers: BTreeSet<_> = carriers.map(Code::as_str).collect();
            let entry = entry(PAGES, &key).unwrap_or_else(|| panic!("no entry for {key}"));
            assert_eq!(codes(entry), carriers, "{key}");
        }
    }

    /// Words, a code that carries them, and words of the text.
    const SAID: [(&str, &str, &str); 19] = [
        ("1045", "no-grant", "the database itself refuses"),
        ("28000", "no-grant", "refuses the login"),
        ("2013", "", "wait_timeout"),
        ("Lost connection", "", "wait_timeout"),
        (
            "ERROR 2013 (HY000): Lost connection to MySQL server",
            "",
            "wait_timeout",
        ),
        ("MySQL server has gone away", "", "wait_timeout"),
        ("Communications link failure", "", "wait_timeout"),
        (
            "server closed the connection unexpectedly",
            "",
            "wait_timeout",
        ),
        ("1129", "database-refused", "FLUSH HOSTS"),
        ("2003", "", "listens on another port"),
        (
            "ERROR 2003 (HY000): Can't connect to MySQL server",
            "",
            "reached no program",
        ),
        (
            "dial tcp 127.0.0.1:3306: connect: connection refused",
            "",
            "reached no program",
        ),
        ("1158", "agent-unreachable", "code in brackets"),
        ("#1158 - x", "deadline", "code in brackets"),
        ("1040", "limit", "max_connections"),
        ("57p03", "draining", "recovers"),
        ("08S01", "protocol", "2013"),
        ("53300", "limit", "PostgreSQL"),
        ("hy000", "authentication", "number beside it"),
    ];

    #[test]
    fn what_drivers_say_leads_to_the_codes_and_to_other_causes() {
        for (words, code, text) in SAID {
            let entry = entry(PAGES, words).unwrap_or_else(|| panic!("no entry for {words}"));
            let said = entry
                .text()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            assert!(said.contains(text), "{words}: {said}");
            assert_eq!(codes(entry).contains(code), !code.is_empty(), "{words}");
        }
        for words in ["10450", "21045x", "lost", "connections", ""] {
            assert!(entry(PAGES, words).is_none(), "{words}");
        }
    }
}
