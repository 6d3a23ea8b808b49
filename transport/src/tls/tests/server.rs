//! The server side: who is let in, and what the others are told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::ExtendedKeyUsagePurpose;
use rustls::HandshakeKind;
use rustls::client::Resumption;
use rustls::sign::CertifiedKey;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::meeting::{Shows, World, shows, world};
use super::pki::{Authority, HOUR, IDENTITY, NOW, Served, at, client_params, dns, instance, uri};
use crate::tls::{Alert, Dialect, Material, PrivateKey, TlsError, TlsServer};

#[tokio::test]
async fn a_client_with_a_good_certificate_is_known_by_it() {
    let world = world();
    let meeting = world.alone(world.tls13(world.client(|_| {}))).await;
    meeting.answered.unwrap();
    let peer = meeting.accepted.unwrap();
    assert_eq!(peer.identity.to_string(), IDENTITY);
    assert_eq!(peer.serial, "0abc");
    assert_eq!(peer.not_after, at(NOW + HOUR));
    assert_eq!(peer.dialect, Dialect::Bare, "it has negotiated nothing");
}

#[tokio::test]
async fn what_is_found_of_one_client_is_not_told_of_another_that_shakes_hands_meanwhile() {
    let world = world();
    let serial = |serial: u8| world.client(|p| p.serial_number = Some(vec![serial].into()));
    let over = world.client(|p| p.not_after = at(NOW - HOUR).into());
    let (one, other, late, none) = tokio::join!(
        world.alone(world.tls13(serial(0x11))),
        world.alone(world.tls13(serial(0x22))),
        world.alone(world.tls13(over)),
        world.alone(world.tls13(shows(None))),
    );
    assert_eq!(one.accepted.unwrap().serial, "11");
    assert_eq!(other.accepted.unwrap().serial, "22");
    let expired = ("certificate-expired", "certificate_expired");
    assert_eq!(late.refused(), expired);
    let missing = ("tls-no-certificate", "certificate_required");
    assert_eq!(none.refused(), missing);
}

#[tokio::test]
async fn a_client_that_negotiates_our_protocol_is_framed() {
    let world = world();
    let mut config = world.tls13(world.client(|_| {}));
    config.alpn_protocols = vec![b"h2".to_vec(), b"csql/1".to_vec()];
    let meeting = world.alone(config).await;
    assert_eq!(meeting.accepted.unwrap().dialect, Dialect::Framed);
}

#[tokio::test]
async fn a_client_that_offers_only_other_protocols_is_told_so() {
    let world = world();
    let mut config = world.tls13(world.client(|_| {}));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let refused = world.alone(config).await.refused();
    assert_eq!(refused, ("tls-protocol", "no_application_protocol"));
}

#[tokio::test]
async fn a_client_with_an_rsa_key_is_let_in() {
    let world = world();
    let key = PrivateKey::generate_rsa2048().unwrap();
    let pem = world.clients.issue(&client_params(), &key);
    let material = Material::new(&pem, &key).unwrap();
    let meeting = world.alone(world.tls13(shows(Some(&material)))).await;
    meeting.accepted.unwrap();
    meeting.answered.unwrap();
}

#[tokio::test]
async fn the_request_for_a_certificate_names_no_issuers() {
    let world = world();
    let shows = world.client(|_| {});
    world
        .alone(world.tls13(Arc::clone(&shows)))
        .await
        .accepted
        .unwrap();
    assert_eq!(*shows.hints.lock().unwrap(), [0]);
}

#[tokio::test]
async fn each_certificate_that_is_refused_gets_the_alert_that_fits() {
    let world = world();
    let impostor = Authority::new("client CA");
    let other = Authority::new("CA of another instance");
    let below = world.clients.below("intermediate");
    let by = |ca: &Authority| shows(Some(&ca.material(&client_params())));
    let cases = [
        (
            "none",
            shows(None),
            ("tls-no-certificate", "certificate_required"),
        ),
        (
            "another CA",
            by(&other),
            ("certificate-unknown-issuer", "unknown_ca"),
        ),
        (
            "a CA of the same name",
            by(&impostor),
            ("certificate-unknown-issuer", "unknown_ca"),
        ),
        (
            "a CA below ours",
            by(&below),
            ("certificate-unknown-issuer", "unknown_ca"),
        ),
        (
            "no extended key usage",
            world.client(|p| p.extended_key_usages.clear()),
            ("certificate-purpose", "unsupported_certificate"),
        ),
        (
            "a server's",
            world.client(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
            ("certificate-purpose", "unsupported_certificate"),
        ),
        (
            "two identities",
            world.client(|p| p.subject_alt_names.push(uri(IDENTITY))),
            ("certificate-identity", "bad_certificate"),
        ),
        (
            "a DNS name beside",
            world.client(|p| p.subject_alt_names.push(dns("db1.example"))),
            ("certificate-identity", "bad_certificate"),
        ),
        (
            "an instance that is not served",
            world.client(|p| p.subject_alt_names = vec![uri(&IDENTITY.replace("db1", "db2"))]),
            ("certificate-not-served", "unknown_ca"),
        ),
    ];
    for (what, shows, expected) in cases {
        let refused = world.alone(world.tls13(shows)).await.refused();
        assert_eq!(refused, expected, "{what}");
    }
}

#[tokio::test]
async fn a_server_certificate_of_the_same_instance_is_no_client_certificate() {
    let world = world();
    let shows = shows(Some(&world.server_ca.material(&client_params())));
    let refused = world.alone(world.tls13(shows)).await.refused();
    assert_eq!(refused, ("certificate-unknown-issuer", "unknown_ca"));
}

#[tokio::test]
async fn time_is_judged_by_the_clock_that_was_given() {
    let world = world();
    let early = world.client(|p| p.not_before += time::Duration::minutes(2));
    let refused = world.alone(world.tls13(early)).await.refused();
    assert_eq!(
        refused,
        ("certificate-not-valid-yet", "certificate_expired")
    );
    // The server's own certificate outlives the client's here, so that the client does not refuse first.
    let short = world.client(|p| p.not_after -= time::Duration::minutes(30));
    world.hands.set(NOW + HOUR - 60);
    let refused = world.alone(world.tls13(short)).await.refused();
    assert_eq!(refused, ("certificate-expired", "certificate_expired"));
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused() {
    let world = world();
    let theirs = world.clients.material(&client_params());
    let other = PrivateKey::generate_p256().unwrap();
    let stolen = CertifiedKey::new(theirs.certified.cert.clone(), other.signing());
    let shows = Arc::new(Shows {
        certified: Some(Arc::new(stolen)),
        hints: Mutex::default(),
    });
    let refused = world.alone(world.tls13(shows)).await.refused();
    assert_eq!(refused, ("tls-protocol", "decrypt_error"));
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let world = world();
    let config = world.config(world.client(|_| {}), &rustls::version::TLS12);
    let refused = world.alone(config).await.refused();
    assert_eq!(refused, ("tls-protocol", "protocol_version"));
}

#[tokio::test]
async fn a_client_that_was_let_in_cannot_resume_once_its_certificate_has_expired() {
    let world = world();
    let shows = world.client(|p| p.not_after -= time::Duration::minutes(30));
    let mut config = world.tls13(shows);
    config.resumption = Resumption::in_memory_sessions(16);
    let config = Arc::new(config);
    for _ in 0..3 {
        let meeting = world.meet(&config).await;
        meeting.accepted.unwrap();
        assert_eq!(meeting.answered.unwrap(), Some(HandshakeKind::Full));
    }
    world.hands.set(NOW + HOUR - 60);
    let refused = world.meet(&config).await.refused();
    assert_eq!(refused, ("certificate-expired", "certificate_expired"));
}

#[tokio::test]
async fn a_refused_client_that_has_sent_much_still_gets_its_alert() {
    let world = world();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let served = async {
        let (socket, _) = listener.accept().await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        world.server.accept(socket, deadline).await.unwrap_err()
    };
    let config = Arc::new(world.tls13(world.client(|p| p.extended_key_usages.clear())));
    let asked = async {
        let socket = TcpStream::connect(addr).await.unwrap();
        let name = ServerName::try_from(instance().dns_name()).unwrap();
        let mut stream = TlsConnector::from(config)
            .connect(name, socket)
            .await
            .unwrap();
        for _ in 0..50 {
            // After a reset, one of these would fail.
            stream.write_all(&[1; 1000]).await.unwrap();
            stream.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        stream.read_u8().await.unwrap_err()
    };
    let (refused, answer) = tokio::join!(served, asked);
    assert!(matches!(refused, TlsError::ClientCertificate(_)));
    assert_eq!(
        Alert::of(&answer).unwrap().name(),
        "unsupported_certificate"
    );
}

#[tokio::test]
async fn a_server_without_a_certificate_says_that_it_has_none() {
    let world = world();
    let served = Served {
        roots: [(instance(), Arc::new(world.clients.roots()))].into(),
        ..Served::default()
    };
    let world = World {
        server: TlsServer::new(Arc::new(served), world.hands.clock()).unwrap(),
        ..world
    };
    let meeting = world.alone(world.tls13(world.client(|_| {}))).await;
    assert!(matches!(meeting.accepted, Err(TlsError::NoMaterial)));
    assert!(meeting.answered.is_err());
}
