use fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::tests::pki::{Pki, write};

const HOUR: Seconds = 3600;
const DAY: Seconds = 86_400;

fn opened(paths: &CertificateFiles) -> std::result::Result<Files, String> {
    Files::open(paths, Clock::system()).map_err(|error| error.chain())
}

fn refusal(paths: &CertificateFiles) -> String {
    opened(paths).err().expect("it was taken")
}

#[test]
fn a_certificate_with_its_chain_and_key_is_taken() {
    let (folder, pki) = (tempfile::tempdir().unwrap(), Pki::new());
    let issued = pki.issue(-HOUR, 30 * DAY);
    for certificate in [
        issued.certificate.clone(),
        issued.chain(),
        format!("{}{}", issued.chain(), pki.root_pem()),
        format!("a comment\n{}\n\n", issued.chain()),
        format!("{}{}", issued.key, issued.chain()),
    ] {
        let files = opened(&write(folder.path(), &certificate, &issued.key)).unwrap();
        assert!(files.material().is_for("localhost"));
    }
}

#[test]
fn what_cannot_be_served_is_refused_with_the_file_and_the_reason() {
    let (folder, pki) = (tempfile::tempdir().unwrap(), Pki::new());
    let (good, other) = (pki.issue(-HOUR, DAY), pki.issue(-HOUR, DAY));
    let (past, future) = (pki.issue(-DAY, -HOUR), pki.issue(HOUR, DAY));
    let passphrase =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let garbage = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let cases = [
        (good.chain(), other.key.as_str(), "tls.crt", "another key"),
        (past.chain(), &past.key, "tls.crt", "expired at"),
        (future.chain(), &future.key, "tls.crt", "not valid yet"),
        (String::new(), &good.key, "tls.crt", "no certificate"),
        ("no PEM".to_owned(), &good.key, "tls.crt", "no certificate"),
        (garbage.to_owned(), &good.key, "tls.crt", "does not parse"),
        (
            format!("{}{garbage}", good.certificate),
            &good.key,
            "tls.crt",
            "certificate 2",
        ),
        (
            format!("{}{}", good.issuer, good.certificate),
            &good.key,
            "tls.crt",
            "certificate 2",
        ),
        (
            format!("{}{}", good.certificate, pki.root_pem()),
            &good.key,
            "tls.crt",
            "certificate 2",
        ),
        (good.chain(), "", "tls.key", "private key"),
        (good.chain(), "no PEM", "tls.key", "private key"),
        (
            good.chain(),
            good.certificate.as_str(),
            "tls.key",
            "private key",
        ),
        (good.chain(), passphrase, "tls.key", "without a passphrase"),
    ];
    for (certificate, key, file, reason) in cases {
        let told = refusal(&write(folder.path(), &certificate, key));
        assert!(
            told.contains(file) && told.contains(reason),
            "{reason}: {told}"
        );
        assert!(!told.contains("BEGIN"), "{told}");
    }
}

#[test]
fn a_key_that_others_may_read_and_what_is_no_file_are_refused() {
    let (folder, pki) = (tempfile::tempdir().unwrap(), Pki::new());
    let paths = pki.issue(-HOUR, DAY).write(folder.path());
    for mode in [0o644, 0o604, 0o660, 0o666, 0o607] {
        fs::set_permissions(&paths.key, Permissions::from_mode(mode)).unwrap();
        let told = refusal(&paths);
        assert!(
            told.contains("open to others") && told.contains("chmod 600"),
            "{mode:o}: {told}"
        );
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&paths.key, Permissions::from_mode(mode)).unwrap();
        assert!(opened(&paths).is_ok(), "{mode:o}");
    }
    let missing = CertificateFiles {
        key: folder.path().join("none"),
        ..paths.clone()
    };
    assert!(refusal(&missing).contains("cannot read"));
    let directory = CertificateFiles {
        certificate: folder.path().to_owned(),
        ..paths.clone()
    };
    assert!(refusal(&directory).contains("is not a file"));
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    let pipe = CertificateFiles { key: pipe, ..paths };
    assert!(refusal(&pipe).contains("is not a file"));
}

#[test]
fn changed_files_are_taken_into_use_and_broken_ones_are_not() {
    let (folder, pki) = (tempfile::tempdir().unwrap(), Pki::new());
    let (first, second) = (pki.issue(-HOUR, DAY), pki.issue(-HOUR, DAY));
    let files = opened(&first.write(folder.path())).unwrap();
    let serial = || files.material().serial_hex();
    let before = serial();
    // The certificate is replaced, its key not yet.
    write(folder.path(), &second.chain(), &first.key);
    for _ in 0..2 * PATIENCE {
        files.reload();
        assert_eq!(serial(), before);
    }
    second.write(folder.path());
    files.reload();
    let after = serial();
    assert_ne!(after, before);
    fs::remove_file(folder.path().join("tls.key")).unwrap();
    files.reload();
    assert_eq!(serial(), after);
    // Rewritten in its place, of the same length.
    let paths = first.write(folder.path());
    files.reload();
    assert_eq!(serial(), before);
    fs::write(&paths.certificate, second.chain()).unwrap();
    fs::write(&paths.key, &second.key).unwrap();
    files.reload();
    assert_eq!(serial(), after);
}

#[test]
fn an_operator_is_told_of_the_end_once_a_week_ahead_and_once_when_it_has_come() {
    assert_eq!(Age::of(100 * DAY, 93 * DAY), Age::Good);
    assert_eq!(Age::of(100 * DAY, 93 * DAY + 1), Age::EndsSoon);
    assert_eq!(Age::of(100 * DAY, 100 * DAY), Age::EndsSoon);
    assert_eq!(Age::of(100 * DAY, 100 * DAY + 1), Age::Expired);
}
