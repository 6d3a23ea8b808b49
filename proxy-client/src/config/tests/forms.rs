//! Values in the forms in which people have them, from every source.

use daemon::settings::{Complaints, parse_again};

use super::*;

/// Reads arguments as the program does: through [`parse_again`], which takes what surrounds a value away.
fn read(flags: &[String], variables: &[(&str, &str)]) -> Result<Config, Complaints> {
    let line = std::iter::once("cloudsql-proxy".to_owned()).chain(flags.iter().cloned());
    let settings: Settings = parse_again(line.map(std::ffi::OsString::from))?;
    let environment = environment(variables);
    Config::new(settings.load(&environment)?, &environment)
}

/// Its name, the flag, and variables.
type Source<'a> = (&'a str, String, &'a [(&'a str, &'a str)]);

/// A key file's content in some of the forms that `transport` knows; all of them are tested there.
fn forms() -> Vec<(&'static str, String)> {
    use base64::Engine as _;
    let plain = key_file();
    vec![
        ("as it is", plain.clone()),
        ("BOM and CRLF", format!("\u{FEFF}{plain}\r\n")),
        ("single quotes", format!("'{plain}'\n")),
        ("double quotes", format!("\"{plain}\"")),
        (
            "a JSON string",
            serde_json::Value::from(plain.clone()).to_string(),
        ),
        ("real line breaks", plain.replace("\\n", "\n")),
        ("escaped twice", plain.replace("\\n", "\\\\n")),
        (
            "base64",
            base64::engine::general_purpose::STANDARD.encode(&plain),
        ),
    ]
}

#[test]
fn a_key_is_read_in_every_form_from_every_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    let named = path.to_str().unwrap();
    let settings = folder.path().join("settings.json");
    for (form, content) in forms() {
        std::fs::write(&path, &content).unwrap();
        let file = serde_json::json!({ "json-credentials": content });
        std::fs::write(&settings, file.to_string()).unwrap();
        let sources: [Source<'_>; 6] = [
            ("file", format!("--credentials-file={named}"), &[]),
            (
                "file, blanks",
                format!("--credentials-file= '{named}'\n"),
                &[],
            ),
            ("JSON", format!("--json-credentials={content}"), &[]),
            (
                "settings",
                format!("--config-file={}", settings.display()),
                &[],
            ),
            (
                "variable",
                "--quiet".to_owned(),
                &[("GOOGLE_APPLICATION_CREDENTIALS", named)],
            ),
            (
                "variable, line break",
                "--quiet".to_owned(),
                &[("GOOGLE_APPLICATION_CREDENTIALS", &format!("{named}\n"))],
            ),
        ];
        for (source, flag, variables) in sources {
            let config = read(&["db1".to_owned(), flag], variables);
            let config = config.map_err(|wrong| wrong.to_string());
            let account = config
                .as_ref()
                .map(|config| config.authority.credentials.account());
            assert_eq!(
                account,
                Ok(Some("app@demo.iam.example")),
                "{form} from {source}"
            );
        }
    }
}

#[test]
fn a_wrong_key_is_the_only_complaint_and_none_of_it_is_shown() {
    const CANARY: &str = "canary0123456789";
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().to_str().unwrap();
    let content = format!("{{\"type\":\"service_account\",\"private_key\":\"{CANARY}\"}}");
    for (flag, expected) in [
        (format!("--credentials-file={directory}"), "is a directory"),
        (format!("--credentials-file={content}"), "not its path"),
        (
            format!("--json-credentials={content}"),
            "has no client_email",
        ),
        (
            "--json-credentials=/etc/key.json".to_owned(),
            "give it with --credentials-file",
        ),
        (format!("--json-credentials=AIza{CANARY}"), "is an API key"),
        ("--json-credentials= ".to_owned(), "is empty"),
        (format!("--token=Bearer {CANARY}"), "without \"Bearer\""),
        (format!("--token={CANARY}\n{CANARY}"), "a line break"),
        ("--token=/run/secrets/token".to_owned(), "is a path"),
        (format!("--token={content}"), "no token"),
    ] {
        let found = read(&["db1".to_owned(), flag.clone()], &[])
            .err()
            .expect("accepted");
        assert_eq!(found.iter().count(), 1, "{flag}: {found}");
        let found = found.to_string();
        assert!(found.contains(expected), "{flag}: {found}");
        assert!(!found.contains(CANARY), "{flag}: {found}");
    }
}

#[test]
fn blanks_line_breaks_and_quotes_around_a_value_are_no_part_of_it() {
    for around in ["{}", "{}\n", " {}\r\n", "\"{}\"", "'{}'\n"] {
        let flag = |name: &str, value: &str| format!("--{name}={}", around.replace("{}", value));
        let flags = [
            flag("instance", "p:r:a?port=5000"),
            flag("token", "abc"),
            flag("address", "127.0.0.2"),
            flag("tunnel-port", "4307"),
            flag("connect-to", "agent.example:3307"),
            flag("dial-timeout", "5s"),
            flag("lazy-refresh", "yes"),
            flag("sqladmin-api-endpoint", "https://ca.example"),
        ];
        let config = read(&flags, &[]).map_err(|wrong| wrong.to_string());
        let config = config.unwrap_or_else(|wrong| panic!("{around:?}: {wrong}"));
        let [instance] = config.instances.as_slice() else {
            panic!("{around:?}: one instance");
        };
        assert_eq!(instance.wanted.to_string(), "p:r:a", "{around:?}");
        assert_eq!(instance.tunnel_port, 4307, "{around:?}");
        assert_eq!(config.refresh, Refresh::Lazy, "{around:?}");
        let endpoint = config.authority.endpoint.as_deref();
        assert_eq!(endpoint, Some("https://ca.example"), "{around:?}");
        let variable = around.replace("{}", "p:r:b, p:r:c");
        let config = read(&[flag("token", "t")], &[("CSQL_PROXY_INSTANCE", &variable)]).unwrap();
        let names: Vec<String> = config
            .instances
            .iter()
            .map(|one| one.wanted.to_string())
            .collect();
        assert_eq!(names, ["p:r:b", "p:r:c"], "{around:?}");
    }
}
