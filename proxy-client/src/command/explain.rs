//! `explain CODE`: the page of an error's code, or of a driver's number, SQLSTATE or words. The pages are docs/errors.md.

mod driver;

use daemon::exit::Exit;
use daemon::settings::nearest;

use super::say;

/// All pages, as people read them on paper too.
const PAGES: &str = include_str!("../../../docs/errors.md");

/// A page: its code and its text.
#[derive(Clone, Copy)]
struct Page {
    code: &'static str,
    text: &'static str,
}

/// Prints the page of the code that these words are or hold; without words, the list of codes.
pub(super) fn run(words: &str) -> Exit {
    if words.trim().is_empty() {
        return say::out(&list());
    }
    if let Some(page) = meant(words) {
        return say::out(&format!("{}\n\n{}\n", page.code, page.text));
    }
    if let Some(entry) = driver::entry(PAGES, words) {
        return say::out(&of_driver(entry));
    }
    let codes = pages().map(|page| page.code).collect::<Vec<_>>();
    let hint = match nearest(words.trim(), codes) {
        Some(code) => format!("did you mean {code}?"),
        None => "without a code, `explain` lists them all".to_owned(),
    };
    say::complain(&format!(
        "there is no error with the code {words:?}; {hint}"
    ));
    Exit::Usage
}

fn pages() -> impl Iterator<Item = Page> {
    PAGES.split("\n### `").skip(1).filter_map(|section| {
        let (code, rest) = section.split_once("`\n")?;
        let end = rest.find("\n## ").unwrap_or(rest.len());
        let text = rest.get(..end)?.trim();
        Some(Page { code, text })
    })
}

/// The page of this code; else of the last one in brackets, where messages have it; else of a word that is one.
fn meant(words: &str) -> Option<Page> {
    let page = |code: &str| pages().find(|page| page.code.eq_ignore_ascii_case(code));
    let in_brackets = || {
        let (_, last) = words.rsplit_once('[')?;
        page(last.split(']').next()?)
    };
    let is_edge = |letter: char| !letter.is_ascii_alphanumeric() && letter != '-' && letter != '_';
    let of_a_word = || {
        words
            .split(is_edge)
            .filter(|word| word.contains(['-', '_']) || word.contains(char::is_uppercase))
            .find_map(page)
    };
    page(words.trim()).or_else(in_brackets).or_else(of_a_word)
}

/// The entry of a driver's number or words, and a line for each code that is told with it.
fn of_driver(entry: driver::Entry) -> String {
    let told = pages().filter(|page| entry.is_told_with(page.code));
    format!("{}\n\n{}", entry.text(), lines(told))
}

fn list() -> String {
    lines(pages())
}

fn lines(pages: impl Iterator<Item = Page>) -> String {
    let lines = pages.map(|page| {
        let sense = page.text.lines().next().unwrap_or_default();
        format!("{:<24} {sense}\n", page.code)
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proto::{Code, Refusal};

    use super::*;

    /// Where the CA names its errors.
    const CA: &str = include_str!("../../../ca-service/src/http/errors.rs");

    /// The words in quotes in a source text that look like codes.
    fn quoted(source: &str) -> BTreeSet<&str> {
        // Labels of metrics and keys of log lines, not told to anybody.
        let is_told = |word: &&str| !matches!(*word, "lost" | "failed");
        let is_code = |word: &&str| {
            let mut letters = word.chars();
            letters
                .next()
                .is_some_and(|first| first.is_ascii_lowercase())
                && letters.all(|letter| letter.is_ascii_alphabetic() || letter == '_')
        };
        let quoted = source.split('"').skip(1).step_by(2);
        quoted.filter(is_code).filter(is_told).collect()
    }

    #[test]
    fn every_code_of_all_three_programs_has_a_page_and_every_page_a_code() {
        let mut codes = quoted(CA);
        assert!(codes.contains("notAuthorized") && codes.contains("invalid_grant"));
        codes.extend(Code::ALL.map(Code::as_str));
        let found: Vec<&str> = pages().map(|page| page.code).collect();
        assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), codes);
        assert_eq!(found.len(), codes.len(), "no page twice");
    }

    #[test]
    fn every_page_tells_sense_cause_check_and_fix_in_this_order() {
        for page in pages() {
            let mut parts = vec![];
            for part in ["**Cause.** ", "**Check.** ", "**Fix.** "] {
                let place = page.text.find(part);
                parts.push(place.unwrap_or_else(|| panic!("{} has no {part}", page.code)));
            }
            assert!(parts[0] > 0 && parts.is_sorted(), "{}", page.code);
            assert!(!page.text.contains("\n#"), "{} ends too late", page.code);
        }
    }

    #[test]
    fn a_whole_message_is_explained_by_the_code_in_it() {
        let refusal = Refusal::new(Code::NoGrant, "the CA [x] does not allow it", "ask");
        let code = |words: &str| meant(words).map(|page| page.code);
        assert_eq!(code(&refusal.to_string()), Some("no-grant"));
        assert_eq!(code("No-Grant"), Some("no-grant"));
        assert_eq!(
            code("ERROR 1105 code=agent-unreachable x"),
            Some("agent-unreachable")
        );
        assert_eq!(code("status 403 (notAuthorized)"), Some("notAuthorized"));
        assert_eq!(code("over the limit"), None, "an ordinary word is no code");
        assert_eq!(code("nothing"), None);
        assert_eq!(run("no-grand"), Exit::Usage);
    }
}
