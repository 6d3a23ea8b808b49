//! The client side: whom it takes for its server.

use std::sync::Arc;
use std::time::Duration;

use proto::Code;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose};
use rustls::ServerConfig;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::pki::{
    Authority, HOUR, Hands, NOW, Served, client_params, dns, instance, server_params,
};
use crate::tls::provider::provider;
use crate::tls::{
    Alert, CertificateProblem, Dialect, Material, Offer, ServerIdentity, TlsClient, TlsError,
    TlsPeer, TlsServer,
};

struct World {
    clients: Authority,
    server_ca: Authority,
    server: Material,
    hands: Hands,
}

fn world(change: impl FnOnce(&mut CertificateParams)) -> World {
    let (clients, server_ca) = (Authority::new("client CA"), Authority::new("server CA"));
    let mut params = server_params();
    change(&mut params);
    World {
        server: server_ca.material(&params),
        clients,
        server_ca,
        hands: Hands::new(),
    }
}

fn expected(dns_name: Option<&str>) -> ServerIdentity {
    ServerIdentity {
        dns_name: dns_name.map(str::to_owned),
        common_name: "p:db1".into(),
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

impl World {
    fn client(&self, expected: ServerIdentity, offer: Offer) -> TlsClient {
        let material = self.clients.material(&client_params());
        let roots = self.server_ca.roots();
        TlsClient::new(&material, &roots, expected, self.hands.clock(), offer).unwrap()
    }

    fn served(&self) -> Arc<Served> {
        Arc::new(Served {
            roots: [(instance(), Arc::new(self.clients.roots()))].into(),
            material: Some(Arc::new(self.server.clone())),
            ..Served::default()
        })
    }

    async fn meet(
        &self,
        client: &TlsClient,
    ) -> (Result<Dialect, TlsError>, Result<TlsPeer, TlsError>) {
        self.meet_at(client, &self.served()).await
    }

    async fn meet_at(
        &self,
        client: &TlsClient,
        served: &Arc<Served>,
    ) -> (Result<Dialect, TlsError>, Result<TlsPeer, TlsError>) {
        // The server judges by the tests' own time, whatever the client's clock says.
        let server = TlsServer::new(Arc::clone(served) as _, Hands::new().clock()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let accepted = async {
            let (socket, _) = listener.accept().await.unwrap();
            server.accept(socket, soon()).await
        };
        let (connected, accepted) = tokio::join!(client.connect(socket, soon()), accepted);
        (connected.map(|(_stream, dialect)| dialect), accepted)
    }

    async fn judged(&self, expected: ServerIdentity) -> Result<Dialect, CertificateProblem> {
        let (connected, accepted) = self.meet(&self.client(expected, Offer::Ours)).await;
        match connected {
            Ok(dialect) => Ok(dialect),
            Err(TlsError::ServerCertificate(problem)) => {
                assert!(matches!(accepted, Err(TlsError::Alert(_))), "{accepted:?}");
                Err(problem)
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_server_with_the_dns_name_is_taken_and_asked_for_by_that_name() {
    let world = world(|p| p.distinguished_name.push(DnType::CommonName, "any"));
    let name = instance().dns_name();
    for spelled in [name.clone(), format!("{name}.")] {
        let served = world.served();
        let client = world.client(expected(Some(&spelled)), Offer::Ours);
        let (connected, accepted) = world.meet_at(&client, &served).await;
        assert_eq!(connected.unwrap(), Dialect::Framed);
        assert_eq!(accepted.unwrap().dialect, Dialect::Framed);
        assert_eq!(*served.asked.lock().unwrap(), [Some(name.clone())]);
    }
}

#[tokio::test]
async fn the_common_name_is_enough_without_a_dns_name_or_when_it_does_not_match() {
    let world = world(|p| p.subject_alt_names = vec![dns("other.example")]);
    for dns_name in [None, Some(""), Some("wanted.example")] {
        assert!(
            world.judged(expected(dns_name)).await.is_ok(),
            "{dns_name:?}"
        );
    }
    let served = world.served();
    let client = world.client(expected(None), Offer::Ours);
    world.meet_at(&client, &served).await.0.unwrap();
    assert_eq!(*served.asked.lock().unwrap(), [None], "a name was sent");
}

#[tokio::test]
async fn a_server_of_another_name_is_refused() {
    let world = world(|p| {
        p.subject_alt_names = vec![dns("other.example")];
        p.distinguished_name.push(DnType::CommonName, "p:db2");
    });
    let found = world.judged(expected(Some("wanted.example"))).await;
    let wrong = |expected: &str| CertificateProblem::Name {
        expected: expected.to_owned(),
        found: "p:db2, other.example".to_owned(),
    };
    assert_eq!(found, Err(wrong("p:db1 (wanted.example)")));
    let found = world.judged(expected(None)).await;
    assert_eq!(found, Err(wrong("p:db1")));
}

#[tokio::test]
async fn a_server_of_another_ca_is_refused_even_one_of_the_same_name() {
    for other in ["another CA", "server CA"] {
        let mut world = world(|_| {});
        world.server = Authority::new(other).material(&server_params());
        let found = world.judged(expected(Some(&instance().dns_name()))).await;
        assert_eq!(found, Err(CertificateProblem::UnknownIssuer));
    }
}

#[tokio::test]
async fn a_server_of_another_ca_with_another_name_is_told_by_both_names() {
    let mut world = world(|_| {});
    let mut params = server_params();
    params.subject_alt_names = vec![dns("other.example")];
    params.distinguished_name.push(DnType::CommonName, "p:db2");
    world.server = Authority::new("another CA").material(&params);
    let found = world.judged(expected(Some("wanted.example"))).await;
    let foreign = CertificateProblem::Foreign {
        expected: "p:db1 (wanted.example)".to_owned(),
        found: "p:db2, other.example".to_owned(),
    };
    assert_eq!(found, Err(foreign.clone()));
    let refusal = TlsError::ServerCertificate(foreign).refusal();
    assert_eq!(refusal.code, Code::AgentIdentity);
    assert!(refusal.reason.contains("p:db2, other.example"), "{refusal}");
    assert!(
        refusal.reason.contains("p:db1 (wanted.example)"),
        "{refusal}"
    );
}

/// The client's own certificate has not gone out when the alert comes.
#[tokio::test]
async fn a_server_without_a_certificate_is_unreachable_and_no_refusal_of_the_clients_certificate() {
    let world = world(|_| {});
    let served = Arc::new(Served {
        material: None,
        roots: world.served().roots.clone(),
        ..Served::default()
    });
    let client = world.client(expected(None), Offer::Ours);
    let (connected, _) = world.meet_at(&client, &served).await;
    let error = connected.unwrap_err();
    assert!(matches!(error, TlsError::Alert(_)), "{error}");
    let refusal = error.refusal();
    assert_eq!(refusal.code, Code::AgentUnreachable, "{refusal}");
    assert!(refusal.reason.contains("no certificate"), "{refusal}");
}

#[tokio::test]
async fn a_client_certificate_is_no_server_certificate() {
    let world = world(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let found = world.judged(expected(Some(&instance().dns_name()))).await;
    assert_eq!(found, Err(CertificateProblem::Purpose));
}

#[tokio::test]
async fn time_is_judged_by_the_clock_that_was_given() {
    let world = world(|_| {});
    let name = instance().dns_name();
    assert!(world.judged(expected(Some(&name))).await.is_ok());
    world.hands.set(NOW + HOUR + 1);
    let found = world.judged(expected(Some(&name))).await;
    assert_eq!(found, Err(CertificateProblem::Expired));
    world.hands.set(NOW - 61);
    let found = world.judged(expected(Some(&name))).await;
    assert_eq!(found, Err(CertificateProblem::NotValidYet));
}

#[tokio::test]
async fn a_client_may_offer_googles_dialect_alone() {
    let world = world(|_| {});
    let client = world.client(expected(None), Offer::BareOnly);
    let (connected, accepted) = world.meet(&client).await;
    assert_eq!(connected.unwrap(), Dialect::Bare);
    assert_eq!(accepted.unwrap().dialect, Dialect::Bare);
}

#[tokio::test]
async fn a_server_that_knows_no_application_protocols_speaks_googles_dialect() {
    let world = world(|_| {});
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(Arc::clone(
            &world.server.certified,
        ))));
    config.alpn_protocols.clear();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    let client = world.client(expected(None), Offer::Ours);
    let (connected, accepted) = tokio::join!(
        client.connect(socket, soon()),
        TlsAcceptor::from(Arc::new(config)).accept(theirs)
    );
    assert_eq!(connected.unwrap().1, Dialect::Bare);
    accepted.unwrap();
}

#[tokio::test]
async fn a_refusal_of_our_certificate_shows_at_the_first_read_and_says_what_to_do() {
    let world = world(|_| {});
    let mut params = client_params();
    params.extended_key_usages.clear();
    let material = world.clients.material(&params);
    let client = TlsClient::new(
        &material,
        &world.server_ca.roots(),
        expected(None),
        world.hands.clock(),
        Offer::Ours,
    )
    .unwrap();
    let server = TlsServer::new(world.served(), world.hands.clock()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    let read = async {
        let (mut stream, _) = client.connect(socket, soon()).await.unwrap();
        stream.read_u8().await.unwrap_err()
    };
    let accept = async { server.accept(theirs, soon()).await.map(|peer| peer.serial) };
    let (error, accepted) = tokio::join!(read, accept);
    assert!(accepted.is_err());
    let alert = Alert::of(&error).unwrap();
    assert!(alert.is_about_certificate());
    let refusal = alert.refusal();
    assert_eq!(refusal.code, Code::CertificateRefused);
    assert!(
        refusal.reason.contains("unsupported_certificate"),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_silent_server_is_given_up_at_the_deadline() {
    let world = world(|_| {});
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (_theirs, _) = listener.accept().await.unwrap();
    let client = world.client(expected(None), Offer::Ours);
    let deadline = Instant::now() + Duration::from_millis(100);
    let connected = client.connect(socket, deadline).await;
    let error = connected.map(|_| ()).unwrap_err();
    assert!(matches!(error, TlsError::Deadline), "{error}");
    assert_eq!(error.refusal().code, Code::AgentUnreachable);
}

#[tokio::test]
async fn what_is_no_dns_name_is_said_before_anything_is_dialled() {
    let world = world(|_| {});
    let material = world.clients.material(&client_params());
    let client = TlsClient::new(
        &material,
        &world.server_ca.roots(),
        expected(Some("p:r:db1")),
        world.hands.clock(),
        Offer::Ours,
    );
    assert!(matches!(client, Err(TlsError::Setup(_))));
}
