//! Listeners that the service manager opened: a program that inherits them as descriptors, as systemd does it.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use tokio::net::TcpStream;

use crate::agent::GREETING;
use crate::ports::free_port;
use crate::program::Running;
use crate::world::{World, assert_echoes, first_words};

/// Hands over standard input, and standard output too when there are two names, then becomes the program.
const HAND_OVER: &str = "exec 3<&0 4<&1 0</dev/null 1>&2; \
     LISTEN_PID=${PID-$$} exec \"$0\" \"$@\"";

/// The program as a service manager starts it, with all that it says on standard error.
fn handed(names: &str, sockets: Vec<OwnedFd>, flags: &[&str]) -> Command {
    let mut command = Command::new("/bin/bash");
    command
        .env_clear()
        .args(["-c", HAND_OVER, env!("CARGO_BIN_EXE_cloudsql-proxy")])
        .args(flags)
        .env("LISTEN_FDS", sockets.len().to_string())
        .env("LISTEN_FDNAMES", names)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut sockets = sockets.into_iter();
    if let Some(socket) = sockets.next() {
        command.stdin(socket);
    }
    if let Some(socket) = sockets.next() {
        command.stdout(socket);
    }
    command
}

fn tcp() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// What the program complains of; it must end with 64.
fn complaints(names: &str, sockets: Vec<OwnedFd>) -> String {
    // It would end with 1 and this complaint if it came further.
    let nowhere = "--sqladmin-api-endpoint=http://192.0.2.1";
    let flags = ["p:r:a?port=1", "p:r:b?port=2", "--token=t", nowhere];
    let output = handed(names, sockets, &flags).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{text}");
    text
}

async fn end(mut running: Running) -> String {
    use std::io::Read as _;
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    let mut said = String::new();
    let stderr = running.0.stderr.as_mut().unwrap();
    tokio::task::block_in_place(|| stderr.read_to_string(&mut said).unwrap());
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn who_connected_before_the_program_ran_is_served_on_the_socket_that_was_handed_over() {
    let (world, _) = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.sock");
    let key = world.ca.key_file();
    let tunnel_port = format!("--tunnel-port={}", world.agent.address.port());
    let port = free_port();
    let instance = format!("demo:eu:db1?port={port}");
    let flags = [&instance, "--json-credentials", &key, &tunnel_port];

    let (listener, address) = tcp();
    let mut early = TcpStream::connect(&address).await.unwrap();
    let mut command = handed("demo.eu.db1", vec![listener.into()], &flags);
    let running = Running(command.spawn().unwrap());
    drop(command);
    assert_eq!(first_words(&mut early).await, GREETING);
    assert_echoes(&mut early).await;
    let mut late = TcpStream::connect(&address).await.unwrap();
    assert_eq!(first_words(&mut late).await, GREETING);
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    let said = end(running).await;
    let line = format!("[demo:eu:db1] Listening on {address}");
    assert_eq!(said.matches("Listening on").count(), 1, "{said}");
    assert!(said.contains(&line), "{said}");

    let listener = UnixListener::bind(&path).unwrap();
    let mut early = tokio::net::UnixStream::connect(&path).await.unwrap();
    let mut command = handed("db1", vec![listener.into()], &flags);
    let running = Running(command.spawn().unwrap());
    drop(command);
    assert_eq!(first_words(&mut early).await, GREETING);
    assert_echoes(&mut early).await;
    let said = end(running).await;
    let line = format!("[demo:eu:db1] Listening on {}", path.display());
    assert!(said.contains(&line), "{said}");
    assert!(path.exists(), "it is the service manager's to remove");
}

#[test]
fn a_socket_that_fits_no_instance_or_one_that_has_its_own_ends_the_program_with_64() {
    let text = complaints("c", vec![tcp().0.into()]);
    assert!(
        text.contains("LISTEN_FDNAMES \"c\": is the name of no instance"),
        "{text}"
    );
    let text = complaints("a:p.r.a", vec![tcp().0.into(), tcp().0.into()]);
    assert!(text.contains("is handed over twice"), "{text}");
    let text = complaints("a", vec![tcp().0.into(), tcp().0.into()]);
    assert!(text.contains("as many names as LISTEN_FDS=2"), "{text}");
}

#[test]
fn what_is_no_listening_stream_socket_is_named_and_refused() {
    let (listener, address) = tcp();
    let connected = std::net::TcpStream::connect(address).unwrap();
    drop(listener);
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (one, _other) = UnixStream::pair().unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let wrong: [OwnedFd; 4] = [connected.into(), datagrams.into(), one.into(), file.into()];
    for socket in wrong {
        let text = complaints("a", vec![socket]);
        assert!(
            text.contains("a: is handed over as something that is no listening stream socket"),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_another_process_is_left_alone() {
    let (world, _) = World::new().await;
    let key = world.ca.key_file();
    let tunnel_port = format!("--tunnel-port={}", world.agent.address.port());
    let path = tempfile::tempdir().unwrap();
    let socket = path.path().join("db.sock");
    let instance = format!("db1?unix-socket-path={}", socket.display());
    let flags = [&instance, "--json-credentials", &key, &tunnel_port];
    let mut command = handed("nobody", vec![tcp().0.into()], &flags);
    let running = Running(command.env("PID", "1").spawn().unwrap());
    let begun = std::time::Instant::now();
    while !socket.exists() {
        assert!(
            begun.elapsed() < crate::world::PATIENCE,
            "it does not start"
        );
        tokio::task::yield_now().await;
    }
    let mut app = tokio::net::UnixStream::connect(&socket).await.unwrap();
    assert_eq!(first_words(&mut app).await, GREETING);
    let said = end(running).await;
    assert!(!said.contains("LISTEN_FDNAMES"), "{said}");
}
