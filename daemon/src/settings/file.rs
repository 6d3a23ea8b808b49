//! The settings file: TOML, keys named as the flags.

use std::path::Path;

use toml::{Table, Value};

use super::{Complaints, Settings, nearest};

/// Lays flags and environment over the file, where one is given. Every wrong key of the file is complained about.
///
/// # Errors
/// The complaints.
pub fn load<T: Settings>(flags_and_env: T, file: Option<&Path>) -> Result<T, Complaints> {
    let Some(path) = file else {
        return Ok(flags_and_env);
    };
    let key = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Complaints::one(&key, format!("cannot be read: {error}")))?;
    let table: Table = text
        .parse()
        .map_err(|error: toml::de::Error| Complaints::one(&key, error.to_string().trim_end()))?;
    Ok(flags_and_env.over(read(table, &key)?))
}

fn read<T: Settings>(table: Table, file: &str) -> Result<T, Complaints> {
    let known = T::keys();
    let mut complaints = Complaints::default();
    let mut settings = T::default();
    // One key at a time, so that the first wrong one does not hide the others.
    for (key, value) in table {
        let source = format!("{file}: {key}");
        if !known.contains(&key) {
            complaints.add(source, unknown(&key, &known));
            continue;
        }
        let single = Table::from_iter([(key, value)]);
        match Value::Table(single).try_into::<T>() {
            Ok(read) => settings = read.over(settings),
            Err(error) => complaints.add(source, error.message()),
        }
    }
    complaints.or(settings)
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
