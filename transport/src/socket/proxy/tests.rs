//! Against tiny proxies of the test's own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::A;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::super::names::tests::server;
use super::*;

/// A proxy that reads what it expects and answers in turn; when it reads something else it hangs up.
async fn scripted(exchange: Vec<(Vec<u8>, Vec<u8>)>) -> (u16, TaskTracker) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tasks = TaskTracker::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for (expected, answer) in exchange {
            let mut read = vec![0; expected.len()];
            stream.read_exact(&mut read).await.unwrap();
            if read != expected {
                eprintln!("read {}", read.escape_ascii());
                return;
            }
            stream.write_all(&answer).await.unwrap();
        }
        // Until the client leaves.
        stream.read_u8().await.ok();
    });
    tasks.close();
    (port, tasks)
}

fn through(url: &str) -> Proxies {
    Proxies {
        all: Some(url.parse().unwrap()),
        ..Proxies::default()
    }
}

async fn dialled(proxies: &Proxies, host: &str, patience: Duration) -> Result<TcpStream, String> {
    let deadline = Instant::now() + patience;
    let (names, options) = (Names::default(), TcpOptions::default());
    let dialled = dial_through((proxies, &names), host, 3307, &options, deadline).await;
    dialled.map_err(|error| crate::error::chain(&error))
}

/// Goes through the proxy and hears what is behind it.
async fn hears(url: &str, host: &str, behind: &[u8]) {
    let mut stream = dialled(&through(url), host, Duration::from_secs(5))
        .await
        .unwrap();
    let mut heard = vec![0; behind.len()];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, behind);
}

async fn refused(url: &str, host: &str) -> String {
    let failed = dialled(&through(url), host, Duration::from_secs(5)).await;
    failed.unwrap_err()
}

const GRANTED: &[u8] = b"\x05\0\0\x01\x7f\0\0\x01\x0c\xeb";

fn by_name() -> Vec<u8> {
    b"\x05\x01\0\x03\x0cdb.corp.test\x0c\xeb".to_vec()
}

#[tokio::test]
async fn socks5h_leaves_the_name_to_the_proxy_and_takes_no_byte_of_what_is_behind() {
    let answer = [GRANTED, b"greeting"].concat();
    let (port, _tasks) = scripted(vec![
        (b"\x05\x01\0".to_vec(), b"\x05\0".to_vec()),
        (by_name(), answer),
    ])
    .await;
    hears(
        &format!("socks5h://127.0.0.1:{port}"),
        "db.corp.test",
        b"greeting",
    )
    .await;
}

#[tokio::test]
async fn socks5_tells_the_proxy_an_address() {
    for (host, wanted) in [
        ("192.0.2.9", &b"\x05\x01\0\x01\xc0\0\x02\x09\x0c\xeb"[..]),
        (
            "[2001:db8::1]",
            b"\x05\x01\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x0c\xeb",
        ),
    ] {
        let answer = [b"\x05\0\0\x03\x02ab\0\0", &b"hello"[..]].concat();
        let (port, _tasks) = scripted(vec![
            (b"\x05\x01\0".to_vec(), b"\x05\0".to_vec()),
            (wanted.to_vec(), answer),
        ])
        .await;
        hears(&format!("socks5://127.0.0.1:{port}"), host, b"hello").await;
    }
    let (port, _tasks) = scripted(Vec::new()).await;
    let text = refused(&format!("socks5://127.0.0.1:{port}"), "no such name").await;
    assert!(text.contains("\"no such name\" does not resolve"), "{text}");
}

/// A proxy that asks for a login if told so, and opens the way to one address alone; what it was asked for.
async fn opening(only: [u8; 4], greeting: &'static [u8]) -> (u16, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let log = Arc::clone(&asked);
    TaskTracker::new().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.read_exact(&mut [0; 3]).await.unwrap();
            stream.write_all(greeting).await.unwrap();
            let mut request = vec![0; 10];
            if stream.read_exact(&mut request).await.is_err() {
                log.lock().unwrap().push(Vec::new());
                continue;
            }
            let address = request[4..8].to_vec();
            let reply = if address == only { 0 } else { 4 };
            log.lock().unwrap().push(address);
            let answer = [5, reply, 0, 1, 0, 0, 0, 0, 0, 0];
            stream.write_all(&answer).await.unwrap();
            if reply == 0 {
                stream.write_all(b"hello").await.unwrap();
                stream.read_u8().await.ok();
            }
        }
    });
    (port, asked)
}

#[tokio::test]
async fn socks5_asks_for_each_address_until_the_proxy_reaches_one() {
    let a = |last| RData::A(A::new(192, 0, 2, last));
    let records = vec![("db.test.", a(1)), ("db.test.", a(2)), ("db.test.", a(3))];
    let (names, _server) = server(records).await;
    let dial = async |port: u16, names: &Names| {
        let proxies = through(&format!("socks5://127.0.0.1:{port}"));
        let deadline = Instant::now() + Duration::from_secs(5);
        let options = TcpOptions::default();
        dial_through((&proxies, names), "db.test", 3307, &options, deadline).await
    };
    let (port, asked) = opening([192, 0, 2, 2], b"\x05\0").await;
    let mut heard = [0; 5];
    let mut stream = dial(port, &names).await.unwrap();
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
    assert!(asked.lock().unwrap().contains(&vec![192, 0, 2, 2]));

    let (port, asked) = opening([192, 0, 2, 9], b"\x05\0").await;
    let text = dial(port, &names).await.unwrap_err().to_string();
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let told = format!("of {address}: host unreachable");
        assert!(text.contains(&told), "{text}");
    }
    assert_eq!(asked.lock().unwrap().len(), 3);

    // What is wrong with the login is wrong for every address: nobody is locked out for three tries.
    let (port, asked) = opening([192, 0, 2, 2], b"\x05\xff").await;
    let text = dial(port, &names).await.unwrap_err().to_string();
    assert!(text.contains("wants a user and a password"), "{text}");
    assert!(asked.lock().unwrap().len() <= 1, "{asked:?}");
}

#[tokio::test]
async fn socks5_gives_user_and_password_and_tells_when_they_are_wrong_without_showing_them() {
    let greeting = (b"\x05\x02\0\x02".to_vec(), b"\x05\x02".to_vec());
    let login = b"\x01\x03ann\x05s:c%t".to_vec();
    let (port, _tasks) = scripted(vec![
        greeting.clone(),
        (login.clone(), b"\x01\0".to_vec()),
        (by_name(), [GRANTED, b"hi"].concat()),
    ])
    .await;
    let url = |port| format!("socks5h://ann:s%3Ac%25t@127.0.0.1:{port}");
    hears(&url(port), "db.corp.test", b"hi").await;

    let (port, _tasks) = scripted(vec![greeting, (login, b"\x01\x01".to_vec())]).await;
    let text = refused(&url(port), "db.corp.test").await;
    assert!(text.contains("does not accept the user"), "{text}");
    assert!(
        text.contains(&format!("socks5h://127.0.0.1:{port}")),
        "{text}"
    );
    for secret in ["ann", "s:c", "s%3Ac"] {
        assert!(!text.contains(secret), "{text}");
        assert!(!format!("{:?}", through(&url(port))).contains(secret));
    }
    let (port, _tasks) = scripted(vec![(b"\x05\x01\0".to_vec(), b"\x05\xff".to_vec())]).await;
    let text = refused(&format!("socks5h://127.0.0.1:{port}"), "db.corp.test").await;
    assert!(text.contains("wants a user and a password"), "{text}");
}

#[tokio::test]
async fn what_a_socks_proxy_says_is_told() {
    let greeting = (b"\x05\x01\0".to_vec(), b"\x05\0".to_vec());
    for (answer, told) in [
        (
            &b"\x05\x02\0\x01\0\0\0\0\0\0"[..],
            "not allowed by its rules",
        ),
        (b"\x05\x05\0\x01\0\0\0\0\0\0", "connection refused"),
        (b"HTTP", "does not speak SOCKS5"),
    ] {
        let (port, _tasks) = scripted(vec![greeting.clone(), (by_name(), answer.to_vec())]).await;
        let text = refused(&format!("socks5h://127.0.0.1:{port}"), "db.corp.test").await;
        assert!(
            text.contains(told) && text.contains("db.corp.test:3307"),
            "{text}"
        );
    }
}

fn asked(login: &str) -> Vec<u8> {
    format!("CONNECT db.corp.test:3307 HTTP/1.1\r\nHost: db.corp.test:3307\r\n{login}\r\n")
        .into_bytes()
}

#[tokio::test]
async fn http_connect_opens_the_way_and_takes_no_byte_of_what_is_behind() {
    let answer = b"HTTP/1.1 200 Connection established\r\nVia: a\r\n\r\ngreeting".to_vec();
    let (port, _tasks) = scripted(vec![(asked(""), answer)]).await;
    hears(&format!("127.0.0.1:{port}"), "db.corp.test", b"greeting").await;

    let login = "Proxy-Authorization: Basic YW5uOnM6Yw==\r\n";
    let (port, _tasks) =
        scripted(vec![(asked(login), b"HTTP/1.0 200 ok\r\n\r\nhi".to_vec())]).await;
    hears(
        &format!("http://ann:s%3Ac@127.0.0.1:{port}"),
        "db.corp.test",
        b"hi",
    )
    .await;
}

#[tokio::test]
async fn what_an_http_proxy_says_is_told() {
    let long = [&b"HTTP/1.1 200 ok\r\n"[..], &[b'x'; 9000]].concat();
    for (answer, told) in [
        (
            &b"HTTP/1.1 403 Forbidden\r\n\r\n"[..],
            "it says: HTTP/1.1 403 Forbidden",
        ),
        (
            b"HTTP/1.1 407 Login\r\n\r\n",
            "user and password in its URL",
        ),
        (b"SSH-2.0-x\r\n\r\n", "does not speak HTTP"),
        (&long, "longer than 8192 bytes"),
    ] {
        let (port, _tasks) = scripted(vec![(asked(""), answer.to_vec())]).await;
        let text = refused(&format!("http://127.0.0.1:{port}"), "db.corp.test").await;
        assert!(text.contains(told), "{text}");
    }
}

#[tokio::test]
async fn a_host_that_would_write_headers_is_not_told_to_an_http_proxy() {
    let (port, _tasks) = scripted(Vec::new()).await;
    let text = refused(&format!("http://127.0.0.1:{port}"), "a\r\nX: y").await;
    assert!(text.contains("characters"), "{text}");
}

#[tokio::test]
async fn a_silent_proxy_is_given_up_at_the_deadline_and_a_dead_one_is_named() {
    for scheme in ["socks5h", "http"] {
        let (port, _tasks) = scripted(vec![(vec![0; 4096], Vec::new())]).await;
        let proxies = through(&format!("{scheme}://127.0.0.1:{port}"));
        let failed = dialled(&proxies, "db.corp.test", Duration::from_millis(100)).await;
        let text = failed.unwrap_err();
        assert!(text.contains("did not answer in time"), "{text}");
        assert!(
            text.contains(&format!("{scheme}://127.0.0.1:{port}")),
            "{text}"
        );
    }
    // Bound and not listening: nobody else gets the port.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let text = refused(&format!("socks5://127.0.0.1:{port}"), "192.0.2.1").await;
    assert!(
        text.contains(&format!("proxy socks5://127.0.0.1:{port}")),
        "{text}"
    );
    assert!(text.contains("does not accept connections"), "{text}");
}

#[tokio::test]
async fn this_machine_and_the_exempt_are_reached_without_the_proxy() {
    let agent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = agent.local_addr().unwrap();
    // Nobody is there; it must not be asked.
    let proxies = through("socks5h://127.0.0.1:1");
    let deadline = Instant::now() + Duration::from_secs(5);
    let options = TcpOptions::default();
    let way = (&proxies, &Names::default());
    let stream = dial_through(way, "127.0.0.1", addr.port(), &options, deadline).await;
    assert_eq!(stream.unwrap().peer_addr().unwrap(), addr);
    assert!(proxies.of_tunnel("db.corp.test", 3307).is_some());
    let exempt = Proxies {
        exempt: Exempt::parse("corp.test").unwrap(),
        ..proxies
    };
    assert!(exempt.of_tunnel("db.corp.test", 3307).is_none());
    assert!(
        exempt
            .of_https(&format!("https://{}", "ca.corp.test").parse().unwrap())
            .is_none()
    );
}

#[test]
fn the_one_for_https_stands_before_the_one_for_all_and_has_no_part_in_tunnels() {
    let https: Proxy = "proxy.test:3128".parse().unwrap();
    let mut proxies = Proxies {
        https: Some(https.clone()),
        ..Proxies::default()
    };
    assert!(proxies.of_tunnel("db.test", 3307).is_none());
    assert_eq!(
        proxies.of_https(&format!("https://{}", "ca.test").parse().unwrap()),
        Some(&https)
    );
    proxies.all = Some("socks5://socks.test".parse().unwrap());
    assert_eq!(
        proxies.of_https(&format!("https://{}", "ca.test").parse().unwrap()),
        Some(&https)
    );
    let tunnel = proxies.of_tunnel("db.test", 3307).unwrap();
    assert_eq!(tunnel.to_string(), "socks5://socks.test:1080");
}

#[test]
fn what_is_no_proxy_is_refused_without_showing_its_password() {
    for text in [
        "ftp://u:secret@host",
        "socks5://u:secret@",
        "http://u:secret@host:99999",
        "socks4://u:secret@host:1",
    ] {
        let problem = text.parse::<Proxy>().unwrap_err();
        assert!(!problem.contains("secret"), "{problem}");
    }
}

#[test]
fn the_variables_are_read_in_capitals_first_and_all_that_is_wrong_is_said() {
    let read = |variables: &'static [(&str, &str)]| {
        Proxies::read(move |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| *value)
        })
    };
    let proxies = read(&[
        ("all_proxy", "socks5://small.test"),
        ("ALL_PROXY", "socks5://large.test"),
        ("https_proxy", "https://tls.test"),
        ("NO_PROXY", "direct.test"),
    ])
    .unwrap();
    let shown = |proxy: Option<&Proxy>| proxy.map(ToString::to_string);
    assert_eq!(
        shown(proxies.of_tunnel("a.test", 3307)).as_deref(),
        Some("socks5://large.test:1080")
    );
    assert_eq!(
        shown(proxies.of_https(&format!("https://{}", "a.test").parse().unwrap())).as_deref(),
        Some("https://tls.test:443")
    );
    assert_eq!(shown(proxies.of_tunnel("direct.test", 3307)), None);
    let wrong = read(&[("ALL_PROXY", "https://a.test"), ("HTTPS_PROXY", "ftp://b")]);
    let names: Vec<_> = wrong.unwrap_err().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["HTTPS_PROXY", "ALL_PROXY"]);
    let wrong = read(&[("ALL_PROXY", "http://a.test"), ("NO_PROXY", "b.test:port")]);
    assert!(wrong.unwrap_err()[0].1.contains("\"b.test:port\""));
    assert!(read(&[("NO_PROXY", "b.test:port")]).is_ok());
    assert_eq!(read(&[]).unwrap(), Proxies::default());
}
