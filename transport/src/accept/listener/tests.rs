//! Tests of listeners.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::*;
use crate::socket::{Peer, Socket, TcpOptions, is_tuned};

async fn accept(listener: &Listener) -> (Socket, Peer) {
    let accepted = listener.accept().await.unwrap();
    accepted.watched_by(None).unwrap()
}

#[tokio::test]
async fn an_accepted_tcp_connection_is_tuned_and_knows_its_peer() {
    let bound = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let handed = TcpListener::bind("127.0.0.1:0").unwrap();
    for listener in [bound, Listener::from_std(handed).unwrap()] {
        let addr = listener.local_addr().unwrap();
        assert_eq!(listener.local(), addr.to_string());
        let mut client = TcpStream::connect(addr).await.unwrap();
        let (mut socket, peer) = accept(&listener).await;
        assert_eq!(peer.addr, Some(client.local_addr().unwrap()));
        assert_eq!(peer.to_string(), client.local_addr().unwrap().to_string());
        client.write_all(b"x").await.unwrap();
        assert_eq!(socket.read_u8().await.unwrap(), b'x');
        let Socket::Tcp(stream) = socket else {
            panic!("not TCP");
        };
        assert!(is_tuned(&stream, &TcpOptions::default()).unwrap());
    }
}

#[tokio::test]
async fn a_listener_waits_for_the_next_connection() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db.sock");
    let unix = Listener::bind_unix(&path, 0o600).unwrap();
    let tcp = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = tcp.local_addr().unwrap();
    for _ in 0..3 {
        // It is asked before anybody has come, and again when that one is taken.
        let (accepted, client) = tokio::join!(accept(&unix), async {
            tokio::task::yield_now().await;
            UnixStream::connect(&path).await
        });
        drop((accepted, client.unwrap()));
        let (accepted, client) = tokio::join!(accept(&tcp), async {
            tokio::task::yield_now().await;
            TcpStream::connect(addr).await
        });
        drop((accepted, client.unwrap()));
    }
}

#[tokio::test]
async fn a_descriptor_that_does_not_listen_is_an_error_of_accepting() {
    let (tcp, unix) = (
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap(),
        socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap(),
    );
    for listener in [
        Listener::from_std(tcp.into()).unwrap(),
        Listener::from_std_unix(unix.into()).unwrap(),
    ] {
        let error = listener.accept().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
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
        let (mut socket, peer) = accept(&listener).await;
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
    drop(UnixListener::bind(&path).unwrap());
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
    let told = error.to_string();
    assert!(told.starts_with("this program itself listens on"), "{told}");
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

#[tokio::test]
async fn a_socket_gets_its_group_before_anybody_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db.sock");
    // Only root may give files away; everybody may give them to a group of their own.
    let is_root = rustix::process::geteuid().is_root();
    let group = if is_root {
        4321
    } else {
        rustix::process::getegid().as_raw()
    };
    let options = UnixOptions {
        group: Some(group),
        ..UnixOptions::of_mode(0o660)
    };
    let _listener = Listener::bind_unix_with(&path, &options).unwrap();
    let found = std::fs::symlink_metadata(&path).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::gid(&found), group);
    assert_eq!(found.permissions().mode() & 0o777, 0o660);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn an_abstract_name_stands_in_no_folder_and_can_be_taken_once() {
    use std::os::linux::net::SocketAddrExt as _;
    let name = format!("csql-test-{}", std::process::id());
    let path = std::path::PathBuf::from(format!("@{name}"));
    let listener = Listener::bind_unix(&path, 0o600).unwrap();
    assert_eq!(listener.local(), format!("@{name}"));
    let addr = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _client = std::os::unix::net::UnixStream::connect_addr(&addr).unwrap();
    let (_, peer) = accept(&listener).await;
    assert_eq!(peer.uid, Some(rustix::process::geteuid().as_raw()));
    assert_eq!(peer.gid, Some(rustix::process::getegid().as_raw()));
    assert!(!path.exists());
    let error = Listener::bind_unix(&path, 0o600).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
    drop(listener);
    drop(Listener::bind_unix(&path, 0o600).unwrap());
    let long = format!("@{}", "x".repeat(108));
    let error = Listener::bind_unix(Path::new(&long), 0o600).unwrap_err();
    assert!(matches!(error, BindError::TooLong { .. }), "{error}");
    let error = Listener::bind_unix(Path::new("@"), 0o600).unwrap_err();
    assert!(matches!(error, BindError::Nameless), "{error}");
}

#[tokio::test]
async fn a_path_of_200_characters_works_when_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let room = 200 - dir.path().as_os_str().len() - "//p:r:db1".len();
    let folder = dir.path().join("f".repeat(room));
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("p:r:db1");
    assert!(path.as_os_str().len() >= 199, "{path:?}");
    let options = UnixOptions {
        is_long_allowed: true,
        ..UnixOptions::of_mode(0o600)
    };
    let listener = Listener::bind_unix_with(&path, &options).unwrap();
    let link = dir.path().join("short");
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    UnixStream::connect(link.join("p:r:db1")).await.unwrap();
    // Whether it is stale is seen at that length, too.
    let error = Listener::bind_unix_with(&path, &options).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
    drop(listener);
    assert!(!path.exists());
    let error = Listener::bind_unix(&path, 0o600).unwrap_err().to_string();
    assert!(error.contains("/run/csql/db1"), "{error}");
}
