//! The PROXY header, which tells a database whose connection it is.

use proto::frame::Hello;
use proxy_server::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use transport::tls::Offer;

use crate::ca::Ca;
use crate::client::{Client, take};
use crate::database::{greeting, login_as};
use crate::direct::direct;
use crate::mysql;
use crate::running::{Agent, settings};

/// A MySQL that expects a PROXY header first, and keeps it.
async fn behind_a_proxy(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> (u8, Vec<u8>) {
    let mut head = [0; 16];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head[..12], b"\r\n\r\n\0\r\nQUIT\n");
    let mut addresses = vec![0; usize::from(u16::from_be_bytes([head[14], head[15]]))];
    stream.read_exact(&mut addresses).await.unwrap();
    (head[12], addresses)
}

#[tokio::test]
async fn a_database_that_wants_it_is_told_first_whose_connection_it_is() {
    let ca = Ca::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = format!("tcp:{}", listener.local_addr().unwrap());
    let agent = Agent::start(Settings {
        proxy_protocol: Some(true),
        ..direct(&ca, &place)
    })
    .await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    for (peer, expected) in [
        (Some("192.0.2.7:51234"), Some(([192, 0, 2, 7], 51234))),
        // Beside its client, and unknown: the client's machine.
        (Some("127.0.0.1:1"), None),
        (None, None),
    ] {
        let hello = Hello {
            peer: peer.map(str::to_owned),
            ..client.hello()
        };
        let (accepted, _tunnel) = tokio::join!(listener.accept(), client.open_with(&hello));
        let (mut stream, _) = accepted.unwrap();
        let (command, addresses) = behind_a_proxy(&mut stream).await;
        assert_eq!(command, 0x21);
        let port = u16::from_be_bytes([addresses[8], addresses[9]]);
        match expected {
            Some((ip, number)) => assert_eq!((&addresses[..4], port), (&ip[..], number)),
            None => {
                assert_eq!(&addresses[..4], [127, 0, 0, 1]);
                assert_ne!(port, 1, "the tunnel's own");
            }
        }
    }
    let socket = TcpStream::connect(agent.mysql.unwrap()).await.unwrap();
    let own = socket.local_addr().unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let (_, addresses) = behind_a_proxy(&mut stream).await;
    assert_eq!(
        u16::from_be_bytes([addresses[8], addresses[9]]),
        own.port(),
        "the direct client's"
    );
}

#[tokio::test]
async fn a_unix_socket_gets_the_header_too_and_nobody_gets_it_unasked() {
    let ca = Ca::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.sock");
    let listener = UnixListener::bind(&path).unwrap();
    for wanted in [true, false] {
        let text = format!("p:r:i?proxy-protocol={wanted}");
        let agent = Agent::start(Settings {
            instance: vec![text],
            ..settings(&ca, &format!("unix:{}", path.display()))
        })
        .await;
        let client = Client::of(&ca, &agent, Offer::Ours);
        let (accepted, opened) = tokio::join!(listener.accept(), client.open());
        let (mut stream, _) = accepted.unwrap();
        let mut tunnel = opened.unwrap();
        if wanted {
            behind_a_proxy(&mut stream).await;
        }
        stream.write_all(&greeting()).await.unwrap();
        take(&mut tunnel, greeting().len()).await;
        tunnel.write_all(&login_as("app")).await.unwrap();
        let (sequence, _) = mysql::read(&mut stream).await;
        assert_eq!(sequence, 1, "a response and nothing before");
    }
}
