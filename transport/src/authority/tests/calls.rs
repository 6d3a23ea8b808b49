//! Calls: paths, answers, and what each failure becomes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proto::Code;
use tokio::net::TcpListener;

use super::fake::*;
use crate::authority::{Authority, AuthorityError, Credentials, Failure};
use crate::tls::PrivateKey;

fn with_token(url: &str) -> Authority {
    let credentials = Credentials::StaticToken("given".to_owned().into());
    caller_with(credentials, Some(url), settable(NOW).0)
}

/// What becomes of an answer.
async fn failure(status: u16, body: &'static str) -> AuthorityError {
    let fake = Fake::start(move |_| Reply::new(status, body).at(NOW)).await;
    let authority = with_token(&fake.url);
    authority.connect_settings("demo", "db1").await.unwrap_err()
}

#[tokio::test]
async fn each_status_becomes_a_failure_with_its_code_and_the_cas_words() {
    let said = r#"{"error":{"code":0,"message":"because so"}}"#;
    for (status, code) in [
        (400, Code::Unauthenticated),
        (401, Code::Unauthenticated),
        (403, Code::NoGrant),
        (404, Code::NoGrant),
        (429, Code::CaUnavailable),
        (500, Code::CaUnavailable),
        (503, Code::CaUnavailable),
    ] {
        let refusal = failure(status, said).await.refusal();
        assert_eq!(refusal.code, code, "{status}");
        assert!(refusal.reason.contains("because so"), "{status}: {refusal}");
    }
    let silent = failure(403, "").await.refusal();
    assert!(silent.reason.contains("status 403"), "{silent}");
}

#[tokio::test]
async fn what_is_not_the_api_is_called_that() {
    for (status, body) in [
        (200, "<html>"),
        (200, "{\"region\":7}"),
        (302, ""),
        (418, ""),
    ] {
        let error = failure(status, body).await;
        assert!(
            matches!(error.failure, Failure::Malformed(_)),
            "{status} {body}: {error}"
        );
        assert!(error.refusal().hint.contains("endpoint"));
    }
}

#[tokio::test]
async fn an_answer_of_more_than_a_mebibyte_is_not_read_to_its_end() {
    let fake = Fake::start(|_| Reply::new(200, vec![b' '; 1024 * 1024 + 1])).await;
    let error = with_token(&fake.url)
        .connect_settings("demo", "db1")
        .await
        .unwrap_err();
    assert!(matches!(error.failure, Failure::Malformed(_)), "{error}");
}

#[tokio::test]
async fn the_cas_words_are_shown_on_one_line_without_control_characters_and_cut() {
    let fake = Fake::start(|_| {
        let message = format!("a\n\u{1b}[31mb {}", "x".repeat(1000));
        let body = serde_json::json!({"error": {"code": 403, "message": message}});
        Reply::new(403, body.to_string())
    })
    .await;
    let error = with_token(&fake.url)
        .connect_settings("demo", "db1")
        .await
        .unwrap_err();
    let Failure::Forbidden(message) = error.failure else {
        panic!("{error}");
    };
    assert!(
        message.starts_with("a [31mb xxx") && message.len() <= 300,
        "{message}"
    );
}

#[tokio::test]
async fn nobody_at_the_endpoint_is_told_from_a_name_that_does_not_exist() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let refused = with_token(&url)
        .connect_settings("demo", "db1")
        .await
        .unwrap_err();
    assert_eq!(refused.failure, Failure::Refused);
    let refusal = refused.refusal();
    assert_eq!(refusal.code, Code::CaUnreachable);
    assert!(
        refusal.reason.starts_with("CA unreachable, retrying"),
        "{refusal}"
    );
    assert!(refusal.reason.contains(&url), "{refusal}");
    // A label of more than 63 characters cannot exist: no name server is asked.
    let host = format!("{}.invalid", "a".repeat(64));
    let credentials = Credentials::MetadataServer { host };
    let authority = caller_with(credentials, Some("https://ca.example"), settable(NOW).0);
    let unknown = authority.connect_settings("demo", "db1").await.unwrap_err();
    assert!(
        unknown
            .to_string()
            .ends_with("the host name cannot be resolved"),
        "{unknown}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_does_not_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let begun = tokio::time::Instant::now();
    let error = with_token(&url)
        .connect_settings("demo", "db1")
        .await
        .unwrap_err();
    assert_eq!(error.failure, Failure::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_kept_connection_that_died_costs_no_failure() {
    let count = Arc::new(AtomicU64::new(0));
    let fake = Fake::start(move |_| {
        let reply = Reply::new(200, "{}");
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => reply.with("X-Hang-Up", "after this"),
            _ => reply,
        }
    })
    .await;
    let authority = with_token(&fake.url);
    authority.connect_settings("demo", "db1").await.unwrap();
    authority.connect_settings("demo", "db1").await.unwrap();
    assert_eq!(fake.asked("connectSettings").len(), 2);
}

#[tokio::test]
async fn paths_bodies_and_headers_are_those_of_the_api() {
    let fake = Fake::start(|request| {
        let certificate = r#"{"ephemeralCert":{"cert":"C"},"serverCert":{"cert":"S"}}"#;
        match request.method.as_str() {
            "POST" => Reply::new(200, certificate),
            _ => Reply::new(200, "{}"),
        }
    })
    .await;
    let credentials = Credentials::StaticToken("given".to_owned().into());
    let url = format!("{}/", fake.url);
    let mut settings = settings(credentials, Some(&url), settable(NOW).0);
    settings.quota_project = Some("payer".into());
    let authority = Authority::new(settings).unwrap();
    let key = PrivateKey::generate_p256().unwrap();
    authority
        .connect_settings("example.com:p", "db1")
        .await
        .unwrap();
    let client = authority
        .generate_ephemeral_cert("p", "db1", &key)
        .await
        .unwrap();
    let server = authority
        .generate_server_cert("p", "db1", &key)
        .await
        .unwrap();
    assert_eq!((client.as_str(), server.as_str()), ("C", "S"));
    let wait = Duration::from_secs(60);
    let settings = authority.agent_settings("p", "db1", Some(7), wait).await;
    assert!(matches!(
        settings.unwrap_err().failure,
        Failure::Malformed(_)
    ));
    let paths: Vec<String> = fake
        .asked("")
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert_eq!(
        paths,
        [
            "/sql/v1beta4/projects/example.com%3Ap/instances/db1/connectSettings",
            "/sql/v1beta4/projects/p/instances/db1:generateEphemeralCert",
            "/csql/v1/projects/p/instances/db1:generateServerCert",
            "/csql/v1/projects/p/instances/db1/agentSettings?revision=7&waitSeconds=60",
        ]
    );
    let post = &fake.asked(":generateEphemeralCert")[0];
    assert_eq!(post.headers["user-agent"], "test/1");
    assert_eq!(post.headers["x-goog-user-project"], "payer");
    let body: serde_json::Value = serde_json::from_str(&post.body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({"public_key": key.public_key_pem()})
    );
}

#[tokio::test]
async fn a_name_that_is_none_never_reaches_the_wire() {
    let fake = Fake::start(|_| Reply::new(200, "{}")).await;
    let authority = with_token(&fake.url);
    for (project, instance) in [
        ("..", "db1"),
        ("p", "../x"),
        ("p/q", "db1"),
        ("p", "a%2fb"),
        ("p", ""),
    ] {
        let error = authority
            .connect_settings(project, instance)
            .await
            .unwrap_err();
        assert!(
            matches!(error.failure, Failure::Settings(_)),
            "{project} {instance}"
        );
    }
    assert!(fake.asked("").is_empty());
}

#[test]
fn a_key_file_does_not_send_assertions_in_clear() {
    let mut file = our_key_file("https://ca.example");
    file["token_uri"] = "http://ca.example/token".into();
    let credentials = Credentials::parse(&file.to_string()).unwrap();
    let error = Authority::new(settings(credentials, None, settable(NOW).0));
    let error = error.err().expect("accepted").to_string();
    assert!(error.contains("must be https"), "{error}");
}

#[test]
fn an_endpoint_in_clear_is_allowed_on_this_machine_only() {
    let with = |endpoint: &str| {
        let credentials = Credentials::StaticToken("given".to_owned().into());
        Authority::new(settings(credentials, Some(endpoint), settable(NOW).0))
    };
    for good in [
        "http://127.0.0.1:1",
        "http://[::1]:1",
        "http://localhost",
        "https://ca.example",
    ] {
        assert!(with(good).is_ok(), "{good}");
    }
    for bad in [
        "http://ca.example",
        "http://10.0.0.1",
        "http://127.0.0.1.example",
        "ftp://x",
        "ca.example",
    ] {
        let error = with(bad).err().expect(bad);
        assert_eq!(error.refusal().code, Code::Settings, "{bad}");
    }
}
