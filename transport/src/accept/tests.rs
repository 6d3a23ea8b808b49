//! Tests of the accept loop.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use super::*;

/// Fails as often as told, then gives connections.
struct Failing {
    failures: Mutex<u32>,
    accepted: Mutex<Vec<Accepted>>,
}

impl Incoming for Failing {
    async fn accept(&self) -> io::Result<Accepted> {
        {
            let mut left = self.failures.lock().unwrap();
            if *left > 0 {
                *left -= 1;
                // EMFILE: no descriptor is left.
                return Err(io::Error::from_raw_os_error(24));
            }
        }
        let accepted = self.accepted.lock().unwrap().pop();
        match accepted {
            Some(accepted) => Ok(accepted),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn accepting_goes_on_after_failures_and_waits_up_to_a_second_between_them() {
    let (one, _) = UnixStream::pair().unwrap();
    let source = Failing {
        failures: Mutex::new(20),
        accepted: Mutex::new(vec![Accepted::Unix(one)]),
    };
    let mut acceptor = Acceptor::new(source, "test".into());
    let start = Instant::now();
    acceptor.accept().await;
    // 5, 10, ... 640 ms are eight waits of 1275 ms together; then twelve of a second.
    let waited = start.elapsed().as_millis();
    assert!((13_275..13_400).contains(&waited), "{waited} ms");
    assert_eq!(acceptor.backoff, BACKOFF.0, "not reset by a success");
}

#[tokio::test(start_paused = true)]
async fn one_warning_a_minute_is_due() {
    let mut rarely = Rarely::default();
    assert!(rarely.due());
    assert!(!rarely.due());
    tokio::time::advance(WARN_EVERY - Duration::from_millis(1)).await;
    assert!(!rarely.due());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(rarely.due());
}

struct Running {
    addr: SocketAddr,
    cancel: CancellationToken,
    crew: Crew,
    ended: tokio::task::JoinHandle<()>,
}

/// A loop that greets connections with `hello`, and those over the limit with `full`.
fn run(limit: usize) -> Running {
    let listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let (cancel, crew) = (CancellationToken::new(), Crew::here(TaskTracker::new()));
    let looped = {
        let (cancel, crew) = (cancel.clone(), crew.clone());
        async move {
            let permits = Arc::new(Semaphore::new(limit));
            let greet = |mut socket: Socket, peer: Peer, permit| async move {
                assert!(peer.addr.is_some());
                socket.write_all(b"hello").await.unwrap();
                socket.read_u8().await.ok();
                drop(permit);
            };
            let refuse = |mut socket: Socket, _| async move {
                socket.write_all(b"full!").await.unwrap();
            };
            accept_loop(listener, permits, cancel, &crew, greet, refuse).await;
        }
    };
    Running {
        addr,
        ended: TaskTracker::new().spawn(looped),
        cancel,
        crew,
    }
}

async fn greeting(addr: SocketAddr) -> (TcpStream, [u8; 5]) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let mut text = [0; 5];
    stream.read_exact(&mut text).await.unwrap();
    (stream, text)
}

#[tokio::test]
async fn over_the_limit_the_caller_refuses_and_a_freed_permit_admits_again() {
    let running = run(1);
    let (first, text) = greeting(running.addr).await;
    assert_eq!(&text, b"hello");
    let (_second, text) = greeting(running.addr).await;
    assert_eq!(&text, b"full!");
    drop(first);
    let deadline = Instant::now() + Duration::from_secs(10);
    while greeting(running.addr).await.1 != *b"hello" {
        assert!(Instant::now() < deadline, "the permit never came back");
    }
}

#[tokio::test]
async fn a_cancelled_loop_closes_its_listener_and_leaves_connections_to_the_tracker() {
    let running = run(8);
    let (mut stream, _) = greeting(running.addr).await;
    running.cancel.cancel();
    running.ended.await.unwrap();
    assert!(TcpStream::connect(running.addr).await.is_err());
    assert_eq!(running.crew.len(), 1, "the connection is still served");
    stream.write_u8(1).await.unwrap();
    running.crew.close();
    running.crew.wait().await;
}
