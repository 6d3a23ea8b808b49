//! Oversized and malformed requests, to every endpoint.

use serde_json::json;

use super::world::{Answer, World, ephemeral};

const KEYED: [&str; 2] = [
    "/sql/v1beta4/projects/demo/instances/db1:generateEphemeralCert",
    "/csql/v1/projects/demo/instances/db1:generateServerCert",
];

async fn send(world: &World, path: &str, token: &str, body: Vec<u8>) -> Answer {
    let request = world
        .client
        .post(world.url(path))
        .bearer_auth(token)
        .body(body);
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn bodies_that_are_not_json_objects_are_told_so() {
    let (world, client, agent) = World::with_db1().await;
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(20), "]".repeat(20));
    for path in KEYED {
        let caller = if path.starts_with("/sql") {
            &client
        } else {
            &agent
        };
        let token = world.token(caller, None).await;
        for body in [
            "",
            "{",
            "[]",
            "null",
            "\"x\"",
            "{} {}",
            r#"{"public_key":7,"publicKey":7}"#,
            r#"{"x":1,"x":2}"#,
            r#"{"public_key":"a","publicKey":"b"}"#,
            &deep,
            "\u{0}",
        ] {
            let answer = send(&world, path, &token, body.into()).await;
            assert_eq!(answer.google_error().0, 400, "{path} {body}");
        }
        let answer = send(&world, path, &token, vec![0xff; 100]).await;
        assert_eq!(answer.google_error().0, 400);
        let answer = send(&world, path, &token, vec![b' '; 70_000]).await;
        assert_eq!(answer.google_error().0, 413);
    }
}

#[tokio::test]
async fn names_with_tricks_are_refused_before_they_are_looked_up() {
    let (world, client, _) = World::with_db1().await;
    for name in [
        "..",
        "%2e%2e",
        "..%2f..%2fetc",
        "db1%00",
        "db1%0a",
        "%64b1%2f",
        "db1%20",
        "DB1",
        "%D0%B4b1",
        "db1'--",
        "db1%25",
        "-db1",
        &"a".repeat(64),
        "%zz",
        "db1%c0%af",
    ] {
        let token = world.token(&client, None).await;
        let settings = format!("/sql/v1beta4/projects/demo/instances/{name}/connectSettings");
        let answer = raw_get(&world, &settings, &token).await;
        assert!(
            matches!(answer.google_error().0, 400 | 404),
            "{name}: {answer:?}"
        );
        let project = format!("/v1/projects/{name}/instances/db1/connectSettings");
        let answer = raw_get(&world, &project, &token).await;
        assert!(
            matches!(answer.google_error().0, 400 | 404),
            "{name}: {answer:?}"
        );
    }
    let token = world.token(&client, None).await;
    let decoded = "/sql/v1beta4/projects/demo/instances/%64b1/connectSettings";
    assert_eq!(
        raw_get(&world, decoded, &token).await.status,
        200,
        "the control"
    );
}

/// Sends a path as it is: an ordinary client would tidy `..` up first.
async fn raw_get(world: &World, path: &str, token: &str) -> Answer {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    assert!(head.contains("content-type: application/json"), "{head}");
    Answer {
        status: status.try_into().unwrap(),
        headers,
        body: serde_json::from_str(body).unwrap(),
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_in_json() {
    let world = World::start().await;
    let answer = Answer::of(
        world
            .client
            .get(world.url("/nowhere"))
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(answer.google_error().0, 404);
    let request = world.client.delete(world.url(&ephemeral("db1")));
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.google_error().0, 405);
    assert_eq!(answer.headers["allow"], "POST");
    let answer = Answer::of(world.client.get(world.url("/token")).send().await.unwrap()).await;
    assert_eq!(answer.oauth_error_or_google(), 405);
    for header in ["cache-control", "x-request-id"] {
        assert!(answer.headers.contains_key(header));
    }
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

impl Answer {
    fn oauth_error_or_google(&self) -> u16 {
        assert!(self.body["error"].is_object() || self.body["error"].is_string());
        self.status.as_u16()
    }
}

#[tokio::test]
async fn requests_without_a_proof_are_refused_by_every_endpoint() {
    let (world, _, _) = World::with_db1().await;
    let paths = [
        "/v1/projects/demo/instances/db1",
        "/v1/projects/demo/instances/db1/connectSettings",
        "/csql/v1/projects/demo/instances/db1/agentSettings",
    ];
    for path in paths {
        let answer = Answer::of(world.client.get(world.url(path)).send().await.unwrap()).await;
        assert_eq!(answer.google_error().0, 401, "{path}");
    }
    for path in KEYED {
        let request = world
            .client
            .post(world.url(path))
            .json(&json!({ "public_key": "x" }));
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.google_error().0, 401, "{path}");
        assert_eq!(
            answer.headers["www-authenticate"],
            "Bearer error=\"invalid_token\""
        );
    }
    for bearer in [
        "a.b.c",
        "..",
        ".",
        "x",
        &"A".repeat(5000),
        &format!("{}.a.b", "A".repeat(9000)),
    ] {
        let answer = world.get(paths[1], bearer).await;
        assert_eq!(answer.google_error().0, 401);
    }
}

#[tokio::test]
async fn a_panic_in_a_handler_is_a_500_and_a_count() {
    use tower::ServiceExt as _;
    let world = World::start().await;
    let router = crate::http::router_that_panics(world.service.app.clone());
    let request = axum::http::Request::get("/")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 500);
    let body = axum::body::to_bytes(response.into_body(), 10_000)
        .await
        .unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["status"], "INTERNAL");
    assert!(!body.to_string().contains("planted"));
    let text = world.service.app.metrics.text();
    assert!(
        text.contains("cloudsql_ca_requests_total{route=\"panic\",status=\"500\"} 1"),
        "{text}"
    );
}
