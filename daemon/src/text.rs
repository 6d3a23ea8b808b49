//! Text as editors, shells and secret stores hand it over.

/// The text without blanks, line breaks and one pair of quotes around it: files end with a line break, and Docker's
/// `--env-file` keeps quotes.
pub fn clean(text: &str) -> &str {
    let is_blank = |c: char| c.is_whitespace() || c == '\u{FEFF}';
    let text = text.trim_matches(is_blank);
    let quoted = ['"', '\''].into_iter().find_map(|quote| {
        let quoted = text.strip_prefix(quote)?.strip_suffix(quote)?;
        (!quoted.contains(quote)).then_some(quoted)
    });
    quoted.map_or(text, |text| text.trim_matches(is_blank))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_line_breaks_and_one_pair_of_quotes_around_a_value_are_no_part_of_it() {
        for (text, expected) in [
            ("a", "a"),
            (" a b\r\n", "a b"),
            ("\u{FEFF}a\n", "a"),
            ("\"a\"", "a"),
            ("' a '\n", "a"),
            ("\"", "\""),
            ("\"a", "\"a"),
            ("\"a'", "\"a'"),
            ("'it''s'", "'it''s'"),
            ("{\"a\":\"b\"}", "{\"a\":\"b\"}"),
            ("\"{\"a\":1}\"", "\"{\"a\":1}\""),
            ("", ""),
            ("\n", ""),
        ] {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }
}
