//! A client's last words of the handshake: when they leave, and that they always do.

use std::future::poll_fn;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rcgen::DnType;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::coop::poll_proceed;
use tokio::time::Instant;

use super::pki::{Authority, Hands, Served, client_params, instance, server_params};
use crate::tls::{Material, Offer, ServerIdentity, TlsClient, TlsPeer, TlsServer, TlsStream};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Two ends, and a second hold on the server's socket.
struct Ends {
    client: TlsClient,
    server: TlsServer,
    near: TcpStream,
    far: TcpStream,
    watched: OwnedFd,
}

async fn ends(material: impl FnOnce(&Authority) -> Material) -> Ends {
    let (clients, servers) = (Authority::new("client CA"), Authority::new("server CA"));
    let served = Served {
        roots: [(instance(), Arc::new(clients.roots()))].into(),
        material: Some(Arc::new(servers.material(&server_params()))),
        ..Served::default()
    };
    let expected = ServerIdentity {
        dns_name: Some(instance().dns_name()),
        common_name: instance().common_name(),
    };
    let clock = Hands::new().clock();
    let material = material(&clients);
    let roots = servers.roots();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await;
    let far = listener.accept().await.unwrap().0;
    Ends {
        client: TlsClient::new(&material, &roots, expected, clock.clone(), Offer::Ours).unwrap(),
        server: TlsServer::new(Arc::new(served), clock).unwrap(),
        near: near.unwrap(),
        watched: far.as_fd().try_clone_to_owned().unwrap(),
        far,
    }
}

/// How many bytes wait at the server's socket, unread.
fn waiting(watched: &OwnedFd) -> usize {
    let mut bytes = [0; 64 * 1024];
    match recv(watched, &mut bytes, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, length)) => length,
        Err(Errno::WOULDBLOCK) => 0,
        Err(error) => panic!("{error}"),
    }
}

/// The client has begun, and what it has sent by then lies unread; then `say`, and the server gets all of it.
async fn begun<T>(
    ends: Ends,
    sent_by_then: impl Fn(usize) -> bool,
    say: impl AsyncFnOnce(&mut TlsStream) -> T,
    hear: impl AsyncFnOnce(TlsPeer),
) -> T {
    let Ends {
        client,
        server,
        near,
        far,
        watched,
    } = ends;
    let mut accepted = pin!(server.accept(far, soon()));
    let mut stream = tokio::select! {
        biased;
        begun = client.begin(near, soon()) => begun.unwrap().0,
        _ = &mut accepted => panic!("accepted before the client's last words"),
    };
    let bytes = waiting(&watched);
    assert!(sent_by_then(bytes), "{bytes} bytes were sent");
    let heard = async { hear(accepted.await.unwrap()).await };
    tokio::join!(say(&mut stream), heard).0
}

fn nothing(bytes: usize) -> bool {
    bytes == 0
}

fn usual(clients: &Authority) -> Material {
    clients.material(&client_params())
}

#[tokio::test]
async fn they_go_with_the_first_data() {
    for length in [1, 16 * 1024, 300_000] {
        let data: Vec<u8> = (0..length).map(|i: usize| i.to_be_bytes()[7]).collect();
        begun(
            ends(usual).await,
            nothing,
            async |stream| {
                stream.write_all(&data).await.unwrap();
                stream.flush().await.unwrap();
            },
            async |mut peer| {
                let mut heard = vec![0; length];
                peer.stream.read_exact(&mut heard).await.unwrap();
                assert!(heard == data, "bytes were changed");
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_flush_a_read_and_an_end_send_them_too() {
    let flush = async |stream: &mut TlsStream| stream.flush().await.unwrap();
    begun(ends(usual).await, nothing, flush, async |_| {}).await;
    let read = async |stream: &mut TlsStream| stream.read_u8().await.unwrap();
    let say = async |mut peer: TlsPeer| peer.stream.write_all(b"!").await.unwrap();
    let heard = begun(ends(usual).await, nothing, read, say).await;
    assert_eq!(heard, b'!');
    let end = async |stream: &mut TlsStream| stream.shutdown().await.unwrap();
    begun(ends(usual).await, nothing, end, async |mut peer| {
        assert_eq!(peer.stream.read(&mut [0]).await.unwrap(), 0);
    })
    .await;
}

/// Reads when its task has had its turn: the socket takes nothing, and gives nothing, until the next.
async fn read_out_of_turn(stream: &mut TlsStream) {
    poll_fn(|cx| {
        while let Poll::Ready(turn) = poll_proceed(cx) {
            turn.made_progress();
        }
        let mut bytes = [0; 1];
        let mut room = ReadBuf::new(&mut bytes);
        assert!(Pin::new(&mut *stream).poll_read(cx, &mut room).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn a_reader_sends_them_later_when_the_socket_takes_none_at_once() {
    let read = async |stream: &mut TlsStream| {
        read_out_of_turn(stream).await;
        stream.read_u8().await.unwrap()
    };
    let say = async |mut peer: TlsPeer| peer.stream.write_all(b"!").await.unwrap();
    assert_eq!(begun(ends(usual).await, nothing, read, say).await, b'!');
}

#[tokio::test]
async fn who_connects_without_a_word_to_say_has_sent_them() {
    let ends = ends(usual).await;
    let (connected, accepted) = tokio::join!(
        ends.client.connect(ends.near, soon()),
        ends.server.accept(ends.far, soon())
    );
    assert!(connected.is_ok() && accepted.is_ok());
}

#[tokio::test]
async fn those_that_are_longer_than_a_record_do_not_wait() {
    let long = |clients: &Authority| {
        let mut params = client_params();
        let name = &mut params.distinguished_name;
        name.push(DnType::OrganizationName, "long".repeat(5000));
        clients.material(&params)
    };
    begun(
        ends(long).await,
        |bytes| bytes > 20_000,
        async |stream| stream.write_all(b"data").await.unwrap(),
        async |mut peer| {
            let mut heard = [0; 4];
            peer.stream.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"data");
        },
    )
    .await;
}
