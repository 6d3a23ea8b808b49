//! The JSON of a key file, taken out of the wrappings in which editors, shells and secret stores hand it over.
//!
//! Only what has one meaning is taken off: byte order marks, UTF-16, blanks around, quotes, base64, and line breaks in
//! the wrong form. All else is named with its remedy.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::error::CredentialsError;
use super::foreign;

/// Wrappings that are taken off, one inside another.
const MAX_WRAPPINGS: usize = 4;
/// Shortest base64 that is decoded: a key file has some 3,000 characters.
const MIN_BASE64: usize = 40;
/// Characters in a line of PEM.
const PEM_COLUMNS: usize = 64;

type Secret = Zeroizing<String>;

/// Returns the JSON object in what was handed over.
///
/// # Errors
/// The kind of the content, where it is no JSON object.
pub(super) fn json(bytes: &[u8]) -> Result<Secret, CredentialsError> {
    let mut text = decoded(bytes)?;
    for _ in 0..MAX_WRAPPINGS {
        match inner(&text) {
            Some(inner) => text = inner,
            None => break,
        }
    }
    if text.is_empty() {
        return Err(CredentialsError::Empty);
    }
    match foreign::kind(&text) {
        Some(found) => Err(CredentialsError::Foreign { found }),
        None => Ok(repaired(&text)),
    }
}

/// Text of UTF-8 or UTF-16, without its byte order mark and blanks around.
fn decoded(bytes: &[u8]) -> Result<Secret, CredentialsError> {
    let text = match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [first, 0, ..] if first.is_ascii_graphic() => utf16(bytes, u16::from_le_bytes),
        [0, first, ..] if first.is_ascii_graphic() => utf16(bytes, u16::from_be_bytes),
        _ => std::str::from_utf8(bytes).ok().map(trimmed),
    };
    text.ok_or(CredentialsError::Foreign {
        found: foreign::BINARY,
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<Secret> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = Zeroizing::new(pairs.iter().map(|pair| unit(*pair)).collect::<Vec<u16>>());
    let text = Zeroizing::new(String::from_utf16(&units).ok()?);
    rest.is_empty().then(|| trimmed(&text))
}

fn trimmed(text: &str) -> Secret {
    let is_blank = |c: char| c.is_whitespace() || c == '\u{FEFF}' || c == '\0';
    Zeroizing::new(text.trim_matches(is_blank).to_owned())
}

/// The text without its outermost wrapping, where it has one.
fn inner(text: &str) -> Option<Secret> {
    if let Some(quoted) = unquoted(text) {
        let string = serde_json::from_str::<String>(text).map(Zeroizing::new);
        return Some(trimmed(string.as_deref().map_or(quoted, String::as_str)));
    }
    if let Some(object) = text.strip_prefix('{') {
        return is_escaped(object).then(|| unescaped(text)).flatten();
    }
    from_base64(text)
}

fn unquoted(text: &str) -> Option<&str> {
    ['"', '\'', '`'].into_iter().find_map(|quote| {
        let quoted = text.strip_prefix(quote)?.strip_suffix(quote)?;
        (!quoted.is_empty()).then_some(quoted)
    })
}

/// Whether the quotes of the first member are escaped: the object was a string of another JSON or of a shell.
fn is_escaped(object: &str) -> bool {
    let mut rest = object.trim_start();
    while let Some(behind) = rest
        .strip_prefix("\\n")
        .or_else(|| rest.strip_prefix("\\r"))
    {
        rest = behind.trim_start();
    }
    rest.starts_with("\\\"")
}

fn unescaped(text: &str) -> Option<Secret> {
    let string = Zeroizing::new(format!("\"{}\"", text.replace('\n', "\\n")));
    let text = serde_json::from_str::<String>(&string).ok()?;
    Some(trimmed(&Zeroizing::new(text)))
}

fn from_base64(text: &str) -> Option<Secret> {
    let text = text.rsplit_once("base64,").map_or(text, |(_, text)| text);
    let joined: String = text.split_whitespace().collect();
    let joined = Zeroizing::new(joined.replace("\\n", ""));
    if joined.len() < MIN_BASE64 {
        return None;
    }
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [STANDARD, URL_SAFE].into_iter().find_map(|alphabet| {
        let bytes = GeneralPurpose::new(&alphabet, lenient).decode(joined.as_bytes());
        let text = decoded(&Zeroizing::new(bytes.ok()?)).ok()?;
        // Base64 of what begins an object, too: secret stores encode what was encoded before.
        let is_known = ["{", "\"", "'", "ey", "ew"]
            .into_iter()
            .any(|begin| text.starts_with(begin));
        is_known.then_some(text)
    })
}

/// Escapes line breaks inside strings, and makes blanks of escapes between them. Right JSON stays as it is.
fn repaired(text: &str) -> Secret {
    let mut json = Zeroizing::new(String::with_capacity(text.len().saturating_mul(2)));
    let mut is_inside = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (is_inside, character) {
            (true, '\n') => json.push_str("\\n"),
            (true, '\r') => json.push_str("\\r"),
            (true, '\t') => json.push_str("\\t"),
            (true, '\\') => {
                json.push(character);
                json.extend(characters.next());
            }
            (false, '\\')
                if characters
                    .next_if(|c| matches!(c, 'n' | 'r' | 't'))
                    .is_some() =>
            {
                json.push(' ');
            }
            (_, '"') => {
                is_inside = !is_inside;
                json.push(character);
            }
            _ => json.push(character),
        }
    }
    json
}

/// PEM with its line breaks where they belong: variables and templates make of them `\n`, blanks, or nothing.
pub(super) fn pem(text: &str) -> Secret {
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some((label, body, behind)) = block(rest) {
        let body = base64_of(body);
        out.push_str(&format!("-----BEGIN {label}-----"));
        for (at, character) in body.chars().enumerate() {
            if at % PEM_COLUMNS == 0 {
                out.push('\n');
            }
            out.push(character);
        }
        out.push_str(&format!("\n-----END {label}-----\n"));
        rest = behind;
    }
    match out.is_empty() {
        true => Zeroizing::new(text.to_owned()),
        false => out,
    }
}

/// The body's base64 alone: without blanks, and without escapes of line breaks, however often they were escaped.
fn base64_of(body: &str) -> Secret {
    let mut base64 = Zeroizing::new(String::with_capacity(body.len()));
    let mut characters = body.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' {
            base64.extend(Some(character).filter(|c| !c.is_whitespace()));
            continue;
        }
        // One letter belongs to a run of backslashes; the next one is base64, an r or n as well.
        while characters.next_if_eq(&'\\').is_some() {}
        characters.next_if(|c| matches!(c, 'n' | 'r'));
    }
    base64
}

/// Label and body of the first block, and the text behind it.
fn block(text: &str) -> Option<(&str, &str, &str)> {
    let (_, text) = text.split_once("-----BEGIN ")?;
    let (label, text) = text.split_once("-----")?;
    let (body, text) = text.split_once("-----END ")?;
    let (_, behind) = text.split_once("-----")?;
    Some((label, body, behind))
}
