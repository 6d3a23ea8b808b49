//! What an OpenTelemetry collector is told of sessions.

use daemon::shutdown::Signal;
use proto::{Code, Refusal};
use proxy_client::config::TraceConfig;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::agent::{GREETING, Manner};
use crate::world::{PATIENCE, World, first_words};

/// The spans of one request, which is answered well.
async fn told(collector: &TcpListener) -> Vec<Value> {
    let (mut stream, _) = collector.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("post /v1/traces "), "{head}");
    let length = head.split("content-length: ").nth(1).unwrap();
    let length = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let answer = b"HTTP/1.1 200 ok\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(answer).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let spans = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
    spans.as_array().unwrap().clone()
}

fn attribute<'s>(span: &'s Value, key: &str) -> Option<&'s str> {
    let attributes = span["attributes"].as_array()?;
    let found = attributes.iter().find(|one| one["key"] == key)?;
    found["value"]["stringValue"].as_str()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_and_its_legs_are_told_when_it_has_ended_also_when_the_program_ends() {
    let (world, _) = World::new().await;
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = world.config(vec![world.instance("demo:eu:db1")]);
    config.spare_tunnels = 0;
    config.traces = Some(TraceConfig {
        endpoint: format!("http://{}", collector.local_addr().unwrap()),
        one_in: 1.try_into().unwrap(),
    });
    let mut client = world.client_of(config).await;
    let mut app = client.connect().await;
    assert_eq!(first_words(&mut app).await, GREETING);
    drop(app);
    let spans = timeout(PATIENCE, told(&collector)).await.unwrap();
    let names: Vec<&str> = spans
        .iter()
        .map(|span| span["name"].as_str().unwrap())
        .collect();
    let expected = ["session", "accept", "certificate", "tcp", "tls", "opening"];
    assert_eq!(names, expected);
    let hello = world.agent.hellos().pop().unwrap();
    let whole = &spans[0];
    assert_eq!(
        attribute(whole, "session.id"),
        Some(hello.session_id.as_str())
    );
    assert_eq!(attribute(whole, "cloudsql.instance"), Some("demo:eu:db1"));
    assert_eq!(attribute(whole, "bytes.down"), Some("9"));
    let end = |span: &Value| {
        span["endTimeUnixNano"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let begin = |span: &Value| {
        span["startTimeUnixNano"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let mut last = begin(whole);
    for leg in &spans[1..] {
        assert_eq!(leg["parentSpanId"], whole["spanId"]);
        assert!(begin(leg) >= last && end(leg) <= end(whole), "{spans:?}");
        last = end(leg);
    }

    let refusal = Refusal::new(Code::NoGrant, "no grant for you", "ask");
    world.agent.manner(Manner::Refusing(refusal));
    client.heard().await;
    // The program ends before the collector would have been told.
    client.shutdown.request(Signal::Request);
    let running = client.running.take().unwrap();
    let (spans, _) = tokio::join!(timeout(PATIENCE, told(&collector)), running.until_stopped());
    let spans = spans.unwrap();
    assert_eq!(spans.len(), 1, "{spans:?}");
    let message = spans[0]["status"]["message"].as_str().unwrap();
    assert_eq!(message, "no-grant: no grant for you");
}
