//! Silent, slow and numerous peers.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::world::{Answer, PATIENCE, World};

/// Reads until the peer closes; returns what came and how long it took.
async fn until_closed(stream: &mut TcpStream) -> (String, Duration) {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes));
    // A reset ends a connection as well as a close does.
    if let Err(error) = read.await.expect("the connection was not cut") {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    (
        String::from_utf8_lossy(&bytes).into_owned(),
        begun.elapsed(),
    )
}

/// Sends a byte every 200 ms until the peer closes; returns how long that took.
async fn drip(world: &World, start: &str, piece: &str) -> Duration {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let begun = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_millis(200));
    let mut buffer = [0; 1024];
    writer.write_all(start.as_bytes()).await.unwrap();
    loop {
        tokio::select! {
            read = reader.read(&mut buffer) => {
                if matches!(read, Ok(0) | Err(_)) {
                    return begun.elapsed();
                }
            }
            _ = pace.tick() => {
                if writer.write_all(piece.as_bytes()).await.is_err() {
                    return begun.elapsed();
                }
            }
        }
        assert!(begun.elapsed() < PATIENCE, "the connection was not cut");
    }
}

#[tokio::test]
async fn a_silent_peer_is_cut() {
    let world = World::start().await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let (_, took) = until_closed(&mut stream).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn a_silent_peer_is_cut_within_the_tls_handshake() {
    let world = World::start_with(|config| config.insecure_http = false).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let (_, took) = until_closed(&mut stream).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn a_peer_that_drips_its_header_is_cut() {
    let world = World::start().await;
    let took = drip(&world, "GET /livez HTTP/1.1\r\n", "a").await;
    assert!(
        (Duration::from_secs(3)..Duration::from_secs(8)).contains(&took),
        "{took:?}"
    );
}

#[tokio::test]
async fn a_peer_that_drips_its_body_is_cut() {
    let world = World::start().await;
    let head = "POST /token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 60000\r\n\
                content-type: application/x-www-form-urlencoded\r\n\r\n";
    let took = drip(&world, head, "a").await;
    assert!(
        (Duration::from_secs(13)..Duration::from_secs(22)).contains(&took),
        "{took:?}"
    );
}

#[tokio::test]
async fn a_header_beyond_its_limit_is_refused() {
    let world = World::start().await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "GET /livez HTTP/1.1\r\nhost: localhost\r\nx-long: {}\r\n\r\n",
        "a".repeat(20_000)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (text, _) = until_closed(&mut stream).await;
    assert!(
        text.is_empty() || text.starts_with("HTTP/1.1 431"),
        "{text}"
    );
    let many: String = (0..200).map(|at| format!("x-{at}: a\r\n")).collect();
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{many}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (text, _) = until_closed(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
}

#[tokio::test]
async fn connections_beyond_the_limit_of_an_address_are_closed() {
    let world = World::start_with(|config| config.bounds.per_address = 3).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        // Answered once, so that it is known to have been accepted.
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        held.push(stream);
    }
    let mut beyond = TcpStream::connect(world.address).await.unwrap();
    let (text, took) = until_closed(&mut beyond).await;
    assert!(
        text.is_empty() && took < Duration::from_secs(3),
        "{text} {took:?}"
    );
    drop(held);
    let deadline = Instant::now() + PATIENCE;
    // The place is given back as soon as the connection's end has been seen.
    while world.client.get(world.url("/livez")).send().await.is_err() {
        assert!(Instant::now() < deadline);
    }
}

#[tokio::test]
async fn connections_beyond_the_total_are_closed() {
    let world = World::start_with(|config| config.bounds.total = 1).await;
    let mut first = TcpStream::connect(world.address).await.unwrap();
    first
        .write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut start = [0; 12];
    first.read_exact(&mut start).await.unwrap();
    let mut beyond = TcpStream::connect(world.address).await.unwrap();
    let (text, took) = until_closed(&mut beyond).await;
    assert!(
        text.is_empty() && took < Duration::from_secs(3),
        "{text} {took:?}"
    );
}

#[tokio::test]
async fn requests_beyond_the_rate_are_told_when_to_come_back() {
    let one = NonZeroU32::MIN;
    let world = World::start_with(|config| config.policy.rates.source = one).await;
    let mut limited = None;
    for _ in 0..30 {
        let answer = world.post_form("x=y").await;
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
    }
    let limited = limited.expect("no request was refused");
    let seconds: u64 = limited.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=2).contains(&seconds));
    assert_eq!(limited.oauth_error().1, "temporarily_unavailable");
    let request = world
        .client
        .get(world.url("/v1/projects/demo/instances/db1"));
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.google_error().1, "rateLimitExceeded");
}

#[tokio::test]
async fn an_account_beyond_its_rate_is_refused_and_others_are_not() {
    let one = NonZeroU32::MIN;
    let world = World::start_with(|config| config.policy.rates.account = one).await;
    let noisy = world.caller("noisy", crate::registry::Mode::Strict).await;
    let quiet = world.caller("quiet", crate::registry::Mode::Strict).await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let answer = world
            .post_assertion(&noisy.sign(&noisy.claims(&world)))
            .await;
        statuses.push(answer.status.as_u16());
    }
    assert!(
        statuses.contains(&200) && statuses.contains(&429),
        "{statuses:?}"
    );
    let answer = world
        .post_assertion(&quiet.sign(&quiet.claims(&world)))
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn garbage_leaves_the_service_unharmed() {
    let world = World::start().await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
        b"POST /token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"POST /token HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let (text, _) = until_closed(&mut stream).await;
        assert!(!text.starts_with("HTTP/1.1 2"), "{text}");
    }
    assert_eq!(
        world
            .client
            .get(world.url("/livez"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn bodies_in_flight_are_bounded_for_each_source_and_given_back() {
    let world = World::start().await;
    let bodies = world.service.app.bodies.clone();
    let head = "POST /token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 60000\r\n\
                content-type: application/x-www-form-urlencoded\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..60 {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // All but the last byte; who has been refused may have been cut off by now.
        drop(stream.write_all(&vec![b'a'; 59_999]).await);
        held.push(stream);
    }
    let deadline = Instant::now() + PATIENCE;
    let limited = || {
        world
            .service
            .app
            .metrics
            .text()
            .contains("reason=\"limited\"")
    };
    while !limited() || bodies.in_flight() < 1 << 20 {
        assert!(
            Instant::now() < deadline,
            "{} bytes in flight",
            bodies.in_flight()
        );
        tokio::task::yield_now().await;
    }
    assert!(
        bodies.in_flight() <= 2 << 20,
        "{} bytes in flight",
        bodies.in_flight()
    );
    drop(held);
    while bodies.in_flight() > 0 {
        assert!(
            Instant::now() < deadline,
            "{} bytes in flight",
            bodies.in_flight()
        );
        tokio::task::yield_now().await;
    }
    assert_eq!(
        world.post_form("x=y").await.oauth_error().1,
        "invalid_request"
    );
    assert_eq!(bodies.in_flight(), 0);
}
