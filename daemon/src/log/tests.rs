use std::io;
use std::sync::{Arc, Mutex};

use super::*;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `body` logs under a level, as JSON lines.
fn logged(level: Option<&str>, body: impl FnOnce()) -> Vec<serde_json::Value> {
    let captured = Captured::default();
    let writer = captured.clone();
    let layer = fmt::layer()
        .with_writer(move || writer.clone())
        .fmt_fields(format::JsonFields::new())
        .event_format(json::Json);
    let subscriber = tracing_subscriber::registry()
        .with(filter(level).unwrap())
        .with(layer);
    tracing::subscriber::with_default(subscriber, body);
    let bytes = captured.0.lock().unwrap().clone();
    let text = String::from_utf8(bytes).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn one_of_each() {
    tracing::info!("started");
    tracing::info!(target: SESSION, bytes = 7, "session ended");
    tracing::warn!(target: SESSION, "session refused");
    tracing::debug!("a step");
}

fn messages(level: Option<&str>) -> Vec<String> {
    logged(level, one_of_each)
        .iter()
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn by_default_a_session_that_ends_well_leaves_no_line() {
    assert_eq!(messages(None), ["started", "session refused"]);
}

#[test]
fn sessions_can_be_asked_for_and_levels_can_be_chosen() {
    let with_sessions = ["started", "session ended", "session refused"];
    assert_eq!(messages(Some("session=info")), with_sessions);
    assert_eq!(messages(Some("warn")), ["session refused"]);
    assert_eq!(messages(Some("debug")).len(), 4);
    assert!(messages(Some("error")).is_empty());
    assert!(filter(Some("loud=very")).is_err());
}

#[test]
fn another_level_takes_effect_at_once_and_a_wrong_one_changes_nothing() {
    let captured = Captured::default();
    let writer = captured.clone();
    let (level, filter) = LogLevel::new(None).unwrap();
    let layer = fmt::layer()
        .with_writer(move || writer.clone())
        .fmt_fields(format::JsonFields::new())
        .event_format(json::Json);
    let subscriber = tracing_subscriber::registry().with(filter).with(layer);
    let lines = || {
        one_of_each();
        let bytes = std::mem::take(&mut *captured.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().count()
    };
    tracing::subscriber::with_default(subscriber, || {
        assert_eq!((lines(), level.current().as_str()), (2, "default"));
        level.set(Some("debug")).unwrap();
        assert_eq!((lines(), level.current().as_str()), (4, "debug"));
        assert!(level.set(Some("loud=very")).is_err());
        assert_eq!((lines(), level.current().as_str()), (4, "debug"));
        level.set(Some("error")).unwrap();
        assert_eq!(lines(), 0);
        level.set(None).unwrap();
        assert_eq!(lines(), 2);
    });
}

#[test]
fn a_json_line_has_googles_names_and_the_fields_of_event_and_span() {
    let lines = logged(None, || {
        let span = tracing::info_span!("session", id = "s1", port = 3307);
        let _entered = span.enter();
        tracing::warn!(bytes = 7_u64, slow = true, "late");
    });
    let line = &lines[0];
    assert_eq!(line["severity"], "WARNING");
    assert_eq!(line["message"], "late");
    assert_eq!((&line["id"], &line["port"]), (&"s1".into(), &3307.into()));
    assert_eq!((&line["bytes"], &line["slow"]), (&7.into(), &true.into()));
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn colours_are_left_out_where_the_environment_says_so() {
    for (name, value, expected) in [
        ("TERM", "xterm", true),
        ("TERM", "dumb", false),
        ("NO_COLOR", "1", false),
        ("NO_COLOR", "0", false),
        ("NO_COLOR", "", true),
    ] {
        let variables = [(name.to_owned(), value.to_owned())];
        let environment = variables.into_iter().collect();
        assert_eq!(wants_colours(&environment), expected, "{name}={value}");
    }
}
