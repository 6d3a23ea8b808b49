//! The certificate of the operator's own that applications are shown.

use std::path::PathBuf;
use std::time::Duration;

use proxy_server::Settings;
use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::ca::{Ca, name};
use crate::database::{Database, Manner};
use crate::direct::direct;
use crate::mysql::Tls;
use crate::running::{Agent, settings};

/// A certificate that the agent never asked the CA for, in two files.
fn files(ca: &Ca, folder: &tempfile::TempDir) -> (String, PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let hour = Duration::from_secs(3600);
    let issuer = &ca.authorities("i").1;
    let pem = issuer.server(&name("r", "i"), &[], &key.public_key_pem(), hour);
    let paths = ["own.pem", "own.key"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], &pem).unwrap();
    std::fs::write(&paths[1], key.serialize_pem()).unwrap();
    let [certificate, key] = paths;
    (pem, certificate, key)
}

#[tokio::test]
async fn the_operators_certificate_is_shown_instead_of_the_cas_as_it_stands_in_its_file() {
    let (ca, database) = (Ca::start().await, Database::start(Manner::Mysql).await);
    let folder = tempfile::tempdir().unwrap();
    let (pem, certificate, key) = files(&ca, &folder);
    let behind_the_name = format!(
        "i?local-certificate={}&local-key={}",
        certificate.display(),
        key.display()
    );
    for said in [
        Settings {
            local_certificate: Some(certificate),
            local_key: Some(key),
            ..direct(&ca, &database.place)
        },
        Settings {
            instance: vec![behind_the_name],
            ..direct(&ca, &database.place)
        },
    ] {
        let agent = Agent::start(said).await;
        let (stream, (_, answer)) = Tls::plain(&ca).log_in(&agent, "app").await;
        assert_eq!(answer[0], 0);
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        let own = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        assert_eq!(shown, [own]);
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_or_with_anothers_stops_the_agent_at_its_start() {
    let (ca, folder) = (Ca::start().await, tempfile::tempdir().unwrap());
    let (_, certificate, _) = files(&ca, &folder);
    let alone = Settings {
        local_certificate: Some(certificate.clone()),
        ..settings(&ca, "tcp:127.0.0.1:1")
    };
    let complaints = proxy_server::Config::new(alone, false).unwrap_err();
    assert!(complaints.to_string().contains("local-key"), "{complaints}");
    let other = folder.path().join("other.key");
    std::fs::write(&other, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let mixed = Settings {
        local_certificate: Some(certificate),
        local_key: Some(other),
        ..settings(&ca, "tcp:127.0.0.1:1")
    };
    let config = proxy_server::Config::new(mixed, false).unwrap();
    let Err(error) = proxy_server::prepare(&config) else {
        panic!("it starts with another key's certificate")
    };
    assert!(error.to_string().contains("own.pem"), "{error}");
}
