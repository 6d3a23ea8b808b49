//! Key files: what is taken, and what is said about the others.

use std::io::Write as _;

use super::fake::{google_key_file, our_key_file, rsa};
use crate::authority::Credentials;

fn refusal(text: &str) -> String {
    Credentials::parse(text)
        .err()
        .expect("accepted")
        .to_string()
}

fn without(member: &str) -> String {
    let mut file = our_key_file("https://ca.example");
    file.as_object_mut().unwrap().remove(member);
    refusal(&file.to_string())
}

#[test]
fn a_key_file_tells_account_project_endpoint_and_root() {
    let mut file = our_key_file("https://ca.example");
    file["csql_root_certificate"] = "PEM".into();
    let credentials = Credentials::parse(&file.to_string()).unwrap();
    assert_eq!(credentials.account(), Some("app@demo.iam.example"));
    assert_eq!(credentials.project(), Some("demo"));
    assert_eq!(credentials.endpoint(), "https://ca.example");
    assert_eq!(credentials.root_pem().as_deref(), Some("PEM"));
}

#[test]
fn a_key_file_of_googles_means_googles_endpoint_of_its_universe() {
    let mut file = google_key_file("https://oauth.example");
    let endpoint =
        |file: &serde_json::Value| Credentials::parse(&file.to_string()).unwrap().endpoint();
    assert_eq!(endpoint(&file), "https://sqladmin.googleapis.com");
    file["universe_domain"] = "x.example".into();
    assert_eq!(endpoint(&file), "https://sqladmin.x.example");
}

#[test]
fn a_key_file_cut_off_anywhere_is_refused_and_none_of_it_is_shown() {
    let text = our_key_file("https://ca.example").to_string();
    for cut in 1..text.len() {
        let shown = refusal(&text[..cut]);
        assert!(shown.contains("is cut off at line"), "{cut}: {shown}");
        assert!(!shown.contains("PRIVATE"), "{shown}");
    }
}

/// The content of a key file in the forms in which people have it.
fn forms() -> Vec<(&'static str, Vec<u8>)> {
    let value = our_key_file("https://ca.example");
    let all = [encodings(&value), wrappings(&value), line_breaks(&value)];
    all.into_iter().flatten().collect()
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

fn bytes<const N: usize>(forms: [(&'static str, String); N]) -> Vec<(&'static str, Vec<u8>)> {
    forms.map(|(form, text)| (form, text.into_bytes())).into()
}

fn encodings(value: &serde_json::Value) -> Vec<(&'static str, Vec<u8>)> {
    let pretty = format!("{value:#}");
    let (little, big) = (
        utf16(&pretty, u16::to_le_bytes),
        utf16(&pretty, u16::to_be_bytes),
    );
    let mark = |mark: [u8; 2], text: &[u8]| [&mark, text].concat();
    vec![
        ("as it is", pretty.clone().into_bytes()),
        (
            "UTF-8 with BOM",
            format!("\u{FEFF}{pretty}\r\n").into_bytes(),
        ),
        ("UTF-16 LE with BOM", mark([0xFF, 0xFE], &little)),
        ("UTF-16 BE with BOM", mark([0xFE, 0xFF], &big)),
        ("UTF-16 LE", little),
        ("UTF-16 BE", big),
    ]
}

fn wrappings(value: &serde_json::Value) -> Vec<(&'static str, Vec<u8>)> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
    let (compact, pretty) = (value.to_string(), format!("{value:#}"));
    let encoded = STANDARD.encode(&pretty);
    let lines = encoded.as_bytes().chunks(76).map(String::from_utf8_lossy);
    let lines: Vec<_> = lines.collect();
    let escaped = compact.replace('\\', "\\\\").replace('"', "\\\"");
    let wide = STANDARD.encode(utf16(&pretty, u16::to_le_bytes));
    bytes([
        ("single quotes", format!("'{compact}'\n")),
        ("double quotes", format!("\"{pretty}\"")),
        (
            "a JSON string",
            serde_json::Value::from(pretty.clone()).to_string(),
        ),
        ("quotes escaped", escaped),
        ("base64", encoded.clone()),
        ("base64 in lines", lines.join("\n")),
        ("base64 in quotes", format!("\"{encoded}\"\n")),
        ("base64 without padding", STANDARD_NO_PAD.encode(&compact)),
        ("base64 for URLs", URL_SAFE.encode(&pretty)),
        ("base64 twice", STANDARD.encode(&encoded)),
        ("base64 of UTF-16", wide),
        (
            "a data URL",
            format!("data:application/json;base64,{encoded}"),
        ),
    ])
}

fn line_breaks(value: &serde_json::Value) -> Vec<(&'static str, Vec<u8>)> {
    let (compact, pretty) = (value.to_string(), format!("{value:#}"));
    let key_with = |line_break: &str| {
        let mut value = value.clone();
        let pem = value["private_key"].as_str().unwrap();
        value["private_key"] = pem.trim_end().replace('\n', line_break).into();
        value.to_string()
    };
    bytes([
        ("CRLF", pretty.replace('\n', "\r\n")),
        ("blanks around", format!("\n\r\n \t{pretty}\n\n")),
        ("real ones in the key", pretty.replace("\\n", "\n")),
        ("real CRLF in the key", pretty.replace("\\n", "\r\n")),
        ("escapes between members", pretty.replace('\n', "\\n")),
        ("escaped twice", compact.replace("\\n", "\\\\n")),
        ("escaped three times", compact.replace("\\n", "\\\\\\\\n")),
        ("blanks in the key", key_with(" ")),
        ("none in the key", key_with("")),
    ])
}

#[test]
fn a_key_file_is_read_in_every_form_that_has_one_meaning() {
    for (form, content) in forms() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&content).unwrap();
        let read = Credentials::read(file.path()).map_err(|error| error.to_string());
        let account = read
            .as_ref()
            .map(Credentials::account)
            .map_err(String::as_str);
        assert_eq!(account, Ok(Some("app@demo.iam.example")), "{form}");
        if let Ok(text) = std::str::from_utf8(&content) {
            assert!(Credentials::parse(text).is_ok(), "{form}");
        }
    }
}

#[test]
fn a_root_in_a_key_file_has_its_line_breaks_however_they_were_written() {
    let root = "-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n";
    for (line_break, copies) in [("\n", 1), ("\\n", 2), (" ", 2), ("\r\n", 1), ("", 1)] {
        let mut file = our_key_file("https://ca.example");
        file["csql_root_certificate"] = root.repeat(copies).replace('\n', line_break).into();
        let credentials = Credentials::parse(&file.to_string()).unwrap();
        assert_eq!(
            credentials.root_pem(),
            Some(root.repeat(copies)),
            "{line_break:?}"
        );
    }
}

/// Content that is no key file, and what is said of it.
const FOREIGN: [(&str, &str); 34] = [
    ("  \n", "is empty"),
    ("\u{FEFF}", "is empty"),
    ("\"\"", "not JSON"),
    (
        "-----BEGIN CERTIFICATE-----\ncanary0123456789",
        "is a certificate in PEM",
    ),
    (
        "-----BEGIN PRIVATE KEY-----\ncanary0123456789",
        "is a private key in PEM alone",
    ),
    (
        "-----BEGIN RSA PRIVATE KEY-----",
        "is a private key in PEM alone",
    ),
    ("AIzacanary0123456789", "is an API key"),
    (
        "ya29.canary0123456789",
        "is a token; cloudsql-proxy takes it with --token",
    ),
    (
        "eyJhbGciOiJSUzI1NiJ9.canary0123456789.canary0123456789",
        "is a token",
    ),
    (
        "/etc/key.json",
        "is a path where the content belongs; give it with --credentials-file",
    ),
    ("~/keys/app", "is a path"),
    ("key.json\n", "is a path"),
    ("${KEY}", "placeholder"),
    ("$(cat canary0123456789)", "placeholder"),
    ("{{ .Values.key }}", "placeholder"),
    ("<html>canary0123456789", "HTML"),
    ("[]", "is a JSON list"),
    (
        "type: service_account\nprivate_key: canary0123456789",
        "is not JSON; give the .json key file",
    ),
    ("canary0123456789", "is not JSON"),
    ("{}", "has no type"),
    ("{\"type\":\"\"}", "has no type"),
    ("{\"type\":7}", "members of a key file"),
    (
        r#"{"type":"external_account"}"#,
        "is a workload identity file",
    ),
    (
        r#"{"type":"impersonated_service_account"}"#,
        "is an impersonation",
    ),
    (
        r#"{"type":"gdch_service_account"}"#,
        "has type \"gdch_service_account\"",
    ),
    (
        r#"{"type":"Canary0123456789canary0123456789"}"#,
        "not a plain word",
    ),
    (
        r#"{"type":"authorized_user","client_secret":"canary0123456789"}"#,
        "gcloud auth application-default login",
    ),
    (
        r#"{"installed":{"client_secret":"canary0123456789"}}"#,
        "the secret of an OAuth client",
    ),
    (r#"{"web":{}}"#, "the secret of an OAuth client"),
    (r#"{"access_token":"canary0123456789"}"#, "--token"),
    (
        r#"{"kind":"Secret","data":{"key.json":"canary0123456789"}}"#,
        "a Kubernetes object",
    ),
    (
        r#"{"type":"service_account","private_key":7}"#,
        "members of a key file",
    ),
    (
        r#"{"type":"service_account"} canary0123456789"#,
        "is not JSON (line 1, column 28)",
    ),
    (r#"{"type":"service_account",}"#, "is not JSON (line 1"),
];

#[test]
fn an_escaped_line_break_takes_no_letter_of_the_line_behind_it() {
    let root = "-----BEGIN CERTIFICATE-----\nrnrn\n-----END CERTIFICATE-----\n";
    for line_break in ["\\n", "\\\\n", "\\\\\\n", "\\r\\n", "\\\\r\\\\n"] {
        let mut file = our_key_file("https://ca.example");
        file["csql_root_certificate"] = root.replace('\n', line_break).into();
        let credentials = Credentials::parse(&file.to_string()).unwrap();
        assert_eq!(
            credentials.root_pem().as_deref(),
            Some(root),
            "{line_break}"
        );
    }
}

#[test]
fn what_is_not_a_key_file_is_named_with_its_own_remedy() {
    const CANARY: &str = "canary0123456789";
    for (content, expected) in FOREIGN {
        let found = refusal(content);
        assert!(found.contains(expected), "{content}: {found}");
        assert!(!found.contains(CANARY), "{content}: {found}");
    }
}

#[test]
fn a_file_of_another_kind_is_named_with_its_own_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &std::path::Path| {
        let read = Credentials::read(path).err().expect("read");
        read.to_string()
    };
    assert!(refused(folder.path()).contains("is a directory"));
    let path = folder.path().join("key");
    for (content, expected) in [
        (
            &[0x30, 0x82, 0x0A, 0x10, 0xFF][..],
            "is binary (a P12 key, perhaps)",
        ),
        (&[0xFF, 0xFE, 0x7B][..], "is binary"),
        (&[b' '; 300 * 1024][..], "is longer than 256 KiB"),
        (b"", "is empty"),
    ] {
        std::fs::write(&path, content).unwrap();
        let found = refused(&path);
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn the_content_of_a_key_file_in_place_of_its_path_is_never_shown() {
    for (form, content) in forms() {
        let Ok(content) = String::from_utf8(content) else {
            continue;
        };
        let path = std::path::Path::new(&content);
        let found = Credentials::read(path).err().expect("read").to_string();
        assert!(found.contains("not its path"), "{form}: {found}");
        assert_eq!(
            crate::authority::credentials::shown(path),
            "(not a path)",
            "{form}"
        );
    }
}

#[test]
fn a_missing_member_and_a_key_that_does_not_sign_are_named() {
    for member in ["private_key", "client_email"] {
        let found = without(member);
        assert!(found.contains(&format!("has no {member}")), "{found}");
    }
    assert!(without("token_uri").contains("has no token_uri"));
    for bad in ["x".to_owned(), rsa().private_pem.replace('M', "N")] {
        let mut file = our_key_file("https://ca.example");
        file["private_key"] = bad.into();
        assert!(refusal(&file.to_string()).contains("private_key that is not an RSA key"));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_the_kernels_answer() {
    let missing = Credentials::read("/nonexistent/key.json".as_ref());
    let text = missing.err().expect("read").to_string();
    assert!(
        text.contains("No such file") && text.contains("check the path"),
        "{text}"
    );
}

#[test]
fn a_key_file_that_others_may_read_is_refused_where_it_must_be_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let content = our_key_file("https://ca.example").to_string();
    file.write_all(content.as_bytes()).unwrap();
    let with_mode = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(file.path(), mode).unwrap();
        Credentials::read_private(file.path()).err()
    };
    for open in [0o644, 0o604, 0o666] {
        let text = with_mode(open).expect("refused").to_string();
        let path = file.path().display();
        assert!(text.contains(&format!("chmod 600 {path}")), "{text}");
        assert!(text.contains(&format!("mode {open:o}")), "{text}");
        assert!(Credentials::read(file.path()).is_ok());
    }
    for private in [0o600, 0o400, 0o440] {
        assert!(with_mode(private).is_none(), "{private:o}");
    }
}

#[test]
fn a_key_file_through_a_pipe_is_private() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let content = our_key_file("https://ca.example").to_string();
    writer.write_all(content.as_bytes()).unwrap();
    drop(writer);
    let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
    assert!(Credentials::read_private(path.as_ref()).is_ok());
}
