//! The CA through a proxy: by the same decision as tunnels, and with the proxy's name when it fails.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::fake::{NOW, settable, settings};
use crate::authority::{Authority, Credentials};
use crate::socket::Proxies;

/// A proxy that reads as many bytes as `reads` says at each step, answers, and hangs up; what it read in all.
async fn proxy(steps: Vec<(usize, Vec<u8>)>) -> (u16, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = TaskTracker::new().spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        for (length, answer) in steps {
            let mut bytes = vec![0; length];
            stream.read_exact(&mut bytes).await.unwrap();
            read.extend(bytes);
            stream.write_all(&answer).await.unwrap();
        }
        read
    });
    (port, task)
}

/// What a call to a CA that only the proxy could find comes to.
async fn told(ca: &str, variables: &[(&str, String)]) -> String {
    let credentials = Credentials::StaticToken("given".to_owned().into());
    let mut settings = settings(credentials, Some(ca), settable(NOW).0);
    let read = Proxies::read(|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    });
    settings.proxies = read.unwrap();
    let authority = Authority::new(settings).unwrap();
    let called = authority.connect_settings("p", "db1").await;
    called.unwrap_err().to_string()
}

const CA: &str = "https://ca.corp.test";
const CONNECT: &str = "CONNECT ca.corp.test:443 HTTP/1.1\r\n";

#[tokio::test]
async fn the_ca_is_asked_for_at_the_proxy_for_https_and_the_proxy_that_refuses_is_named() {
    let (port, task) = proxy(vec![(
        CONNECT.len(),
        b"HTTP/1.1 403 Forbidden\r\n\r\n".to_vec(),
    )])
    .await;
    let text = told(
        CA,
        &[
            ("ALL_PROXY", "socks5h://127.0.0.1:1".to_owned()),
            ("HTTPS_PROXY", format!("http://u:secret@127.0.0.1:{port}")),
        ],
    )
    .await;
    let proxy = format!("through the proxy http://127.0.0.1:{port}: ");
    assert!(text.contains(&proxy) && !text.contains("secret"), "{text}");
    assert_eq!(String::from_utf8(task.await.unwrap()).unwrap(), CONNECT);
}

#[tokio::test]
async fn the_ca_is_asked_for_at_the_socks_proxy_for_all_by_its_name() {
    let request = b"\x05\x01\0\x03\x0cca.corp.test\x01\xbb";
    let (port, task) = proxy(vec![
        (3, b"\x05\0".to_vec()),
        (request.len(), b"\x05\x02\0\x01\0\0\0\0\0\0".to_vec()),
    ])
    .await;
    let text = told(CA, &[("all_proxy", format!("socks5h://127.0.0.1:{port}"))]).await;
    let proxy = format!("through the proxy socks5h://127.0.0.1:{port}: ");
    assert!(text.contains(&proxy), "{text}");
    let read = task.await.unwrap();
    assert_eq!(
        read.strip_prefix(b"\x05\x01\0"),
        Some(&request[..]),
        "{}",
        read.escape_ascii()
    );
}

#[tokio::test]
async fn a_ca_on_this_machine_is_reached_without_the_proxy() {
    // Bound and not listening: nobody else gets the port.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let ca = format!("https://{}", socket.local_addr().unwrap());
    let (port, _task) = proxy(Vec::new()).await;
    let text = told(&ca, &[("ALL_PROXY", format!("http://127.0.0.1:{port}"))]).await;
    assert!(text.contains("connection refused"), "{text}");
    assert!(!text.contains("proxy"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_is_silent_or_dead_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let text = told(CA, &[("HTTPS_PROXY", silent.clone())]).await;
    let wanted = format!("the proxy {silent}: it did not answer in time");
    assert!(text.contains(&wanted), "{text}");

    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let dead = format!("http://{}", socket.local_addr().unwrap());
    let text = told(CA, &[("HTTPS_PROXY", dead.clone())]).await;
    let wanted = format!("the proxy {dead}: it does not accept connections");
    assert!(text.contains(&wanted), "{text}");
}
