//! The names of a certificate as people are told them: the peer chose them, so they are bounded and plain ASCII.

use std::net::IpAddr;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use super::error::CertificateProblem;

/// Most characters of one name that are told.
const MAX_NAME: usize = 100;
/// Most names that are told.
const MAX_NAMES: usize = 3;

/// The certificate is good, and another's.
pub(super) fn wrong_name(expected: String, leaf: &X509Certificate<'_>) -> CertificateProblem {
    let found = found(leaf);
    CertificateProblem::Name { expected, found }
}

/// The certificate is from an unknown issuer, and another's.
pub(super) fn foreign_name(expected: String, leaf: &X509Certificate<'_>) -> CertificateProblem {
    let found = found(leaf);
    CertificateProblem::Foreign { expected, found }
}

/// The common name and the alternative names.
fn found(leaf: &X509Certificate<'_>) -> String {
    let mut names: Vec<String> = leaf
        .subject()
        .iter_common_name()
        .map(|name| name.as_str().map_or_else(|_| "?".to_owned(), plain))
        .collect();
    if let Ok(Some(alternative)) = leaf.subject_alternative_name() {
        names.extend(alternative.value.general_names.iter().map(general));
    }
    names.dedup();
    let more = names.len().saturating_sub(MAX_NAMES);
    names.truncate(MAX_NAMES);
    match (names.is_empty(), more) {
        (true, _) => "no name at all".to_owned(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}

fn general(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => plain(name),
        GeneralName::IPAddress(bytes) => address(bytes).unwrap_or_else(|| "?".to_owned()),
        _ => "?".to_owned(),
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let ip = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    ip.ok().map(|ip| ip.to_string())
}

/// Nothing that moves a terminal's cursor, ends a line or turns the direction of the text.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    for character in name.chars() {
        if plain.len() >= MAX_NAME {
            plain.push_str("...");
            break;
        }
        plain.extend(character.escape_default());
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_on_one_line_in_ascii_and_cut_when_it_is_long() {
        assert_eq!(
            plain("db2.eu.demo.csql.internal"),
            "db2.eu.demo.csql.internal"
        );
        assert_eq!(plain("a\n\u{1b}[2J\u{202e}b"), "a\\n\\u{1b}[2J\\u{202e}b");
        let long = plain(&"\u{202e}".repeat(1000));
        assert!(long.len() < MAX_NAME + 16, "{}", long.len());
        assert!(long.ends_with("..."), "{long}");
    }

    #[test]
    fn an_address_is_told_as_people_write_it() {
        assert_eq!(address(&[127, 0, 0, 1]).as_deref(), Some("127.0.0.1"));
        assert_eq!(address(&[0; 16]).as_deref(), Some("::"));
        assert_eq!(address(&[1, 2]), None);
    }
}
