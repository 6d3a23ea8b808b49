//! The encrypted stream under the copy loop, and HTTPS.

use std::sync::Arc;
use std::time::Duration;

use proto::machine::Inputs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::pki::{Authority, Hands, NOW, Served, at, client_params, instance, server_params};
use crate::tls::provider::{Time, provider};
use crate::tls::{HttpsServer, Offer, ServerIdentity, TlsClient, TlsServer, TlsStream};
use crate::tunnel::{Ended, EndedBy, Limits, copy};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub(super) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(addr), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// The two ends of one encrypted connection.
pub(super) async fn tls_pair() -> (TlsStream, TlsStream) {
    let (clients, servers) = (Authority::new("client CA"), Authority::new("server CA"));
    let served = Served {
        roots: [(instance(), Arc::new(clients.roots()))].into(),
        material: Some(Arc::new(servers.material(&server_params()))),
        ..Served::default()
    };
    let server = TlsServer::new(Arc::new(served), Hands::new().clock()).unwrap();
    let expected = ServerIdentity {
        dns_name: Some(instance().dns_name()),
        common_name: instance().common_name(),
    };
    let material = clients.material(&client_params());
    let client = TlsClient::new(
        &material,
        &servers.roots(),
        expected,
        Hands::new().clock(),
        Offer::Ours,
    )
    .unwrap();
    let (near, far) = tcp_pair().await;
    let (near, far) = tokio::join!(client.connect(near, soon()), server.accept(far, soon()));
    (near.unwrap().0, far.unwrap().stream)
}

/// Application, client, tunnel, agent, database: two copy loops with TLS between them.
async fn through<F>(script: impl FnOnce(TcpStream, TcpStream) -> F) -> (Ended, Ended)
where
    F: Future<Output = ()>,
{
    let (far_app, mut app) = tcp_pair().await;
    let (mut client, mut agent) = tls_pair().await;
    let (mut db, far_db) = tcp_pair().await;
    let limits = Limits::default();
    let cancel = CancellationToken::new();
    let at_client = async {
        let ended = copy(&mut app, &mut client, Inputs::default(), &limits, &cancel).await;
        drop((app, client));
        ended
    };
    let at_agent = async {
        let ended = copy(&mut agent, &mut db, Inputs::default(), &limits, &cancel).await;
        drop((agent, db));
        ended
    };
    let (client, agent, ()) = tokio::join!(at_client, at_agent, script(far_app, far_db));
    (client, agent)
}

#[tokio::test]
async fn ten_megabytes_each_way_arrive_whole_through_the_tunnel() {
    let bytes: Vec<u8> = (0..10_u32 << 20)
        .map(|i| i.wrapping_mul(31).to_be_bytes()[2])
        .collect();
    let back: Vec<u8> = bytes.iter().rev().copied().collect();
    let (client, agent) = through(|mut app, mut db| async move {
        let (mut app_read, mut app_write) = app.split();
        let (mut db_read, mut db_write) = db.split();
        let (mut up, mut down) = (Vec::new(), Vec::new());
        tokio::join!(
            async {
                app_write.write_all(&bytes).await.unwrap();
                app_write.shutdown().await.unwrap();
            },
            async {
                db_write.write_all(&back).await.unwrap();
                db_write.shutdown().await.unwrap();
            },
            async { db_read.read_to_end(&mut up).await.unwrap() },
            async { app_read.read_to_end(&mut down).await.unwrap() },
        );
        assert!(up == bytes && down == back, "bytes were changed");
    })
    .await;
    for ended in [client, agent] {
        assert_eq!((ended.up, ended.down), (10 << 20, 10 << 20));
        assert!(ended.error.is_none(), "{:?}", ended.error);
    }
}

#[tokio::test]
async fn a_half_close_passes_the_tunnel_and_the_answer_comes_back() {
    let (client, agent) = through(|mut app, mut db| async move {
        app.write_all(b"last question").await.unwrap();
        app.shutdown().await.unwrap();
        let mut asked = Vec::new();
        db.read_to_end(&mut asked).await.unwrap();
        assert_eq!(asked, b"last question");
        db.write_all(b"answer").await.unwrap();
        db.shutdown().await.unwrap();
        let mut answer = Vec::new();
        app.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
    })
    .await;
    assert_eq!(client.by, EndedBy::Application);
    assert_eq!(agent.by, EndedBy::Application);
}

#[tokio::test]
async fn small_questions_and_answers_take_turns() {
    through(|mut app, mut db| async move {
        for turn in 0..500_u32 {
            app.write_u32(turn).await.unwrap();
            assert_eq!(db.read_u32().await.unwrap(), turn);
            db.write_u32(!turn).await.unwrap();
            assert_eq!(app.read_u32().await.unwrap(), !turn);
        }
    })
    .await;
}

#[tokio::test]
async fn an_https_server_offers_both_versions_of_http_and_shows_the_current_certificate() {
    let servers = Authority::new("root");
    let material = Arc::new(servers.material(&server_params()));
    let server = HttpsServer::new(move || Some(Arc::clone(&material))).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(servers.pem.as_bytes()).unwrap())
        .unwrap();
    for (version, offered, chosen) in [
        (&rustls::version::TLS13, &["h2", "http/1.1"][..], Some("h2")),
        (&rustls::version::TLS12, &["http/1.1"][..], Some("http/1.1")),
        (&rustls::version::TLS13, &[][..], None),
    ] {
        let time = Arc::new(Time(Arc::new(|| at(NOW))));
        let mut config = ClientConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = offered
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let name = ServerName::try_from(instance().dns_name()).unwrap();
        let (near, far) = tcp_pair().await;
        let (connected, accepted) = tokio::join!(
            TlsConnector::from(Arc::new(config)).connect(name, near),
            server.accept(far, soon())
        );
        connected.unwrap();
        assert_eq!(accepted.unwrap().alpn(), chosen.map(str::as_bytes));
    }
}
