//! What goes through a tunnel, by engine and dialect.

use std::sync::Arc;

use proto::Code;
use proto::frame::{self, Answer};
use tokio::io::AsyncWriteExt as _;
use transport::tls::Offer;

use crate::ca::{APP, Ca, grant};
use crate::client::{Client, echo, is_silent, rest, take};
use crate::database::{Database, Manner, OK, SSL_BYTE, greeting, login_as};
use crate::running::{Agent, eventually, settings, world};

#[tokio::test]
async fn mysql_is_followed_to_ok_and_then_copied_and_tls_is_offered_to_our_own_client_only() {
    let database = Database::start(Manner::Mysql).await;
    let (ca, agent) = world(&database.place).await;
    for bare in [false, true] {
        let mut stream = if bare {
            Client::of(&ca, &agent, Offer::BareOnly).open_bare().await
        } else {
            Client::of(&ca, &agent, Offer::Ours).open().await.unwrap()
        };
        let shown = take(&mut stream, greeting().len()).await;
        assert_eq!(greeting()[SSL_BYTE] & 0x08, 0x08);
        assert_eq!(shown[SSL_BYTE] & 0x08 == 0, bare, "CLIENT_SSL");
        stream.write_all(&login_as("anybody")).await.unwrap();
        assert_eq!(take(&mut stream, OK.len()).await, OK);
        echo(&mut stream, &[0xA5; 300_000]).await;
    }
}

#[tokio::test]
async fn postgres_clients_that_ask_for_encryption_are_answered_no_and_the_rest_is_copied() {
    let ca = Ca::start().await;
    ca.change(|says| says.version = "POSTGRES_17");
    let database = Database::start(Manner::Echo).await;
    let agent = Agent::start(settings(&ca, &database.place)).await;
    for bare in [false, true] {
        let mut stream = if bare {
            Client::of(&ca, &agent, Offer::BareOnly).open_bare().await
        } else {
            Client::of(&ca, &agent, Offer::Ours).open().await.unwrap()
        };
        stream
            .write_all(&[0, 0, 0, 8, 4, 210, 22, 47])
            .await
            .unwrap();
        assert_eq!(take(&mut stream, 1).await, b"N");
        echo(&mut stream, &[0, 0, 0, 9, 0, 3, 0, 0, 0]).await;
    }
}

#[tokio::test]
async fn the_operators_engine_is_believed_before_the_cas() {
    let database = Database::start(Manner::Echo).await;
    let ca = Ca::start().await;
    let agent = Agent::start(proxy_server::Settings {
        engine: Some("tcp".into()),
        ..settings(&ca, &database.place)
    })
    .await;
    let mut stream = Client::of(&ca, &agent, Offer::Ours).open().await.unwrap();
    echo(&mut stream, b"PING\r\n").await;
}

#[tokio::test]
async fn half_a_close_is_passed_on_and_the_answer_comes_back() {
    let ca = Ca::start().await;
    ca.change(|says| says.version = "REDIS");
    let database = Database::start(Manner::Echo).await;
    let agent = Agent::start(settings(&ca, &database.place)).await;
    let mut stream = Client::of(&ca, &agent, Offer::Ours).open().await.unwrap();
    stream.write_all(b"last words").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, b"last words");
    let ended = "csql_server_sessions_ended_total{kind=\"application\",listener=\"tunnel\"}";
    eventually(async || (agent.metric(ended).await == 1).then_some(())).await;
    assert_eq!(
        agent
            .metric("csql_server_bytes_total{direction=\"up\"}")
            .await,
        10
    );
    assert_eq!(
        agent
            .metric("csql_server_sessions_open{listener=\"tunnel\"}")
            .await,
        0
    );
}

#[tokio::test]
async fn the_database_is_dialled_after_the_frame_and_not_before() {
    let database = Database::start(Manner::Mysql).await;
    let (ca, agent) = world(&database.place).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let (mut spare, _) = client.connect().await.unwrap();
    assert!(is_silent(&mut spare).await);
    assert_eq!(database.seen(), 0);
    client.open().await.unwrap();
    eventually(async || (database.seen() == 1).then_some(())).await;
}

#[tokio::test]
async fn a_database_behind_a_unix_socket_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let ca = Ca::start().await;
    ca.change(|says| says.version = "REDIS");
    let agent = Agent::start(settings(&ca, &format!("unix:{}", path.display()))).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let (accepted, opened) = tokio::join!(listener.accept(), client.open());
    let (mut database, _) = accepted.unwrap();
    database.write_all(b"hello").await.unwrap();
    assert_eq!(take(&mut opened.unwrap(), 5).await, b"hello");
}

/// An agent whose database is no MySQL, and a grant that names a user.
async fn narrowed_elsewhere(
    version: &'static str,
    engine: Option<&str>,
) -> (Arc<Ca>, Database, Agent) {
    let ca = Ca::start().await;
    ca.change(|says| {
        says.version = version;
        says.grants[0].db_users = vec!["readonly".into()];
    });
    let database = Database::start(Manner::Echo).await;
    let agent = Agent::start(proxy_server::Settings {
        engine: engine.map(str::to_owned),
        ..settings(&ca, &database.place)
    })
    .await;
    (ca, database, agent)
}

#[tokio::test]
async fn a_narrowed_grant_opens_nothing_where_logins_are_not_read_and_a_wide_one_does() {
    for (version, engine) in [
        ("POSTGRES_15", None),
        ("TCP_REDIS", None),
        ("FUTURE_1", None),
        ("MYSQL_8_4", Some("tcp")),
    ] {
        let (ca, database, agent) = narrowed_elsewhere(version, engine).await;
        let client = Client::of(&ca, &agent, Offer::Ours);
        let refusal = client.open().await.unwrap_err();
        assert_eq!(refusal.code, Code::NoGrant, "{version}");
        assert!(refusal.hint.contains("without --db-user"), "{refusal}");
        let mut bare = Client::of(&ca, &agent, Offer::BareOnly).open_bare().await;
        assert!(!rest(&mut bare).await.contains(&b'R'), "{version}: let in");
        assert_eq!(database.seen(), 0, "{version}: the database was dialled");
        ca.change(|says| says.grants = vec![grant(APP)]);
        eventually(async || client.open().await.ok()).await;
    }
}

#[tokio::test]
async fn a_spare_tunnel_does_not_outlive_a_narrowing_that_cannot_be_enforced() {
    let ca = Ca::start().await;
    ca.change(|says| says.version = "POSTGRES_15");
    let database = Database::start(Manner::Echo).await;
    let agent = Agent::start(settings(&ca, &database.place)).await;
    let (mut spare, _) = Client::of(&ca, &agent, Offer::Ours)
        .connect()
        .await
        .unwrap();
    eventually(async || (agent.metric("csql_server_spares").await == 1).then_some(())).await;
    ca.change(|says| says.grants[0].schemas = vec!["reports".into()]);
    let mut told = rest(&mut spare).await;
    let told = frame::decode::<Answer>(&mut told).unwrap();
    assert!(matches!(told, Some(Answer::Refused(refusal)) if refusal.code == Code::NoGrant));
    assert_eq!(database.seen(), 0);
}
