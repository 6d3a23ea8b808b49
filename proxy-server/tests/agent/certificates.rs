//! Whom the agent does not talk to at all: each gets the TLS alert that says why, and the database hears of none.

use std::sync::Arc;
use std::time::Duration;

use proto::Code;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use time::OffsetDateTime;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use transport::tls::{Material, Offer};

use crate::ca::{APP, Ca, identity, name};
use crate::client::Client;
use crate::database::{Database, Manner};
use crate::running::{Agent, PATIENCE, eventually, world};

async fn alert(ca: &Ca, agent: &Agent, material: &Material) -> &'static str {
    let client = Client::with(ca, agent, Offer::Ours, "i", material);
    client.alert().await
}

fn changed(ca: &Ca, change: impl FnOnce(&mut CertificateParams)) -> Material {
    ca.authorities("i").0.client(&identity("i", APP), change)
}

#[tokio::test]
async fn every_certificate_that_is_not_exactly_right_is_refused_with_its_alert() {
    let database = Database::start(Manner::Echo).await;
    let (ca, agent) = world(&database.place).await;
    let past = OffsetDateTime::now_utc() - Duration::from_secs(60);
    let rows = [
        ("certificate_expired", changed(&ca, |p| p.not_after = past)),
        (
            "another instance's CA",
            ca.authorities("j").0.client(&identity("i", APP), |_| {}),
        ),
        (
            "the server CA",
            ca.authorities("i").1.client(&identity("i", APP), |_| {}),
        ),
        (
            "another instance",
            ca.authorities("i").0.client(&identity("j", APP), |_| {}),
        ),
        (
            "no purpose",
            changed(&ca, |p| p.extended_key_usages.clear()),
        ),
        (
            "a server's purpose",
            changed(&ca, |p| {
                p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
        ),
        ("no identity", changed(&ca, |p| p.subject_alt_names.clear())),
        (
            "two identities",
            changed(&ca, |p| {
                let other = identity("i", "b@p.iam.gserviceaccount.com");
                p.subject_alt_names
                    .push(SanType::URI(other.as_str().try_into().unwrap()));
            }),
        ),
    ];
    for (what, material) in &rows {
        let alert = alert(&ca, &agent, material).await;
        let expected: &[&str] = match *what {
            "certificate_expired" => &["certificate_expired"],
            "another instance's CA" | "the server CA" => &["unknown_ca"],
            _ => &[
                "bad_certificate",
                "unsupported_certificate",
                "access_denied",
                "unknown_ca",
                "certificate_unknown",
            ],
        };
        assert!(expected.contains(&alert), "{what}: {alert}");
    }
    assert_eq!(database.seen(), 0);
    assert_eq!(
        agent
            .metric("csql_server_sessions_open{listener=\"tunnel\"}")
            .await,
        0
    );
    assert!(Client::of(&ca, &agent, Offer::Ours).open().await.is_ok());
}

/// A client without a certificate, of a version.
fn raw(ca: &Ca, version: &'static rustls::SupportedProtocolVersion) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let pem = ca.authorities("i").1.pem.clone();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(transport::tls::provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[tokio::test]
async fn no_certificate_and_an_old_version_are_refused() {
    let database = Database::start(Manner::Echo).await;
    let (ca, agent) = world(&database.place).await;
    let name = ServerName::try_from(name("r", "i").dns_name()).unwrap();
    for (version, expected) in [
        (&rustls::version::TLS13, "CertificateRequired"),
        (&rustls::version::TLS12, "ProtocolVersion"),
    ] {
        let connector = tokio_rustls::TlsConnector::from(raw(&ca, version));
        let socket = TcpStream::connect(agent.address).await.unwrap();
        let error = match connector.connect(name.clone(), socket).await {
            Ok(mut stream) => stream.read_u8().await.unwrap_err(),
            Err(error) => error,
        };
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(database.seen(), 0);
}

#[tokio::test]
async fn a_certificate_that_ends_between_handshake_and_frame_does_not_open_the_tunnel() {
    let database = Database::start(Manner::Echo).await;
    let (ca, agent) = world(&database.place).await;
    let end = OffsetDateTime::now_utc() + Duration::from_secs(2);
    let material = changed(&ca, |p| p.not_after = end);
    let client = Client::with(&ca, &agent, Offer::Ours, "i", &material);
    let (mut stream, _) = client.connect().await.unwrap();
    eventually(async || {
        (daemon::clock::now() > material.not_after() + Duration::from_millis(1)).then_some(())
    })
    .await;
    let bytes = proto::frame::encode(&client.hello()).unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes)
        .await
        .unwrap();
    let answer = crate::client::answer(&mut stream);
    let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap();
    let proto::frame::Answer::Refused(refusal) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(refusal.code, Code::CertificateRefused);
    assert_eq!(database.seen(), 0);
}
