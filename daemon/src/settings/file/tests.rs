use serde::Deserialize;

use super::*;
use crate::settings::Span;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Sample {
    port: Option<u16>,
    most: Option<usize>,
    one_in: Option<std::num::NonZeroU32>,
    quiet: Option<bool>,
    dial_timeout: Option<Span>,
    file: Option<std::path::PathBuf>,
    style: Option<crate::log::Style>,
    instance: Vec<String>,
}

crate::overlay!(Sample {
    port,
    most,
    one_in,
    quiet,
    dial_timeout,
    file,
    style,
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
fn values_are_read_through_what_surrounds_them_in_every_kind_of_file() {
    let expected = Sample {
        port: Some(7),
        quiet: Some(true),
        instance: vec!["a".to_owned(), "b".to_owned()],
        ..Sample::default()
    };
    for (name, text) in [
        (
            "s.toml",
            "\u{FEFF}port = \" 7\\n\"\r\nquiet = \"yes\"\r\ninstance = [\"a \", \"'b'\"]\r\n",
        ),
        (
            "s.yaml",
            "\u{FEFF}port: \"'7'\"\nquiet: on\ninstance: [\"a\\n\", b]\n",
        ),
        (
            "s.json",
            "\u{FEFF}{\"port\": \"7\\n\", \"quiet\": 1, \"instance\": [\" a\", \"b\"]}\n",
        ),
    ] {
        assert_eq!(load_named(name, text).unwrap(), expected, "{name}");
    }
    for (text, quiet) in [("off", false), ("0", false), ("\"1\"", true), ("T", true)] {
        let read = load_named("s.yaml", &format!("quiet: {text}\n")).unwrap();
        assert_eq!(read.quiet, Some(quiet), "{text}");
    }
}

#[test]
fn a_wrong_value_is_refused_with_its_key_its_kind_and_its_range() {
    for (text, expected) in [
        (
            "port = 70000",
            "port: expected a number from 0 to 65535, found 70000",
        ),
        (
            "port = -1",
            "port: expected a number from 0 to 65535, found -1",
        ),
        (
            "port = \"seven\"",
            "port: expected a number from 0 to 65535, found \"seven\"",
        ),
        (
            "port = 1.5",
            "port: expected a number from 0 to 65535, found 1.5",
        ),
        (
            "port = []",
            "port: expected a number from 0 to 65535, found a list",
        ),
        (
            "port = true",
            "port: expected a number from 0 to 65535, found true",
        ),
        ("most = -1", "most: expected a number, 0 or more, found -1"),
        (
            "one-in = 0",
            "one-in: expected a number from 1 to 4294967295, found 0",
        ),
        (
            "quiet = \"perhaps\"",
            "quiet: expected true or false, found \"perhaps\"",
        ),
        ("quiet = 2", "quiet: expected true or false, found 2"),
        (
            "dial-timeout = 30",
            "dial-timeout: expected a duration with its unit",
        ),
        ("file = []", "file: expected a path, found a list"),
        (
            "style = \"xml\"",
            "style: expected text or json, found \"xml\"",
        ),
        (
            "instance = \"a\"",
            "instance: expected a list, as [\"a\", \"b\"], found \"a\"",
        ),
        ("instance = [1]", "instance: expected text, found a list"),
    ] {
        let found = load_named("s.toml", &format!("{text}\n"))
            .unwrap_err()
            .to_string();
        assert!(found.contains(expected), "{text}: {found}");
    }
    let secret = "0123456789".repeat(5);
    let found = load_named("s.toml", &format!("quiet = \"{secret}\"\n")).unwrap_err();
    assert!(!found.to_string().contains(&secret), "{found}");
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
