//! Silence, headers that begin and do not end, and what every answer has.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::Instant;

use super::*;
use crate::serve::activity::{HEADER, IDLE};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// A served connection and how long it lasted, once it has ended.
fn serve(
    is_http2: bool,
) -> (
    DuplexStream,
    impl Future<Output = Duration> + Send + 'static,
) {
    let (near, far) = duplex(64 * 1024);
    let handler = async |request: axum::extract::Request| {
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(request);
        "hello"
    };
    let connection = Connection {
        router: Router::new().fallback(handler),
        clock: Clock::new(|| 1_700_000_000),
        stopping: CancellationToken::new(),
        tracker: TaskTracker::new(),
    };
    let begun = Instant::now();
    let served = async move {
        connection.serve(far, is_http2).await;
        begun.elapsed()
    };
    (near, served)
}

async fn answer(near: &mut DuplexStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"hello") {
        assert_ne!(near.read_buf(&mut bytes).await.unwrap(), 0, "it was closed");
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_lives_for_a_minute_and_a_header_begun_has_five_seconds() {
    // Where nothing comes any more, and where a header begins and does not end.
    for (begun, limit) in [(&b""[..], IDLE), (b"GET / HT", HEADER)] {
        let (mut near, served) = serve(false);
        let served = TaskTracker::new().spawn(served);
        for _ in 0..3 {
            near.write_all(GET).await.unwrap();
            let text = answer(&mut near).await;
            assert!(
                text.contains("date: Tue, 14 Nov 2023 22:13:20 GMT"),
                "{text}"
            );
            assert!(text.contains("keep-alive: timeout=55"), "{text}");
            tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
        }
        near.write_all(GET).await.unwrap();
        answer(&mut near).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let before = Instant::now();
        near.write_all(begun).await.unwrap();
        served.await.unwrap();
        let lasted = before.elapsed();
        let expected = if begun.is_empty() {
            limit - Duration::from_secs(30)
        } else {
            limit
        };
        assert!(
            (expected..expected + 2 * FAREWELL).contains(&lasted),
            "{begun:?}: {lasted:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_body_that_nobody_reads_begins_no_header() {
    let (mut near, served) = serve(false);
    let served = TaskTracker::new().spawn(served);
    let head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n";
    near.write_all(head).await.unwrap();
    // Before the answer, and too late to come in one piece with the header.
    tokio::time::sleep(Duration::from_millis(1)).await;
    near.write_all(b"body").await.unwrap();
    answer(&mut near).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    near.write_all(GET).await.unwrap();
    answer(&mut near).await;
    drop(near);
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn answers_of_the_http_library_itself_have_no_date_of_its_own() {
    let (mut near, served) = serve(false);
    let served = TaskTracker::new().spawn(served);
    near.write_all(b"nonsense\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    near.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.starts_with("HTTP/1.1 400") && !text.contains("date"),
        "{text}"
    );
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_http_2_connection_lives_for_a_minute_between_requests() {
    let (near, served) = serve(true);
    let served = TaskTracker::new().spawn(served);
    let io = TokioIo::new(near);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    TaskTracker::new().spawn(connection);
    let mut last = Instant::now();
    for _ in 0..3 {
        let request = Request::get("http://x/").body(Body::empty()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.headers()[DATE], "Tue, 14 Nov 2023 22:13:20 GMT");
        last = Instant::now();
        tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
    }
    served.await.unwrap();
    assert!(
        (IDLE..IDLE + 2 * FAREWELL).contains(&last.elapsed()),
        "{:?}",
        last.elapsed()
    );
}

#[tokio::test]
async fn a_silent_peer_is_cut_whatever_it_said_it_would_speak() {
    for is_http2 in [false, true] {
        let (_near, served) = serve(is_http2);
        let lasted = served.await;
        assert!(
            (Duration::from_secs(4)..Duration::from_secs(8)).contains(&lasted),
            "{lasted:?}"
        );
    }
}

#[tokio::test]
async fn a_peer_that_drips_http_2_frames_without_a_request_is_cut() {
    let (mut near, served) = serve(true);
    near.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    near.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let drip = async {
        // An empty SETTINGS frame, over and over; what comes back is read and thrown away.
        let mut buffer = [0; 1024];
        let mut pace = tokio::time::interval(Duration::from_millis(200));
        loop {
            tokio::select! {
                read = near.read(&mut buffer) => {
                    if matches!(read, Ok(0) | Err(_)) {
                        return;
                    }
                }
                _ = pace.tick() => {
                    if near.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    let (lasted, ()) = tokio::join!(served, drip);
    assert!(
        (Duration::from_secs(4)..Duration::from_secs(8)).contains(&lasted),
        "{lasted:?}"
    );
}
