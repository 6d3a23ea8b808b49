//! Key files: what is taken, and what is said about the others.

use std::io::Write as _;

use super::fake::{google_key_file, our_key_file, rsa};
use crate::authority::{Credentials, CredentialsError};

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

#[test]
fn what_is_not_a_key_file_is_refused_with_what_to_do() {
    assert!(refusal("  \n").contains("is empty"));
    assert!(refusal("-----BEGIN CERTIFICATE-----").contains("is not JSON (line 1"));
    assert!(refusal("/etc/key.json").contains("is not JSON"));
    assert!(refusal("{}").contains("has no type"));
    let external = refusal(r#"{"type":"external_account"}"#);
    assert!(external.contains("external_account") && external.contains("service_account"));
    assert!(
        refusal(r#"{"type":"service_account","private_key":7}"#).contains("members of a key file")
    );
}

#[test]
fn a_missing_member_and_a_key_that_does_not_sign_are_named() {
    for member in ["private_key", "client_email"] {
        assert!(
            without(member).contains("members of a key file"),
            "{member}"
        );
    }
    assert!(without("token_uri").contains("has no token_uri"));
    for bad in ["x".to_owned(), rsa().private_pem.replace('M', "N")] {
        let mut file = our_key_file("https://ca.example");
        file["private_key"] = bad.into();
        assert!(refusal(&file.to_string()).contains("private_key that is not an RSA key"));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = Credentials::read("/nonexistent/key.json".as_ref());
    let text = missing.err().expect("read").to_string();
    assert!(
        text.contains("/nonexistent/key.json") && text.contains("check the path"),
        "{text}"
    );
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[0xFF, 0xFE]).unwrap();
    let binary = Credentials::read(file.path());
    assert!(matches!(binary, Err(CredentialsError::Unreadable { .. })));
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
