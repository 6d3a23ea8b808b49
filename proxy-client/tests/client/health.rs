//! What probes and scrapers are told.

use std::net::TcpListener;
use std::time::Duration;

use daemon::shutdown::Signal;
use proxy_client::config::{Config, Http, Place};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use proto::{Code, Refusal};

use crate::agent::{GREETING, Manner};
use crate::ca::Instance;
use crate::ports::free_port;
use crate::time::Time;
use crate::world::{PATIENCE, World, first_words};

/// A configuration with health and metrics at a free port.
pub(crate) fn with_http(mut config: Config) -> (Config, u16) {
    let port = free_port();
    config.http = Some(Http {
        host: "127.0.0.1".into(),
        port,
        metrics: true,
    });
    (config, port)
}

/// The status and the body.
pub(crate) async fn get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

async fn until(port: u16, path: &str, status: u16) {
    let reached = async {
        while get(port, path).await.0 != status {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // An agent is checked every few seconds.
    let waited = timeout(PATIENCE * 3, reached).await;
    waited.unwrap_or_else(|_| panic!("{path} never becomes {status}"));
}

#[tokio::test]
async fn it_has_started_once_a_certificate_came_and_is_ready_while_it_can_serve() {
    let (world, _) = World::new().await;
    world.ca.stop().await;
    let (mut config, port) = with_http(world.config(vec![world.instance("db1")]));
    config.stop.drain_for = PATIENCE;
    let mut client = world.client_of(config).await;
    for path in ["/startup", "/readiness"] {
        let (status, body) = get(port, path).await;
        assert_eq!(status, 503, "{path}: {body}");
        assert!(body.contains("CA unreachable, retrying"), "{body}");
    }
    assert_eq!(get(port, "/liveness").await.0, 200);
    world.ca.restart().await;
    client.works_after().await;
    until(port, "/readiness", 200).await;
    let (status, body) = get(port, "/startup").await;
    assert_eq!(status, 200);
    assert!(
        body.contains("\"instance\":\"demo:eu:db1\",\"ready\":true"),
        "{body}"
    );

    let mut open = client.connect().await;
    assert_eq!(first_words(&mut open).await, GREETING);
    let running = client.running.take().unwrap();
    client.shutdown.request(Signal::Terminate);
    let observed = async {
        until(port, "/readiness", 503).await;
        assert!(get(port, "/readiness").await.1.contains("stopping"));
        assert_eq!(get(port, "/startup").await.0, 200);
        drop(open);
    };
    tokio::join!(running.until_stopped(), observed);
}

#[tokio::test]
async fn at_the_limit_of_connections_it_is_not_ready() {
    let (world, _) = World::new().await;
    let (mut config, port) = with_http(world.config(vec![world.instance("db1")]));
    config.max_connections = Some(1);
    let client = world.client_of(config).await;
    until(port, "/readiness", 200).await;
    let mut open = client.connect().await;
    assert_eq!(first_words(&mut open).await, GREETING);
    let (status, body) = get(port, "/readiness").await;
    assert_eq!(status, 503);
    assert!(
        body.contains("the limit of connections is reached"),
        "{body}"
    );
    drop(open);
    until(port, "/readiness", 200).await;
}

#[tokio::test]
async fn it_has_not_started_while_one_instance_is_nowhere_though_another_is_at_two_places() {
    let (world, _) = World::new().await;
    world
        .agent
        .serves(&world.ca.knows(Instance::new("demo:eu:db2")));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut both = world.instance("demo:eu:db1");
    both.place = Place::Tcp {
        address: "localhost".parse().unwrap(),
        port: Some(0),
    };
    let mut nowhere = world.instance("demo:eu:db2");
    nowhere.place = Place::Tcp {
        address: "127.0.0.1".parse().unwrap(),
        port: Some(taken.local_addr().unwrap().port()),
    };
    let (config, port) = with_http(world.config(vec![both, nowhere]));
    let client = world.client_of(config).await;
    assert_eq!(client.mounts.len(), 2, "127.0.0.1 and ::1");
    until(port, "/readiness", 200).await;
    let (status, body) = get(port, "/startup").await;
    assert_eq!(status, 503, "{body}");
    assert!(
        body.contains("not all instances are listened for: demo:eu:db2"),
        "{body}"
    );
    assert_eq!(of(&body, "demo:eu:db1")["ready"], true, "{body}");
    let (status, body) = get(port, "/readiness").await;
    assert_eq!(status, 200, "{body}");
    let nowhere = of(&body, "demo:eu:db2");
    assert_eq!(nowhere["ready"], false, "{body}");
    assert_eq!(nowhere["listening"], false, "{body}");
}

/// The part of an instance.
fn of(body: &str, instance: &str) -> serde_json::Value {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let instances = body["instances"].as_array().unwrap();
    let found = instances.iter().find(|one| one["instance"] == instance);
    found.unwrap().clone()
}

/// No application connects: the client finds out by itself, and by itself that it is over.
#[tokio::test]
async fn readiness_is_red_while_the_agent_is_stopped_or_has_no_certificate_and_green_afterwards() {
    let (world, instance) = World::new().await;
    let (config, port) = with_http(world.config(vec![world.instance("db1")]));
    let _client = world.client_of(config).await;
    until(port, "/readiness", 200).await;
    world.agent.stop().await;
    until(port, "/readiness", 503).await;
    let (_, body) = get(port, "/readiness").await;
    let agent = &of(&body, "demo:eu:db1")["agent"];
    assert_eq!(agent["reachable"], false, "{body}");
    assert_eq!(agent["kind"], "agent-unreachable", "{body}");
    assert!(agent["age_seconds"].is_u64(), "{body}");
    world.agent.restart().await;
    until(port, "/readiness", 200).await;
    world.agent.shows_nothing(&instance);
    until(port, "/readiness", 503).await;
    let (_, body) = get(port, "/readiness").await;
    assert!(body.contains("no certificate to show"), "{body}");
    world.agent.serves(&instance);
    until(port, "/readiness", 200).await;
}

#[tokio::test]
async fn metrics_have_googles_names_and_count() {
    let (world, _) = World::new().await;
    let (config, port) = with_http(world.config(vec![world.instance("demo:eu:db1")]));
    let client = world.client_of(config).await;
    let mut open = client.connect().await;
    assert_eq!(first_words(&mut open).await, GREETING);
    let value = |text: &str, name: &str| -> Option<u64> {
        let start = format!("cloudsqlconn_{name}{{cloudsql_instance=\"demo:eu:db1\",");
        let line = text.lines().find(|line| line.starts_with(&start))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    let (_, text) = get(port, "/metrics").await;
    assert_eq!(value(&text, "open_connections"), Some(1), "{text}");
    assert_eq!(value(&text, "refresh_success_count"), Some(1));
    drop(open);
    let counted = async {
        loop {
            let (_, text) = get(port, "/metrics").await;
            if value(&text, "open_connections") == Some(0) {
                return text;
            }
        }
    };
    let text = timeout(PATIENCE, counted).await.unwrap();
    let greeting = u64::try_from(GREETING.len()).unwrap();
    assert_eq!(value(&text, "bytes_received"), Some(greeting));
    world.agent.stop().await;
    client.heard().await;
    let (_, text) = get(port, "/metrics").await;
    assert_eq!(value(&text, "dial_failure_count"), Some(1));
}

#[tokio::test]
async fn metrics_tell_each_leg_what_closed_sessions_and_why_they_were_refused() {
    let (mut world, _) = World::new().await;
    world.client_time = Time::new();
    world.client_time.set_back(120);
    let (config, port) = with_http(world.config(vec![world.instance("demo:eu:db1")]));
    let client = world.client_of(config).await;
    let mut open = client.connect().await;
    assert_eq!(first_words(&mut open).await, GREETING);
    drop(open);
    world
        .agent
        .manner(Manner::Refusing(Refusal::new(Code::NotServed, "no", "ask")));
    client.heard().await;
    let value = |text: &str, name: &str, labels: &str| -> Option<f64> {
        let line = text.lines().find(|line| {
            line.starts_with(&format!("cloudsqlconn_{name}{{")) && line.contains(labels)
        })?;
        line.rsplit(' ').next()?.parse().ok()
    };
    let counted = async {
        loop {
            let (_, text) = get(port, "/metrics").await;
            if value(&text, "closes_total", "by=\"application\"").is_some() {
                return text;
            }
        }
    };
    let text = timeout(PATIENCE, counted).await.unwrap();
    assert_eq!(
        value(&text, "closes_total", "by=\"application\""),
        Some(1.0)
    );
    for (result, count) in [("ok", 1.0), ("not-served", 1.0)] {
        let labels = format!("result=\"{result}\"");
        let found = value(&text, "connections_total", &labels);
        assert_eq!(found, Some(count), "{text}");
    }
    for leg in ["accept", "certificate", "tcp", "tls", "opening"] {
        let labels = format!("leg=\"{leg}\"");
        let count = value(&text, "dial_leg_seconds_count", &labels);
        let sum = value(&text, "dial_leg_seconds_sum", &labels).unwrap();
        assert_eq!(count, Some(1.0), "{leg}");
        assert!(sum > 0.0 && sum < 10.0, "{leg}: {sum}");
    }
    assert_eq!(value(&text, "dial_latency_count", ""), Some(1.0));
    let left = value(&text, "certificate_seconds_left", "").unwrap();
    assert!(left > 60.0, "{left}");
    let skew = value(&text, "clock_skew_seconds", "").unwrap();
    assert!(
        (118.0..=122.0).contains(&skew),
        "behind is positive: {skew}"
    );
}
