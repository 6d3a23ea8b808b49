//! TLS to databases: whom it believes, and what it says of those it does not.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, SigningKey as _};
use rustls::{ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::pki::{Authority, HOUR, Hands, NOW, dns, server_params};
use crate::Clock;
use crate::tls::provider::provider;
use crate::tls::verify::parse;
use crate::tls::{
    CertificateProblem, DatabaseTls, DatabaseTrust, Fingerprint, PrivateKey, TlsError,
};

/// A database's certificates, its own first, and its key.
struct Database {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// As MySQL makes its own: a common name and nothing else.
pub(super) fn nameless() -> CertificateParams {
    let mut params = server_params();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "MySQL_Server");
    params.subject_alt_names = vec![];
    params.extended_key_usages = vec![];
    params.key_usages = vec![];
    params
}

impl Database {
    fn new(authority: &Authority, params: &CertificateParams) -> Self {
        let pair = KeyPair::generate().unwrap();
        let own = PrivateKey::from_pem(&pair.serialize_pem()).unwrap();
        Self {
            chain: vec![der(&authority.issue(params, &own))],
            key: pair.serialize_der(),
        }
    }

    /// Shakes hands with it, and exchanges a byte.
    async fn meet(
        &self,
        tls: &DatabaseTls,
        version: &'static SupportedProtocolVersion,
    ) -> Result<(), TlsError> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(
                rustls::sign::CertifiedKey::new(
                    self.chain.clone(),
                    rustls::crypto::aws_lc_rs::sign::any_supported_type(
                        &PrivateKeyDer::try_from(self.key.clone()).unwrap(),
                    )
                    .unwrap(),
                ),
            )));
        let (ours, theirs) = duplex(1 << 16);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = async {
            if let Ok(mut stream) = acceptor.accept(theirs).await {
                stream.write_all(b"!").await.unwrap();
                stream.shutdown().await.ok();
            }
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        let client = async {
            let mut stream = tls.connect(ours, deadline).await?;
            assert_eq!(stream.read_u8().await.unwrap(), b'!');
            Ok(())
        };
        let (met, ()) = tokio::join!(client, server);
        met
    }
}

pub(super) fn believing(trust: DatabaseTrust, name: Option<&str>) -> DatabaseTls {
    dated(trust, name, Hands::new().clock())
}

fn dated(trust: DatabaseTrust, name: Option<&str>, clock: Clock) -> DatabaseTls {
    DatabaseTls::new(
        trust,
        "db.example".into(),
        name.map(str::to_owned),
        None,
        clock,
    )
}

pub(super) fn authorities(authority: &Authority) -> DatabaseTrust {
    DatabaseTrust::authorities(&authority.pem).unwrap()
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

#[tokio::test]
async fn a_nameless_certificate_of_the_ca_is_believed_in_either_version_and_not_another_cas() {
    let (authority, other) = (Authority::new("ca"), Authority::new("ca"));
    let database = Database::new(&authority, &nameless());
    for version in VERSIONS {
        let tls = believing(authorities(&authority), None);
        database.meet(&tls, version).await.unwrap();
        let tls = believing(authorities(&other), None);
        let error = database.meet(&tls, version).await.unwrap_err();
        assert!(
            matches!(
                error,
                TlsError::ServerCertificate(CertificateProblem::UnknownIssuer)
            ),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_certificate_with_names_must_have_the_hosts_or_the_one_that_is_asked_for() {
    let authority = Authority::new("ca");
    let named = |name: &str| {
        let mut params = server_params();
        params.subject_alt_names = vec![dns(name)];
        Database::new(&authority, &params)
    };
    for (has, asked, good) in [
        ("db.example", None, true),
        ("other.example", None, false),
        ("other.example", Some("other.example"), true),
        ("db.example", Some("other.example"), false),
    ] {
        let tls = believing(authorities(&authority), asked);
        let met = named(has).meet(&tls, VERSIONS[1]).await;
        assert_eq!(met.is_ok(), good, "{has} {asked:?}: {met:?}");
    }
    // Without names the common name counts, when one is asked for.
    let nameless = Database::new(&authority, &nameless());
    for (asked, good) in [("mysql_server", true), ("MySQL_Serve", false)] {
        let tls = believing(authorities(&authority), Some(asked));
        let met = nameless.meet(&tls, VERSIONS[1]).await;
        assert_eq!(met.is_ok(), good, "{asked}: {met:?}");
    }
}

#[tokio::test]
async fn time_is_judged_unless_the_certificate_is_pinned() {
    let authority = Authority::new("ca");
    let database = Database::new(&authority, &nameless());
    let pinned = DatabaseTrust::Fingerprint(Fingerprint::of(&database.chain[0]));
    for (moment, problem) in [
        (NOW + 2 * HOUR, CertificateProblem::Expired),
        (NOW - HOUR, CertificateProblem::NotValidYet),
    ] {
        let hands = Hands::new();
        hands.set(moment);
        let tls = dated(authorities(&authority), None, hands.clock());
        match database.meet(&tls, VERSIONS[1]).await {
            Err(TlsError::ServerCertificate(found)) => assert_eq!(found, problem),
            other => panic!("{other:?}"),
        }
        let tls = dated(pinned.clone(), None, hands.clock());
        database.meet(&tls, VERSIONS[1]).await.unwrap();
    }
}

#[tokio::test]
async fn the_very_certificate_is_believed_by_file_and_by_fingerprint_and_by_no_other() {
    let (authority, other) = (Authority::new("ca"), Authority::new("ca"));
    let database = Database::new(&authority, &nameless());
    let stranger = Database::new(&other, &nameless());
    let own = PrivateKey::generate_p256().unwrap();
    let file = DatabaseTrust::authorities(&authority.issue(&nameless(), &own)).unwrap();
    assert!(
        database
            .meet(&believing(file, None), VERSIONS[1])
            .await
            .is_err()
    );
    let pin = Fingerprint::of(&database.chain[0]);
    let tls = believing(DatabaseTrust::Fingerprint(pin), Some("whatever"));
    for version in VERSIONS {
        database.meet(&tls, version).await.unwrap();
    }
    let error = stranger.meet(&tls, VERSIONS[1]).await.unwrap_err();
    let found = Fingerprint::of(&stranger.chain[0]).to_string();
    let text = crate::error::chain(&error);
    assert!(text.contains(&found), "{text}");
}

#[tokio::test]
async fn a_stolen_certificate_without_its_key_is_not_believed_even_if_pinned() {
    let authority = Authority::new("ca");
    let database = Database::new(&authority, &nameless());
    let thief = Database {
        chain: database.chain.clone(),
        key: KeyPair::generate().unwrap().serialize_der(),
    };
    let pin = DatabaseTrust::Fingerprint(Fingerprint::of(&database.chain[0]));
    for version in VERSIONS {
        let tls = believing(pin.clone(), None);
        assert!(thief.meet(&tls, version).await.is_err());
    }
}

#[tokio::test]
async fn an_issuer_between_is_taken_from_the_database() {
    let root = Authority::new("root");
    let between = root.below("between");
    let mut database = Database::new(&between, &nameless());
    let tls = believing(authorities(&root), None);
    assert!(database.meet(&tls, VERSIONS[1]).await.is_err());
    database.chain.push(der(&between.pem));
    database.meet(&tls, VERSIONS[1]).await.unwrap();
}

/// A DER element.
fn element(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82], &length[..], &content].concat()
}

/// A certificate of version 1, as databases' set-up scripts have made them: signed by `issuer` for a new key.
fn version_1(issuer: &str, signer: &KeyPair) -> Database {
    let key = KeyPair::generate().unwrap();
    let own = PrivateKey::from_pem(&key.serialize_pem()).unwrap();
    let issuer = der(issuer);
    let issuer = parse(&issuer).unwrap();
    let ecdsa_with_sha256: &[u8] = &[0x30, 10, 6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2];
    let tbs = element(
        0x30,
        &[
            &[2, 1, 2],
            ecdsa_with_sha256,
            issuer.subject().as_raw(),
            &element(0x30, &[b"\x17\x0d200101000000Z", b"\x17\x0d490101000000Z"]),
            &element(0x30, &[]),
            own.spki_der(),
        ],
    );
    let signature = element(3, &[&[0], &signer.sign(&tbs).unwrap()]);
    let certificate = element(0x30, &[&tbs, ecdsa_with_sha256, &signature]);
    Database {
        chain: vec![certificate.into()],
        key: key.serialize_der(),
    }
}

#[tokio::test]
async fn a_certificate_of_version_1_is_believed_if_the_ca_signed_it() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "old");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    let tls = believing(DatabaseTrust::authorities(&pem).unwrap(), None);
    let database = version_1(&pem, &key);
    assert_eq!(parse(&database.chain[0]).unwrap().version().0, 0);
    database.meet(&tls, VERSIONS[1]).await.unwrap();

    let forged = version_1(&pem, &KeyPair::generate().unwrap());
    let error = forged.meet(&tls, VERSIONS[1]).await.unwrap_err();
    assert!(
        matches!(
            error,
            TlsError::ServerCertificate(CertificateProblem::UnknownIssuer)
        ),
        "{error:?}"
    );
    let hands = Hands::new();
    hands.set(NOW + 40 * 365 * 24 * HOUR);
    let late = dated(
        DatabaseTrust::authorities(&pem).unwrap(),
        None,
        hands.clock(),
    );
    assert!(database.meet(&late, VERSIONS[1]).await.is_err());
}

#[test]
fn a_fingerprint_reads_as_openssl_prints_it_and_as_we_do() {
    let lower = format!("sha256:{}", "0a".repeat(32));
    let print: Fingerprint = lower.parse().unwrap();
    let upper = format!("sha256:{}", vec!["0A"; 32].join(":"));
    assert_eq!(upper.parse(), Ok(print));
    assert_eq!(print.to_string(), lower);
    for bad in [
        "",
        "sha256:",
        &lower[7..],
        &lower[..70],
        &lower.replace('a', "g"),
        &lower.replace("0a0a", "+a0a"),
        &lower.replace("sha256", "sha1"),
    ] {
        assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
    }
}
