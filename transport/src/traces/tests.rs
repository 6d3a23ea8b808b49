use std::time::SystemTime;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;

/// Takes one request and answers it with this status; its head and its body.
async fn taken(listener: &TcpListener, status: u16) -> (String, Value) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap();
    let length = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let answer =
        format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}");
    stream.write_all(answer.as_bytes()).await.unwrap();
    (head, serde_json::from_slice(&body).unwrap())
}

fn settings(endpoint: String) -> TraceSettings {
    TraceSettings {
        endpoint,
        one_in: NonZeroU32::MIN,
        program: "cloudsql-proxy",
        version: "1.2.3",
        clock: Arc::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1000)),
    }
}

fn trace(session: &str) -> Trace {
    Trace {
        session: session.to_owned(),
        age: Duration::from_secs(10),
        within: None,
        legs: vec![Leg {
            name: "tls",
            after: Duration::from_millis(3),
            took: Duration::from_millis(200),
        }],
        attributes: vec![("cloudsql.instance", "p:r:i".to_owned())],
        error: None,
    }
}

fn spans(body: &Value) -> Vec<Value> {
    let spans = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
    spans.as_array().unwrap().clone()
}

#[tokio::test]
async fn a_session_is_told_as_one_trace_with_a_span_for_each_leg() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (tasks, last) = (TaskTracker::new(), CancellationToken::new());
    let traces = Traces::start(settings(endpoint), &tasks, last.clone()).unwrap();
    let mut refused = trace("two");
    refused.error = Some("no-grant".to_owned());
    refused.legs.clear();
    refused.within = Some(("cloudsql-proxy", "tls"));
    traces.tell(trace("one"));
    traces.tell(refused);
    last.cancel();
    let (head, body) = timeout(TIMEOUT, taken(&listener, 200)).await.unwrap();
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    let resource = &body["resourceSpans"][0]["resource"]["attributes"][0];
    assert_eq!(resource["key"], "service.name");
    assert_eq!(resource["value"]["stringValue"], "cloudsql-proxy");
    let spans = spans(&body);
    let [whole, leg, other] = spans.as_slice() else {
        panic!("{spans:?}");
    };
    assert_eq!(
        (&whole["name"], &leg["name"]),
        (&"session".into(), &"tls".into())
    );
    assert_eq!(
        (&whole["parentSpanId"], &leg["parentSpanId"]),
        (&"".into(), &whole["spanId"])
    );
    assert_eq!(whole["traceId"], leg["traceId"]);
    assert_ne!(whole["traceId"], other["traceId"]);
    for (span, field, length) in [
        (whole, "traceId", 32),
        (whole, "spanId", 16),
        (leg, "spanId", 16),
    ] {
        let id = span[field].as_str().unwrap();
        assert_eq!(id.len(), length);
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
    let times = |span: &Value| {
        let time = |field: &str| span[field].as_str().unwrap().parse::<u64>().unwrap();
        (time("startTimeUnixNano"), time("endTimeUnixNano"))
    };
    assert_eq!(times(whole), (990_000_000_000, 1_000_000_000_000));
    assert_eq!(times(leg), (990_003_000_000, 990_203_000_000));
    assert_eq!(whole["status"].as_object().unwrap().len(), 0);
    assert_eq!(
        (&other["status"]["code"], &other["status"]["message"]),
        (&2.into(), &"no-grant".into())
    );
    let attribute = &whole["attributes"][1];
    assert_eq!(
        (&attribute["key"], &attribute["value"]["stringValue"]),
        (&"cloudsql.instance".into(), &"p:r:i".into())
    );
    drop(traces);
    tasks.close();
    timeout(TIMEOUT, tasks.wait()).await.unwrap();
}

#[tokio::test]
async fn the_other_programs_leg_is_known_by_the_sessions_name_alone() {
    let mut theirs = trace("one");
    theirs.within = Some(("cloudsql-proxy", "tls"));
    let body = |trace: Trace, program| {
        let text = otlp::encode(&[trace], program, "1", SystemTime::UNIX_EPOCH);
        spans(&serde_json::from_str(&text).unwrap())
    };
    let ours = body(trace("one"), "cloudsql-proxy");
    let theirs = body(theirs, "cloudsql-proxy-server");
    assert_eq!(ours[0]["traceId"], theirs[0]["traceId"]);
    assert_eq!(ours[1]["spanId"], theirs[0]["parentSpanId"]);
    assert_ne!(ours[0]["spanId"], theirs[0]["spanId"]);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_not_there_costs_no_session_and_what_is_lost_is_counted() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let (tasks, last) = (TaskTracker::new(), CancellationToken::new());
    let traces = Traces::start(settings(endpoint), &tasks, last).unwrap();
    for _ in 0..=QUEUE {
        traces.tell(trace("one"));
    }
    assert_eq!(
        traces.lost.load(Ordering::Relaxed),
        1,
        "the queue is bounded"
    );
    let lost = Arc::clone(&traces.lost);
    drop(traces);
    tasks.close();
    tasks.wait().await;
    assert_eq!(
        lost.load(Ordering::Relaxed),
        1 + u64::try_from(QUEUE).unwrap()
    );
}

#[test]
fn one_session_in_so_many_is_told_of_and_always_the_same() {
    let mut few = settings("http://127.0.0.1".to_owned());
    few.one_in = NonZeroU32::new(10).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let start = |settings| Traces::start(settings, &TaskTracker::new(), CancellationToken::new());
    let (few, all) = (
        start(few).unwrap(),
        start(settings("http://127.0.0.1".to_owned())).unwrap(),
    );
    let names: Vec<String> = (0..1000).map(|number| format!("{number:016x}")).collect();
    let told = names.iter().filter(|name| few.is_wanted(name)).count();
    assert!((60..140).contains(&told), "{told}");
    assert!(names.iter().all(|name| all.is_wanted(name)));
    assert!(
        names
            .iter()
            .all(|name| few.is_wanted(name) == few.clone().is_wanted(name))
    );
}

#[test]
fn a_collectors_url_is_completed_and_a_wrong_one_is_told_without_its_secrets() {
    for (given, expected) in [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        (
            "https://otel.example/base/",
            "https://otel.example/base/v1/traces",
        ),
        ("http://otel:4318/v1/traces", "http://otel:4318/v1/traces"),
    ] {
        assert_eq!(address(given).unwrap().as_str(), expected);
    }
    for (given, problem) in [
        ("otel:4317", "scheme otel"),
        ("127.0.0.1:4318", "is no URL"),
        ("http://u:SECRET@otel:4318", "holds a user or a password"),
    ] {
        let told = address(given).unwrap_err().to_string();
        assert!(told.contains(problem) && !told.contains("SECRET"), "{told}");
    }
}
