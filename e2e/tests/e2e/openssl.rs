//! The tunnel's records and those of OpenSSL, each end once: tickets, new keys that either side asks for, and the end.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime};

use e2e::place::Place;
use e2e::wait::PATIENCE;
use proto::InstanceName;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use transport::tls::{
    Material, Offer, PrivateKey, ServedInstances, ServerIdentity, TlsClient, TlsServer, TlsStream,
    TrustRoots,
};

const IDENTITY: &str = "csql:/projects/p/locations/r/instances/db1/serviceAccounts/app@p.iam.x";

fn instance() -> InstanceName {
    "p:r:db1".parse().unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "OpenSSL reads the machine's clock: there is no other here"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// A CA and one certificate of it, as PEM.
struct Papers {
    authority: String,
    certificate: String,
    key: String,
}

impl Papers {
    fn new(name: &str, alternative: SanType, usage: ExtendedKeyUsagePurpose) -> Self {
        let (from, to) = (Duration::from_secs(60), Duration::from_secs(3600));
        let now = now();
        let mut authority = CertificateParams::default();
        authority
            .distinguished_name
            .push(DnType::CommonName, format!("CA of {name}"));
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let signs = KeyPair::generate().unwrap();
        let root = authority.self_signed(&signs).unwrap().pem();
        let mut leaf = CertificateParams::default();
        leaf.distinguished_name.push(DnType::CommonName, name);
        leaf.subject_alt_names = vec![alternative];
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![usage];
        leaf.not_before = (now - from).into();
        leaf.not_after = (now + to).into();
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::new(authority, signs);
        Self {
            authority: root,
            certificate: leaf.signed_by(&key, &issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn of_client() -> Self {
        let identity = SanType::URI(IDENTITY.try_into().unwrap());
        Self::new("app", identity, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn of_server() -> Self {
        let name = SanType::DnsName(instance().dns_name().try_into().unwrap());
        Self::new("p:db1", name, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn material(&self) -> Material {
        let key = PrivateKey::from_pem(&self.key).unwrap();
        Material::new(&self.certificate, &key).unwrap()
    }

    fn roots(&self) -> TrustRoots {
        TrustRoots::from_pem(&self.authority).unwrap()
    }

    /// Writes certificate and key in one file, and the CA in another.
    fn write(&self, place: &Place, name: &str) -> [String; 2] {
        let files = [format!("{name}.pem"), format!("{name}-ca.pem")];
        let texts = [
            format!("{}{}", self.certificate, self.key),
            self.authority.clone(),
        ];
        for (file, text) in files.iter().zip(texts) {
            std::fs::write(place.join(file), text).unwrap();
        }
        files.map(|file| place.join(&file).display().to_string())
    }
}

#[derive(Debug)]
struct Served(Arc<TrustRoots>, Arc<Material>);

impl ServedInstances for Served {
    fn client_roots(&self, _instance: &InstanceName) -> Option<Arc<TrustRoots>> {
        Some(Arc::clone(&self.0))
    }

    fn server_material(&self, _name: Option<&str>) -> Option<Arc<Material>> {
        Some(Arc::clone(&self.1))
    }
}

/// Gives every line to whoever listens.
fn pass_on(output: impl Read + Send + 'static, listener: Sender<String>) {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        lines.all(|line| listener.send(line).is_ok());
    });
}

/// The program `openssl`, in a conversation.
struct OpenSsl {
    process: Child,
    says: Receiver<String>,
    hears: ChildStdin,
}

impl OpenSsl {
    fn start(arguments: &[&str]) -> Self {
        // Lines when they are said: it keeps some until its buffer is full.
        let mut process = Command::new("stdbuf")
            .args(["-oL", "openssl"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("stdbuf and openssl (apt-get install coreutils openssl)");
        let (sender, says) = channel();
        pass_on(process.stdout.take().unwrap(), sender.clone());
        pass_on(process.stderr.take().unwrap(), sender);
        Self {
            hears: process.stdin.take().unwrap(),
            process,
            says,
        }
    }

    fn tell(&mut self, line: &str) {
        // In one write: what it reads at once is one command, or one line.
        let line = format!("{line}\n");
        self.hears.write_all(line.as_bytes()).unwrap();
    }

    /// The first line from now on that has this in it.
    fn line_with(&self, text: &str) -> String {
        loop {
            let line = self.says.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("openssl never said {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

async fn read_line(stream: &mut TlsStream) -> String {
    let mut line = String::new();
    while !line.ends_with('\n') {
        let byte = timeout(PATIENCE, stream.read_u8()).await;
        line.push(char::from(byte.expect("a line in time").unwrap()));
    }
    line.trim_end().to_owned()
}

/// Questions and answers, between which OpenSSL takes a new key, and asks us to (`K`) or not (`k`).
async fn converse(stream: &mut TlsStream, openssl: &mut OpenSsl, done: &str) {
    for turn in 0..6 {
        openssl.tell(if turn % 2 == 0 { "K" } else { "k" });
        openssl.line_with(done);
        // Its first letter is no command of either program's.
        let question = format!("{turn}. question");
        openssl.tell(&question);
        assert_eq!(read_line(stream).await, question);
        let answer = format!("answer {turn} {}", "x".repeat(70_000));
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.write_all(b"\n").await.unwrap();
        stream.flush().await.unwrap();
        let heard = openssl.line_with(&format!("answer {turn} "));
        assert!(
            heard.ends_with(&answer),
            "turn {turn}: {} bytes",
            heard.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_and_openssl_as_a_server() {
    let place = Place::new("openssl").unwrap();
    let (clients, servers) = (Papers::of_client(), Papers::of_server());
    let [_, client_ca] = clients.write(&place, "client");
    let [shown, _] = servers.write(&place, "server");
    let mut openssl = OpenSsl::start(&[
        "s_server",
        "-accept",
        "127.0.0.1:0",
        "-tls1_3",
        "-cert",
        &shown,
        "-key",
        &shown,
        "-CAfile",
        &client_ca,
        "-Verify",
        "1",
        "-verify_return_error",
    ]);
    let told = openssl.line_with("ACCEPT ");
    let address = told.rsplit(' ').next().unwrap().to_owned();
    let expected = ServerIdentity {
        dns_name: Some(instance().dns_name()),
        common_name: instance().common_name(),
    };
    let clock = Arc::new(now);
    let client = TlsClient::new(
        &clients.material(),
        &servers.roots(),
        expected,
        clock,
        Offer::BareOnly,
    );
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut stream, _) = client.unwrap().connect(socket, soon()).await.unwrap();
    converse(&mut stream, &mut openssl, "SSL_do_handshake -> 1").await;
    stream.shutdown().await.unwrap();
    openssl.line_with("DONE");
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_as_a_client_and_our_server() {
    let place = Place::new("openssl").unwrap();
    let (clients, servers) = (Papers::of_client(), Papers::of_server());
    let [shown, _] = clients.write(&place, "client");
    let [_, server_ca] = servers.write(&place, "server");
    let served = Served(Arc::new(clients.roots()), Arc::new(servers.material()));
    let server = TlsServer::new(Arc::new(served), Arc::new(now)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut openssl = OpenSsl::start(&[
        "s_client",
        "-connect",
        &address,
        "-servername",
        &instance().dns_name(),
        "-tls1_3",
        "-cert",
        &shown,
        "-key",
        &shown,
        "-CAfile",
        &server_ca,
        "-verify_return_error",
    ]);
    let (socket, _) = listener.accept().await.unwrap();
    let mut peer = server.accept(socket, soon()).await.unwrap();
    converse(&mut peer.stream, &mut openssl, "KEYUPDATE").await;
    openssl.tell("Q");
    let end = timeout(PATIENCE, peer.stream.read(&mut [0; 8])).await;
    assert_eq!(
        end.expect("an end in time").unwrap(),
        0,
        "OpenSSL says its end"
    );
}
