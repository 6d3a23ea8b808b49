//! A server, a CA, and a client of another make (as Google's are): one meeting of the two, and what each side makes of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::CertificateParams;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::pki::{Authority, Hands, Served, client_params, instance, server_params};
use crate::tls::provider::{Time, provider};
use crate::tls::{Alert, Material, TlsError, TlsPeer, TlsServer};

pub(super) struct World {
    pub(super) server: TlsServer,
    pub(super) clients: Authority,
    pub(super) server_ca: Authority,
    pub(super) hands: Hands,
}

pub(super) fn world() -> World {
    let (clients, server_ca) = (Authority::new("client CA"), Authority::new("server CA"));
    let served = Served {
        roots: [(instance(), Arc::new(clients.roots()))].into(),
        material: Some(Arc::new(server_ca.material(&server_params()))),
        ..Served::default()
    };
    let hands = Hands::new();
    World {
        server: TlsServer::new(Arc::new(served), hands.clock()).unwrap(),
        clients,
        server_ca,
        hands,
    }
}

/// Shows a certificate to everybody, and keeps the hints that it got.
#[derive(Debug)]
pub(super) struct Shows {
    pub(super) certified: Option<Arc<CertifiedKey>>,
    pub(super) hints: Mutex<Vec<usize>>,
}

impl ResolvesClientCert for Shows {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.hints.lock().unwrap().push(hints.len());
        self.certified.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

pub(super) fn shows(material: Option<&Material>) -> Arc<Shows> {
    Arc::new(Shows {
        certified: material.map(|material| Arc::clone(&material.certified)),
        hints: Mutex::default(),
    })
}

impl World {
    pub(super) fn client(&self, change: impl FnOnce(&mut CertificateParams)) -> Arc<Shows> {
        let mut params = client_params();
        change(&mut params);
        shows(Some(&self.clients.material(&params)))
    }

    /// A client of another make, as Google's are: no ALPN, default resumption.
    pub(super) fn config(
        &self,
        shows: Arc<Shows>,
        version: &'static SupportedProtocolVersion,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.server_ca.pem.as_bytes()).unwrap();
        roots.add(root).unwrap();
        let time = Arc::new(Time(self.hands.clock()));
        ClientConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(shows)
    }

    pub(super) fn tls13(&self, shows: Arc<Shows>) -> ClientConfig {
        self.config(shows, &rustls::version::TLS13)
    }

    /// One meeting: the client speaks first, and reads to the end.
    pub(super) async fn meet(&self, config: &Arc<ClientConfig>) -> Meeting {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let served = async {
            let (socket, _) = listener.accept().await.unwrap();
            let deadline = Instant::now() + Duration::from_secs(10);
            let mut peer = self.server.accept(socket, deadline).await?;
            let mut asked = [0; 4];
            peer.stream.read_exact(&mut asked).await.unwrap();
            peer.stream.write_all(b"pong").await.unwrap();
            peer.stream.shutdown().await.unwrap();
            Ok(peer)
        };
        let asked = async {
            let socket = TcpStream::connect(addr).await?;
            let name = ServerName::try_from(instance().dns_name()).unwrap();
            let connector = TlsConnector::from(Arc::clone(config));
            let mut stream = connector.connect(name, socket).await?;
            stream.write_all(b"ping").await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            assert_eq!(answer, b"pong");
            let connection = stream.get_ref().1;
            assert_eq!(connection.tls13_tickets_received(), 0, "a ticket to resume");
            Ok::<_, std::io::Error>(connection.handshake_kind())
        };
        let (accepted, answered) = tokio::join!(served, asked);
        Meeting { accepted, answered }
    }

    pub(super) async fn alone(&self, config: ClientConfig) -> Meeting {
        self.meet(&Arc::new(config)).await
    }
}

pub(super) struct Meeting {
    pub(super) accepted: Result<TlsPeer, TlsError>,
    pub(super) answered: std::io::Result<Option<HandshakeKind>>,
}

impl Meeting {
    /// What the server keeps for itself, and the alert that the client gets.
    pub(super) fn refused(self) -> (&'static str, &'static str) {
        let error = self.accepted.map(|_| "a peer").unwrap_err();
        let answer = self.answered.unwrap_err();
        let alert = Alert::of(&answer).unwrap_or_else(|| panic!("no alert but {answer:?}"));
        (error.kind(), alert.name())
    }
}
