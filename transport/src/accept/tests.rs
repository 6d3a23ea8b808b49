//! Tests of listeners and of the accept loop.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::*;

/// Fails as often as told, then gives connections.
struct Failing {
    failures: Mutex<u32>,
    socket: Mutex<Vec<Socket>>,
}

impl Source for Failing {
    async fn accept(&self) -> io::Result<(Socket, Peer)> {
        {
            let mut left = self.failures.lock().unwrap();
            if *left > 0 {
                *left -= 1;
                // EMFILE: no descriptor is left.
                return Err(io::Error::from_raw_os_error(24));
            }
        }
        let socket = self.socket.lock().unwrap().pop();
        match socket {
            Some(socket) => Ok((socket, Peer::default())),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn accepting_goes_on_after_failures_and_waits_up_to_a_second_between_them() {
    let (one, _) = UnixStream::pair().unwrap();
    let source = Failing {
        failures: Mutex::new(20),
        socket: Mutex::new(vec![Socket::Unix(one)]),
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
    tracker: TaskTracker,
    ended: tokio::task::JoinHandle<()>,
}

/// A loop that greets connections with `hello`, and those over the limit with `full`.
fn run(limit: usize) -> Running {
    let listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
    let looped = {
        let (cancel, tracker) = (cancel.clone(), tracker.clone());
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
            accept_loop(listener, permits, cancel, &tracker, greet, refuse).await;
        }
    };
    Running {
        addr,
        ended: tracker.spawn(looped),
        cancel,
        tracker,
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
    assert_eq!(running.tracker.len(), 1, "the connection is still served");
    stream.write_u8(1).await.unwrap();
    running.tracker.close();
    running.tracker.wait().await;
}

#[tokio::test]
async fn an_accepted_tcp_connection_is_tuned_and_knows_its_peer() {
    let listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    assert_eq!(listener.local(), addr.to_string());
    let client = TcpStream::connect(addr).await.unwrap();
    let (socket, peer) = listener.accept().await.unwrap();
    assert_eq!(peer.addr, Some(client.local_addr().unwrap()));
    assert_eq!(peer.to_string(), client.local_addr().unwrap().to_string());
    let Socket::Tcp(stream) = socket else {
        panic!("not TCP");
    };
    assert!(stream.nodelay().unwrap());
}

#[tokio::test]
async fn a_unix_socket_has_its_mode_knows_its_peer_and_goes_away_with_the_listener() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [0o600, 0o660, 0o777] {
        let path = dir.path().join("db.sock");
        let listener = Listener::bind_unix(&path, mode).unwrap();
        let found = std::fs::symlink_metadata(&path).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!(found.permissions().mode() & 0o777, mode);
        assert_eq!(listener.local(), path.display().to_string());
        let mut client = UnixStream::connect(&path).await.unwrap();
        let (mut socket, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.uid, Some(rustix::process::geteuid().as_raw()));
        client.write_all(b"x").await.unwrap();
        assert_eq!(socket.read_u8().await.unwrap(), b'x');
        drop(listener);
        assert!(!path.exists(), "the path is left behind");
    }
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db.sock");
    // A standard listener does not unlink: this is what a killed process leaves.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let _listener = Listener::bind_unix(&path, 0o600).unwrap();
    UnixStream::connect(&path).await.unwrap();
}

#[tokio::test]
async fn a_live_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db.sock");
    let first = Listener::bind_unix(&path, 0o600).unwrap();
    let error = Listener::bind_unix(&path, 0o600).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
    UnixStream::connect(&path).await.unwrap();
    drop(first);
}

#[tokio::test]
async fn what_is_not_a_socket_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes");
    std::fs::write(&path, "mine").unwrap();
    let error = Listener::bind_unix(&path, 0o600).unwrap_err();
    assert!(matches!(error, BindError::NotASocket { .. }), "{error}");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(Listener::bind_unix(&link, 0o600).is_err());
    assert!(Listener::bind_unix(dir.path(), 0o600).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    assert!(link.is_symlink());
}

#[tokio::test]
async fn a_path_that_is_too_long_is_named_with_its_length_and_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let room = MAX_SUN_PATH - dir.path().as_os_str().len() - 1;
    let fits = dir.path().join("s".repeat(room));
    Listener::bind_unix(&fits, 0o600).unwrap();
    let long = dir.path().join("s".repeat(room + 1));
    let error = Listener::bind_unix(&long, 0o600).unwrap_err().to_string();
    let parts = [long.display().to_string(), "108".into(), "107".into()];
    for part in parts {
        assert!(error.contains(&part), "{error} lacks {part}");
    }
}

const MAX_SUN_PATH: usize = 107;

#[tokio::test]
async fn a_missing_folder_is_an_error_that_names_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("no/db.sock");
    let error = Listener::bind_unix(&path, 0o600).unwrap_err();
    assert!(error.to_string().contains("no/db.sock"), "{error}");
}

#[tokio::test]
async fn another_socket_at_the_path_survives_our_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db.sock");
    let ours = Listener::bind_unix(&path, 0o600).unwrap();
    std::fs::rename(&path, dir.path().join("moved")).unwrap();
    let theirs = Listener::bind_unix(&path, 0o600).unwrap();
    drop(ours);
    UnixStream::connect(&path).await.unwrap();
    drop(theirs);
}
