//! Peers that are slow, silent, gone, or speak something else.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::meeting::world;
use crate::tls::TlsError;

#[tokio::test]
async fn a_silent_and_a_dripping_peer_are_cut_at_the_deadline() {
    let world = world();
    for drips in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let start = Instant::now();
        let deadline = start + Duration::from_millis(300);
        let drip = async {
            // The head of a record of 16 KiB, and then a byte now and then.
            client.write_all(&[22, 3, 1, 0x40, 0]).await.unwrap();
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            while drips && client.write_all(&[1]).await.is_ok() {
                ticks.tick().await;
            }
            std::future::pending::<()>().await;
        };
        let accepted = tokio::select! {
            accepted = world.server.accept(socket, deadline) => accepted,
            () = drip => unreachable!(),
        };
        assert!(matches!(accepted, Err(TlsError::Deadline)), "{accepted:?}");
        assert!(start.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_is_a_protocol_error() {
    let world = world();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    client.shutdown().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let error = world.server.accept(socket, deadline).await.unwrap_err();
    assert_eq!(error.kind(), "tls-protocol", "{error}");
}

#[tokio::test]
async fn a_peer_that_leaves_is_an_io_error() {
    let world = world();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    drop(
        TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap(),
    );
    let (socket, _) = listener.accept().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let error = world.server.accept(socket, deadline).await.unwrap_err();
    assert_eq!(error.kind(), "tls-io", "{error}");
}
