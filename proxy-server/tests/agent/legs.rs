//! The database leg with our own TLS.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use proto::Code;
use proxy_server::Settings;
use rcgen::{CertificateParams, DnType, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::tls::Offer;

use crate::ca::Ca;
use crate::client::{Client, echo, rest, take};
use crate::database::{OK, greeting, login_as, packet};
use crate::direct::direct;
use crate::mysql::{self, Tls};
use crate::process::fails;
use crate::running::{Agent, eventually, settings};

/// A certificate that a database has made for itself, with files of it and of its key.
struct SelfMade {
    certificate: String,
    key: String,
    folder: tempfile::TempDir,
}

impl SelfMade {
    fn new(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "MySQL_Server");
        let certificate = params.self_signed(&key).unwrap().pem();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &certificate).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        Self {
            certificate,
            key: key.serialize_pem(),
            folder,
        }
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder.path().join(name))
    }

    fn der(&self) -> rustls_pki_types::CertificateDer<'static> {
        rustls_pki_types::pem::PemObject::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }

    fn fingerprint(&self) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.der());
        let hex: Vec<_> = digest.as_ref().iter().map(|b| format!("{b:02X}")).collect();
        format!("sha256:{}", hex.join(":"))
    }
}

/// A MySQL that takes TLS only; it keeps what it was shown.
struct TlsDatabase {
    place: String,
    shown: Arc<Mutex<Vec<Option<Vec<u8>>>>>,
    stop: CancellationToken,
}

impl Drop for TlsDatabase {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TlsDatabase {
    async fn start(own: &SelfMade, greeting: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = format!("tls:{}", listener.local_addr().unwrap());
        let key = rustls_pki_types::pem::PemObject::from_pem_slice(own.key.as_bytes()).unwrap();
        // Any client certificate that is the database's own is good enough.
        let mut roots = rustls::RootCertStore::empty();
        roots.add(own.der()).unwrap();
        let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            transport::tls::provider(),
        );
        let clients = clients.allow_unauthenticated().build().unwrap();
        let config = rustls::ServerConfig::builder_with_provider(transport::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![own.der()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (stop, kept) = (CancellationToken::new(), Arc::clone(&shown));
        let tasks = TaskTracker::new();
        let (own, stopped) = (tasks.clone(), stop.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let one = serve(
                    stream,
                    greeting.clone(),
                    acceptor.clone(),
                    Arc::clone(&kept),
                );
                own.spawn(stopped.clone().run_until_cancelled_owned(one));
            }
        }));
        Self { place, shown, stop }
    }

    fn shown(&self) -> Vec<Option<Vec<u8>>> {
        self.shown.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    greeting: Vec<u8>,
    acceptor: tokio_rustls::TlsAcceptor,
    shown: Arc<Mutex<Vec<Option<Vec<u8>>>>>,
) {
    stream.write_all(&greeting).await.unwrap();
    // An application that is refused before ends the connection here.
    let mut request = [0; 36];
    if stream.read_exact(&mut request).await.is_err() {
        return;
    }
    assert_eq!(request[..4], [32, 0, 0, 1], "an SSLRequest");
    assert_ne!(request[5] & 0x08, 0, "CLIENT_SSL");
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let certificate = stream.get_ref().1.peer_certificates();
    let certificate = certificate.map(|all| all[0].to_vec());
    shown.lock().unwrap().push(certificate);
    let (sequence, response) = mysql::read(&mut stream).await;
    assert_eq!((sequence, &response[..32]), (2, &request[4..]));
    stream.write_all(&packet(3, &OK[4..])).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    tokio::io::copy(&mut reader, &mut writer).await.ok();
    writer.shutdown().await.ok();
}

/// Logs in through a tunnel; gives back the answer's payload.
async fn log_in(ca: &Ca, agent: &Agent) -> (transport::tls::TlsStream, Vec<u8>) {
    let mut stream = Client::of(ca, agent, Offer::Ours).open().await.unwrap();
    take(&mut stream, greeting().len()).await;
    stream.write_all(&login_as("app")).await.unwrap();
    let (sequence, payload) = mysql::read(&mut stream).await;
    assert_eq!(sequence, 2, "the application's numbers are its own");
    (stream, payload)
}

#[tokio::test]
async fn a_database_with_a_certificate_of_its_own_making_is_believed_by_file_or_fingerprint() {
    let ca = Ca::start().await;
    let own = SelfMade::new(&[]);
    let database = TlsDatabase::start(&own, greeting()).await;
    for by_file in [true, false] {
        let agent = Agent::start(Settings {
            database_ca: own.file("ca.pem").filter(|_| by_file),
            database_fingerprint: Some(own.fingerprint()).filter(|_| !by_file),
            ..direct(&ca, &database.place)
        })
        .await;
        let (mut stream, answer) = log_in(&ca, &agent).await;
        assert_eq!(answer, OK[4..]);
        echo(&mut stream, &[0xA5; 100_000]).await;
        stream.shutdown().await.unwrap();
        assert!(rest(&mut stream).await.is_empty());
        // And by TLS on both legs, whose numbers differ by nothing then.
        let (mut stream, (sequence, answer)) = Tls::plain(&ca).log_in(&agent, "app").await;
        assert_eq!((sequence, answer[0]), (3, 0));
        mysql::echo(&mut stream, &[0x5A; 100_000]).await;
    }
    assert_eq!(database.shown(), [None, None, None, None]);
}

#[tokio::test]
async fn a_certificate_that_is_not_believed_ends_the_login_before_the_response_is_sent() {
    let ca = Ca::start().await;
    let (own, other) = (SelfMade::new(&["db.example"]), SelfMade::new(&[]));
    let database = TlsDatabase::start(&own, greeting()).await;
    let common = || direct(&ca, &database.place);
    for (settings, believed) in [
        (
            Settings {
                database_ca: other.file("ca.pem"),
                ..common()
            },
            false,
        ),
        (
            Settings {
                database_fingerprint: Some(other.fingerprint()),
                ..common()
            },
            false,
        ),
        // It has a name, and that is not the address that was dialled.
        (
            Settings {
                database_ca: own.file("ca.pem"),
                ..common()
            },
            false,
        ),
        (
            Settings {
                database_ca: own.file("ca.pem"),
                database_name: Some("db.example".into()),
                ..common()
            },
            true,
        ),
    ] {
        let before = database.shown().len();
        let agent = Agent::start(settings).await;
        let (_, answer) = log_in(&ca, &agent).await;
        if believed {
            assert_eq!(answer, OK[4..]);
            continue;
        }
        let (number, text) = mysql::error(&answer);
        assert_eq!(number, 1158);
        assert!(
            text.contains("does not believe the database's certificate"),
            "{text}"
        );
        assert!(text.ends_with("[database-refused]"), "{text}");
        let (_, (sequence, answer)) = Tls::plain(&ca).log_in(&agent, "app").await;
        assert_eq!((sequence, mysql::error(&answer).0), (3, 1158));
        assert_eq!(database.shown().len(), before);
        let code = Code::DatabaseRefused;
        let name =
            format!("csql_server_sessions_refused_total{{kind=\"{code}\",listener=\"direct\"}}");
        eventually(async || (agent.metric(&name).await == 1).then_some(())).await;
    }
}

#[tokio::test]
async fn a_database_without_tls_is_not_spoken_to_in_the_clear() {
    let ca = Ca::start().await;
    let own = SelfMade::new(&[]);
    let mut plain = greeting();
    plain[crate::database::SSL_BYTE] &= !0x08;
    let database = TlsDatabase::start(&own, plain).await;
    let agent = Agent::start(Settings {
        database_ca: own.file("ca.pem"),
        ..settings(&ca, &database.place)
    })
    .await;
    let (_, answer) = log_in(&ca, &agent).await;
    let (number, text) = mysql::error(&answer);
    assert_eq!(number, 1158);
    assert!(text.contains("does not offer TLS"), "{text}");
}

#[tokio::test]
async fn the_agent_shows_the_database_the_certificate_that_it_is_given() {
    let ca = Ca::start().await;
    let own = SelfMade::new(&[]);
    let database = TlsDatabase::start(&own, greeting()).await;
    let agent = Agent::start(Settings {
        database_ca: own.file("ca.pem"),
        database_client_certificate: own.file("ca.pem"),
        database_client_key: own.file("key.pem"),
        ..settings(&ca, &database.place)
    })
    .await;
    let (_, answer) = log_in(&ca, &agent).await;
    assert_eq!(answer, OK[4..]);
    assert_eq!(database.shown(), [Some(own.der().to_vec())]);
}

#[tokio::test]
async fn tls_is_for_mysql_whatever_the_ca_says_of_the_instance() {
    let ca = Ca::start().await;
    ca.change(|says| says.version = "POSTGRES_17");
    let own = SelfMade::new(&[]);
    let database = TlsDatabase::start(&own, greeting()).await;
    let agent = Agent::start(Settings {
        database_ca: own.file("ca.pem"),
        ..settings(&ca, &database.place)
    })
    .await;
    let refusal = Client::of(&ca, &agent, Offer::Ours)
        .open()
        .await
        .unwrap_err();
    assert_eq!(refusal.code, Code::Settings);
    assert!(refusal.reason.contains("speaks postgres"), "{refusal}");
}

#[tokio::test]
async fn files_that_do_not_do_are_named_at_the_start() {
    let ca = Ca::start().await;
    let (own, other) = (SelfMade::new(&[]), SelfMade::new(&[]));
    let file = |own: &SelfMade, name| own.file(name).unwrap().display().to_string();
    let credentials = format!("--credentials-file={}", ca.key_file().display());
    for (flags, expected) in [
        (vec![], "openssl s_client -starttls mysql"),
        (
            vec!["--database-ca=/nonexistent/ca.pem".to_owned()],
            "/nonexistent/ca.pem cannot be used",
        ),
        (
            vec![format!("--database-ca={}", file(&own, "key.pem"))],
            "key.pem cannot be used",
        ),
        (
            vec![
                format!("--database-ca={}", file(&own, "ca.pem")),
                format!("--database-client-certificate={}", file(&own, "ca.pem")),
                format!("--database-client-key={}", file(&other, "key.pem")),
            ],
            "for another key than ours",
        ),
    ] {
        let mut arguments = vec![
            credentials.as_str(),
            "--instance=p:r:i",
            "--listen=127.0.0.1:0",
            "--database=tls:127.0.0.1:1",
        ];
        arguments.extend(flags.iter().map(String::as_str));
        let (code, text) = fails(&arguments).await;
        assert_eq!(code, Some(if flags.is_empty() { 64 } else { 1 }), "{text}");
        assert!(text.contains(expected), "{expected} in {text}");
        assert!(!text.contains("PRIVATE KEY"), "{text}");
    }
}
