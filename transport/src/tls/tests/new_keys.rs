//! Keys that are changed while a connection stands, with rustls at the other end.

use std::io::{self, Read as _, Write as _};
use std::sync::mpsc::{Receiver, channel};

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::interop::{Ours, SUITES, meet};
use crate::socket::Socket;
use crate::tls::TlsStream;

#[tokio::test]
async fn a_new_key_that_is_asked_for_is_used_from_the_next_record_on() {
    let (mut stream, theirs) = meet(Ours::Client, SUITES[1], |theirs| {
        theirs.read_exact(&mut [0; 3])?;
        theirs
            .connection
            .refresh_traffic_keys()
            .map_err(io::Error::other)?;
        theirs.write_all(b"x")?;
        let mut answer = [0; 6];
        theirs.read_exact(&mut answer)?;
        Ok(answer)
    })
    .await;
    for byte in *b"123" {
        stream.write_u8(byte).await.unwrap();
    }
    let before = stream.sealed().unwrap();
    assert!(before >= 3, "{before}");
    stream.read_u8().await.unwrap();
    assert_eq!(
        stream.sealed(),
        Some(before),
        "nothing is sent for it alone"
    );
    stream.write_all(b"answer").await.unwrap();
    assert_eq!(stream.sealed(), Some(1), "the first record of a new key");
    assert_eq!(&theirs.join().unwrap().unwrap(), b"answer");
}

/// Reads, until all that the other side had sent before it said `sent` is read: no data among it.
async fn hear(stream: &mut TlsStream, sent: &Receiver<()>) {
    while sent.try_recv().is_err() {
        tokio::task::yield_now().await;
    }
    loop {
        tokio::select! {
            biased;
            read = stream.read_u8() => panic!("{read:?}"),
            () = tokio::task::yield_now() => {}
        }
        let Socket::Tcp(socket) = stream.socket_mut() else {
            panic!("not TCP")
        };
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        if recv(&*socket, &mut [0; 1], flags).is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn who_only_listens_may_ask_for_new_keys_again_and_again() {
    const ROUNDS: usize = 4;
    let (sent, is_sent) = channel();
    let (mut stream, theirs) = meet(Ours::Client, SUITES[1], move |theirs| {
        theirs.send()?;
        for _ in 0..ROUNDS {
            for _ in 0..30 {
                let renewed = theirs.connection.refresh_traffic_keys();
                renewed.map_err(io::Error::other)?;
                theirs.send()?;
            }
            sent.send(()).map_err(io::Error::other)?;
            theirs.read_exact(&mut [0; 1])?;
        }
        theirs.write_all(b"!")
    })
    .await;
    stream.flush().await.unwrap();
    for _ in 0..ROUNDS {
        hear(&mut stream, &is_sent).await;
        stream.write_u8(1).await.unwrap();
    }
    assert_eq!(stream.read_u8().await.unwrap(), b'!');
    theirs.join().unwrap().unwrap();
}
