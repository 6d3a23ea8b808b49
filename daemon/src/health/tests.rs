use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

struct Server {
    address: std::net::SocketAddr,
    ready: Arc<AtomicBool>,
    cancel: CancellationToken,
    tracker: TaskTracker,
}

async fn start() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ready = Arc::new(AtomicBool::new(false));
    let healthy: Probe = Arc::new(|| Verdict {
        healthy: true,
        body: "{}".into(),
    });
    let asked = Arc::clone(&ready);
    let probes = Probes {
        startup: Arc::clone(&healthy),
        readiness: Arc::new(move || Verdict {
            healthy: asked.load(Ordering::SeqCst),
            body: r#"{"reason":"no certificate"}"#.into(),
        }),
        liveness: healthy,
        metrics: Some(Arc::new(|| "# EOF\n".into())),
    };
    let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
    tracker.spawn(serve(listener, probes, cancel.clone(), tracker.clone()));
    Server {
        address,
        ready,
        cancel,
        tracker,
    }
}

async fn ask(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(server: &Server, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    ask(server, &request).await
}

#[tokio::test]
async fn readiness_follows_the_program_and_tells_the_reason() {
    let server = start().await;
    let answer = get(&server, "/readiness").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with(r#"{"reason":"no certificate"}"#));
    server.ready.store(true, Ordering::SeqCst);
    assert!(get(&server, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(get(&server, "/startup").await.starts_with("HTTP/1.1 200"));
    assert!(get(&server, "/metrics").await.ends_with("# EOF\n"));
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let server = start().await;
    assert!(get(&server, "/").await.starts_with("HTTP/1.1 404"));
    let post = "POST /liveness HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(ask(&server, post).await.starts_with("HTTP/1.1 405"));
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_cut() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /live").await.unwrap();
    let mut rest = Vec::new();
    // Paused time runs on by itself once every task waits for it.
    let ended = stream.read_to_end(&mut rest).await;
    assert!(ended.is_err() || !rest.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn cancelling_ends_server_and_connections() {
    let server = start().await;
    let _idle = TcpStream::connect(server.address).await.unwrap();
    get(&server, "/liveness").await;
    server.cancel.cancel();
    server.tracker.close();
    server.tracker.wait().await;
}

#[tokio::test]
async fn a_programs_own_pages_come_before_the_probes_whatever_the_method() {
    let (mut ours, theirs) = tokio::io::duplex(4096);
    let verdict: Probe = Arc::new(|| Verdict {
        healthy: true,
        body: "probe".into(),
    });
    let probes = Probes {
        startup: Arc::clone(&verdict),
        readiness: Arc::clone(&verdict),
        liveness: verdict,
        metrics: None,
    };
    let more: More = Arc::new(|method, path| {
        ((method, path) == ("POST", "/own")).then(|| Page {
            status: 202,
            kind: "text/plain",
            body: "own".into(),
        })
    });
    let pages = (probes, Some(more));
    let server = converse(theirs, pages, Access::Private, CancellationToken::new());
    let client = async {
        let requests = "POST /own HTTP/1.1\r\nHost: localhost\r\n\r\n\
             GET /liveness HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        ours.write_all(requests.as_bytes()).await.unwrap();
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let ((), answer) = tokio::join!(server, client);
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert!(
        answer.contains("own") && answer.ends_with("probe"),
        "{answer}"
    );
}

#[tokio::test]
async fn silent_connections_in_any_number_do_not_keep_a_probe_waiting() {
    let server = start().await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let asked = tokio::time::timeout(Duration::from_secs(4), get(&server, "/liveness")).await;
    assert!(asked.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn probes_are_answered_while_the_programs_own_thread_is_busy() {
    use std::io::{Read as _, Write as _};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let healthy: Probe = Arc::new(|| Verdict {
        healthy: true,
        body: "{}".into(),
    });
    let probes = Probes {
        startup: Arc::clone(&healthy),
        readiness: Arc::clone(&healthy),
        liveness: healthy,
        metrics: None,
    };
    let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
    super::start(listener, probes, cancel.clone(), &tracker).unwrap();
    // This test's only thread does nothing else meanwhile.
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    cancel.cancel();
    tracker.close();
    tracker.wait().await;
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "the port is free"
    );
}
