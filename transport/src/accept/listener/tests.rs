//! Tests of listeners.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::*;

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
