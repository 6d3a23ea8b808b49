//! Doubles of clients: ours, and Google's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::frame::{self, Answer, Hello, Transport, VERSION};
use proto::{InstanceName, Refusal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use transport::tls::{
    Alert, Dialect, Material, Offer, ServerIdentity, TlsClient, TlsError, TlsStream,
};

use crate::ca::{APP, Ca, name};
use crate::running::{Agent, PATIENCE};

/// How a client goes about it.
#[derive(Clone)]
pub(crate) struct Client {
    tls: TlsClient,
    instance: InstanceName,
    agent: SocketAddr,
}

impl Client {
    /// One of instance `i` and account [`APP`].
    pub(crate) fn of(ca: &Ca, agent: &Agent, offer: Offer) -> Self {
        Self::with(ca, agent, offer, "i", &ca.client("i", APP))
    }

    pub(crate) fn with(
        ca: &Ca,
        agent: &Agent,
        offer: Offer,
        label: &str,
        material: &Material,
    ) -> Self {
        let instance = name("r", label);
        let identity = ServerIdentity {
            dns_name: Some(instance.dns_name()),
            common_name: instance.common_name(),
        };
        let roots = ca.authorities(label).1.roots();
        let clock = Arc::new(daemon::clock::now);
        Self {
            tls: TlsClient::new(material, &roots, identity, clock, offer).unwrap(),
            instance,
            agent: agent.address,
        }
    }

    /// One of Google's, which send no name to addresses.
    pub(crate) fn without_sni(mut self, ca: &Ca, material: &Material) -> Self {
        let identity = ServerIdentity {
            dns_name: None,
            common_name: self.instance.common_name(),
        };
        let roots = ca.authorities(self.instance.instance()).1.roots();
        let clock = Arc::new(daemon::clock::now);
        self.tls = TlsClient::new(material, &roots, identity, clock, Offer::BareOnly).unwrap();
        self
    }

    /// One that looks for another name than the instance's own.
    pub(crate) fn looking_for(mut self, ca: &Ca, host: &str) -> Self {
        let identity = ServerIdentity {
            dns_name: Some(host.to_owned()),
            common_name: "none".to_owned(),
        };
        let label = self.instance.instance();
        let (material, roots) = (ca.client(label, APP), ca.authorities(label).1.roots());
        let clock = Arc::new(daemon::clock::now);
        self.tls = TlsClient::new(&material, &roots, identity, clock, Offer::Ours).unwrap();
        self
    }

    pub(crate) async fn connect(&self) -> Result<(TlsStream, Dialect), TlsError> {
        let socket = TcpStream::connect(self.agent).await.unwrap();
        self.tls.connect(socket, Instant::now() + PATIENCE).await
    }

    /// What a client says first.
    pub(crate) fn hello(&self) -> Hello {
        Hello {
            version: VERSION,
            capabilities: vec![],
            session_id: "test-session".into(),
            instance: self.instance.to_string(),
            transport: Transport::Tcp,
            peer: Some("127.0.0.1:1".into()),
            uid: None,
            client: "test".into(),
        }
    }

    /// Opens a tunnel in our dialect.
    pub(crate) async fn open(&self) -> Result<TlsStream, Refusal> {
        self.open_with(&self.hello()).await
    }

    pub(crate) async fn open_with(&self, hello: &Hello) -> Result<TlsStream, Refusal> {
        let (mut stream, dialect) = self.connect().await.unwrap();
        assert_eq!(dialect, Dialect::Framed);
        let bytes = frame::encode(hello).unwrap();
        stream.write_all(&bytes).await.unwrap();
        match answer(&mut stream).await {
            Answer::Ok { version, .. } => {
                assert_eq!(version, VERSION);
                Ok(stream)
            }
            Answer::Refused(refusal) => {
                // Nobody speaks after a refusal.
                assert!(rest(&mut stream).await.is_empty());
                Err(refusal)
            }
        }
    }

    /// Opens a tunnel in Google's dialect.
    pub(crate) async fn open_bare(&self) -> TlsStream {
        let (stream, dialect) = self.connect().await.unwrap();
        assert_eq!(dialect, Dialect::Bare);
        stream
    }

    /// The alert by which the agent refuses; in TLS 1.3 it shows when something is read.
    pub(crate) async fn alert(&self) -> &'static str {
        let mut stream = match self.connect().await {
            Ok((stream, _)) => stream,
            Err(TlsError::Alert(alert)) => return alert.name(),
            Err(error) => panic!("no alert but {error:?}"),
        };
        let error = timeout(PATIENCE, stream.read_u8()).await.unwrap();
        let error = error.expect_err("an alert is no byte");
        Alert::of(&error).expect("an alert").name()
    }
}

/// The answer to the frame.
pub(crate) async fn answer(stream: &mut TlsStream) -> Answer {
    let mut input = Vec::new();
    loop {
        if let Some(answer) = frame::decode(&mut input).unwrap() {
            assert!(input.is_empty());
            return answer;
        }
        let byte = timeout(PATIENCE, stream.read_u8()).await.unwrap();
        input.push(byte.expect("the answer comes whole"));
    }
}

/// Everything up to a proper end.
pub(crate) async fn rest(stream: &mut TlsStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    read.expect("the agent closes")
        .expect("with a close_notify");
    bytes
}

/// A session that was cut: it must not look as if it had ended.
pub(crate) async fn expect_cut(stream: &mut TlsStream) {
    let read = timeout(PATIENCE, stream.read(&mut [0; 64])).await;
    let error = read.expect("the agent closes").unwrap_err();
    let kinds = [
        std::io::ErrorKind::UnexpectedEof,
        std::io::ErrorKind::ConnectionReset,
    ];
    assert!(kinds.contains(&error.kind()), "{error}");
}

/// Exactly so many bytes.
pub(crate) async fn take(stream: &mut TlsStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let read = timeout(PATIENCE, stream.read_exact(&mut bytes)).await;
    read.expect("bytes come").expect("and all of them");
    bytes
}

/// Sends and expects the same back.
pub(crate) async fn echo(stream: &mut TlsStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
    assert_eq!(take(stream, text.len()).await, text);
}

/// Whether nothing comes for a moment.
pub(crate) async fn is_silent(stream: &mut TlsStream) -> bool {
    timeout(Duration::from_millis(100), stream.read_u8())
        .await
        .is_err()
}
