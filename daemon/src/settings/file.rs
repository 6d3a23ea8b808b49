//! The settings file: TOML, YAML or JSON by its name's end, keys named as the flags.

use std::path::Path;

use super::{Complaints, Settings, nearest};

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
    let text = std::fs::read_to_string(path)
        .map_err(|error| Complaints::one(&key, format!("cannot be read: {error}")))?;
    let mut table = parse(path, &text).map_err(|problem| Complaints::one(&key, problem))?;
    let mut complaints = Complaints::default();
    adapt(&mut table, &key, &mut complaints);
    let settings = read(table, &key, &mut complaints);
    Ok((flags_and_env.over(settings), complaints))
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

/// A value in the type that it has, or else in the type that the key wants: `port: "5000"` is what `port: 5000` is.
fn single<T: Settings>(key: &str, value: Value) -> Result<T, String> {
    let other = converted(&value);
    let into = |value| Value::Table(Table::from_iter([(key.to_owned(), value)])).try_into::<T>();
    into(value).or_else(|error| {
        other
            .and_then(|other| into(other).ok())
            .ok_or_else(|| error.message().to_owned())
    })
}

fn converted(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => match text.as_str() {
            "true" => Some(Value::Boolean(true)),
            "false" => Some(Value::Boolean(false)),
            number => number.parse().ok().map(Value::Integer),
        },
        Value::Integer(number) => Some(Value::String(number.to_string())),
        Value::Boolean(is_true) => Some(Value::String(is_true.to_string())),
        _ => None,
    }
}

fn unknown(key: &str, known: &[String]) -> String {
    match nearest(key, known.iter().map(String::as_str)) {
        Some(meant) => format!("there is no such key; did you mean {meant}?"),
        None => "there is no such key".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::settings::Span;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
    struct Sample {
        port: Option<u16>,
        dial_timeout: Option<Span>,
        instance: Vec<String>,
    }

    crate::overlay!(Sample {
        port,
        dial_timeout,
        instance
    });

    fn load_text(flags: Sample, text: &str) -> Result<Sample, Complaints> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        std::fs::write(&path, text).unwrap();
        load(flags, Some(&path))
    }

    fn load_named(name: &str, text: &str) -> Result<Sample, Complaints> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        load(Sample::default(), Some(&path))
    }

    #[test]
    fn json_and_yaml_say_the_same_as_toml() {
        let expected = load_named(
            "s.toml",
            "port = 2\ndial-timeout = \"5s\"\ninstance = [\"a\", \"b\"]\n",
        )
        .unwrap();
        let json = "{\"port\": 2, \"dial-timeout\": \"5s\", \"instance\": [\"a\", \"b\"]}";
        let yaml = "port: 2\ndial-timeout: 5s\ninstance:\n  - a\n  - b\n";
        assert_eq!(load_named("s.json", json).unwrap(), expected);
        assert_eq!(load_named("s.yaml", yaml).unwrap(), expected);
        assert_eq!(load_named("s.YML", yaml).unwrap(), expected);
    }

    #[test]
    fn a_value_may_be_written_as_text_or_as_a_number() {
        assert_eq!(load_named("s.yaml", "port: \"7\"\n").unwrap().port, Some(7));
        assert_eq!(
            load_named("s.toml", "instance = [\"a\"]\nport = \"7\"\n")
                .unwrap()
                .port,
            Some(7)
        );
        assert!(load_named("s.yaml", "port: seven\n").is_err());
        // A duration without a unit is ambiguous.
        assert!(load_named("s.yaml", "dial-timeout: 30\n").is_err());
    }

    #[test]
    fn what_does_not_parse_is_named_by_its_line_and_not_shown() {
        for (name, text) in [
            ("s.toml", "port = 1\ninstance = [\"canary\n"),
            ("s.json", "{\"port\": 1,\n\"instance\": [\"canary}"),
            ("s.yaml", "port: 1\ninstance: [\"canary\n"),
            ("s.yaml", "port: 1\nport: 2\n"),
        ] {
            let found = load_named(name, text).unwrap_err().to_string();
            assert!(
                found.contains("line 2") || found.contains("line 3"),
                "{found}"
            );
            assert!(!found.contains("canary"), "{found}");
        }
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_fills_the_rest() {
        let flags = Sample {
            port: Some(1),
            ..Sample::default()
        };
        let file = "port = 2\ndial-timeout = \"5s\"\ninstance = [\"a\", \"b\"]\n";
        let settings = load_text(flags, file).unwrap();
        assert_eq!(settings.port, Some(1));
        assert_eq!(
            settings.dial_timeout,
            Some(Span(std::time::Duration::from_secs(5)))
        );
        assert_eq!(settings.instance, ["a", "b"]);
    }

    #[test]
    fn every_wrong_key_is_complained_about_at_once() {
        let file = "prot = 1\nport = 70000\ndial-timeout = \"soon\"\ninstance = []\n";
        let complaints = load_text(Sample::default(), file).unwrap_err();
        let text = complaints.to_string();
        assert_eq!(complaints.iter().count(), 3, "{text}");
        assert!(text.contains("prot: there is no such key; did you mean port?"));
        assert!(text.contains("dial-timeout: expected a duration"));
        assert!(text.contains("70000"));
    }

    #[test]
    fn a_file_that_is_missing_or_no_toml_is_complained_about() {
        let missing = load(Sample::default(), Some(Path::new("/nonexistent/x.toml")));
        assert!(missing.unwrap_err().to_string().contains("cannot be read"));
        let broken = load_text(Sample::default(), "port = \n").unwrap_err();
        assert!(broken.to_string().contains("line 1"), "{broken}");
    }
}
