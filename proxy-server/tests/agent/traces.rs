//! What an OpenTelemetry collector is told of sessions.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;
use transport::tls::Offer;

use crate::ca::Ca;
use crate::client::{Client, take};
use crate::database::{Database, Manner, OK, greeting, login_as};
use crate::running::{Agent, PATIENCE, settings};

/// The spans of one request, which is answered well.
async fn told(collector: &TcpListener) -> Vec<Value> {
    let (mut stream, _) = collector.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
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
async fn a_session_is_told_with_its_legs_within_its_clients_and_a_refusal_with_its_reason() {
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let mut settings = settings(&ca, &database.place);
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    settings.otlp_endpoint = Some(endpoint);
    let agent = Agent::start(settings).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let mut session = client.open().await.unwrap();
    take(&mut session, greeting().len()).await;
    session.write_all(&login_as("app")).await.unwrap();
    take(&mut session, OK.len()).await;
    drop(session);
    let spans = timeout(PATIENCE, told(&collector)).await.unwrap();
    let names: Vec<&str> = spans
        .iter()
        .map(|span| span["name"].as_str().unwrap())
        .collect();
    let expected = [
        "session",
        "policy",
        "database",
        "greeting",
        "authentication",
    ];
    assert_eq!(names, expected);
    let whole = &spans[0];
    assert_eq!(attribute(whole, "session.id"), Some("test-session"));
    assert_eq!(attribute(whole, "cloudsql.instance"), Some("p:r:i"));
    assert!(
        attribute(whole, "principal").unwrap().contains('@'),
        "{whole}"
    );
    assert_eq!(
        whole["parentSpanId"].as_str().unwrap().len(),
        16,
        "the client's leg"
    );
    for leg in &spans[1..] {
        assert_eq!(leg["parentSpanId"], whole["spanId"]);
    }

    let mut hello = client.hello();
    hello.instance = "p:r:other".to_owned();
    client.open_with(&hello).await.unwrap_err();
    // The agent ends before the collector would have been told.
    agent.shutdown.request(daemon::shutdown::Signal::Request);
    let spans = timeout(PATIENCE, told(&collector)).await.unwrap();
    let [refused] = spans.as_slice() else {
        panic!("{spans:?}");
    };
    assert_eq!(refused["status"]["code"], 2, "{refused}");
    assert!(!refused["status"]["message"].as_str().unwrap().is_empty());
}
