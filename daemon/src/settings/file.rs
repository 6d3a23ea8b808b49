//! The settings file: TOML, YAML or JSON by its name's end, keys named as the flags.

use std::path::Path;

use super::{Complaints, Settings, boolean, nearest};
use crate::text::clean;

/// The keys of a settings file with their values.
pub use toml::{Table, Value};

/// Lays flags and environment over the file, where one is given. Every wrong key of the file is complained about.
///
/// # Errors
/// The complaints.
pub fn load<T: Settings>(flags_and_env: T, file: Option<&Path>) -> Result<T, Complaints> {
    load_adapted(flags_and_env, file, |_, _, _| {})
}

/// The same for a program whose file may have more keys than its flags: `adapt` gets the table, the file's name and
/// the complaints, and leaves the keys of [`Settings::keys`].
///
/// # Errors
/// The complaints.
pub fn load_adapted<T: Settings>(
    flags_and_env: T,
    file: Option<&Path>,
    adapt: impl FnOnce(&mut Table, &str, &mut Complaints),
) -> Result<T, Complaints> {
    let (settings, complaints) = load_with_complaints(flags_and_env, file, adapt)?;
    complaints.or(settings)
}

/// The same for who has more to complain about: what is right of the file, and the complaints about the rest.
///
/// # Errors
/// The complaint about a file that cannot be read at all.
pub fn load_with_complaints<T: Settings>(
    flags_and_env: T,
    file: Option<&Path>,
    adapt: impl FnOnce(&mut Table, &str, &mut Complaints),
) -> Result<(T, Complaints), Complaints> {
    let Some(path) = file else {
        return Ok((flags_and_env, Complaints::default()));
    };
    let key = path.display().to_string();
    let text = text_of(path).map_err(|problem| Complaints::one(&key, problem))?;
    let mut table = parse(path, &text).map_err(|problem| Complaints::one(&key, problem))?;
    let mut complaints = Complaints::default();
    adapt(&mut table, &key, &mut complaints);
    let settings = read(table, &key, &mut complaints);
    Ok((flags_and_env.over(settings), complaints))
}

/// The file's text, without a byte order mark.
fn text_of(path: &Path) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| "is not text in UTF-8: save it so (some editors write UTF-16)".to_owned())?;
    Ok(text.trim_start_matches('\u{FEFF}').to_owned())
}

/// What cannot be parsed is named by its line, never shown: it may be a secret.
fn parse(path: &Path, text: &str) -> Result<Table, String> {
    let end = path.extension().and_then(|end| end.to_str());
    match end.map(str::to_ascii_lowercase).as_deref() {
        Some("json") => serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("is not valid JSON with text, numbers and lists as values: line {line}, column {column}")
        }),
        Some("yaml" | "yml") => serde_saphyr::from_str(text).map_err(|error| {
            let problem = error.without_snippet();
            format!("is not valid YAML: {problem}")
        }),
        _ => text.parse().map_err(|error: toml::de::Error| {
            let upto = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(upto).filter(|byte| *byte == b'\n').count() + 1;
            format!("is not valid TOML: line {line}: {}", error.message())
        }),
    }
}

fn read<T: Settings>(table: Table, file: &str, complaints: &mut Complaints) -> T {
    let known = T::keys();
    let mut settings = T::default();
    // One key at a time, so that the first wrong one does not hide the others.
    for (key, value) in table {
        let source = format!("{file}: {key}");
        if !known.contains(&key) {
            complaints.add(source, unknown(&key, &known));
            continue;
        }
        match single::<T>(&key, value) {
            Ok(read) => settings = read.over(settings),
            Err(problem) => complaints.add(source, problem),
        }
    }
    settings
}

/// A value in the type that it has, or else in a type that the key wants: `port: "5000"` is what `port: 5000` is.
fn single<T: Settings>(key: &str, value: Value) -> Result<T, String> {
    let value = cleaned(value);
    let others = converted(&value);
    let into = |value| Value::Table(Table::from_iter([(key.to_owned(), value)])).try_into::<T>();
    let found = described(&value);
    let mut problem = match into(value) {
        Ok(read) => return Ok(read),
        Err(error) => error.message().to_owned(),
    };
    for other in others {
        match into(other) {
            Ok(read) => return Ok(read),
            // It has the right type then, and says more.
            Err(error) if !error.message().starts_with("invalid type") => {
                error.message().clone_into(&mut problem);
            }
            Err(_) => {}
        }
    }
    Err(in_plain_words(&problem, &found))
}

fn cleaned(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(&text).to_owned()),
        Value::Array(items) => Value::Array(items.into_iter().map(cleaned).collect()),
        other => other,
    }
}

fn converted(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => {
            let is_true = boolean(text).map(Value::Boolean);
            let number = text.parse().ok().map(Value::Integer);
            is_true.into_iter().chain(number).collect()
        }
        Value::Integer(number) => {
            let text = number.to_string();
            let is_true = boolean(&text).map(Value::Boolean);
            is_true.into_iter().chain([Value::String(text)]).collect()
        }
        Value::Boolean(is_true) => vec![Value::String(is_true.to_string())],
        _ => Vec::new(),
    }
}

/// A number or a short word as it stands; of all else, which may be a secret, the kind.
fn described(value: &Value) -> String {
    const LONGEST: usize = 40;
    match value {
        Value::String(text) if text.len() <= LONGEST => format!("{text:?}"),
        Value::String(_) => "a text".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(is_true) => is_true.to_string(),
        Value::Datetime(_) => "a date".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}

/// The parser's message without the names of its types.
fn in_plain_words(message: &str, found: &str) -> String {
    const KINDS: [(&str, &str); 9] = [
        ("u16", "a number from 0 to 65535"),
        ("u32", "a number from 0 to 4294967295"),
        ("nonzero u32", "a number from 1 to 4294967295"),
        ("a nonzero u32", "a number from 1 to 4294967295"),
        ("usize", "a number, 0 or more"),
        ("a boolean", "true or false"),
        ("a string", "text"),
        ("path string", "a path"),
        ("a sequence", "a list, as [\"a\", \"b\"]"),
    ];
    let is_of_type = message.starts_with("invalid ") || message.starts_with("unknown variant");
    let Some((_, kind)) = message.rsplit_once("expected ").filter(|_| is_of_type) else {
        return format!("{message}, found {found}");
    };
    let known = KINDS.iter().find(|(jargon, _)| *jargon == kind);
    let kind = known.map_or_else(|| kind.replace('`', ""), |(_, words)| (*words).to_owned());
    let kind = kind.trim_start_matches("one of ");
    format!("expected {kind}, found {found}")
}

fn unknown(key: &str, known: &[String]) -> String {
    match nearest(key, known.iter().map(String::as_str)) {
        Some(meant) => format!("there is no such key; did you mean {meant}?"),
        None => "there is no such key".to_owned(),
    }
}

#[cfg(test)]
mod tests;
