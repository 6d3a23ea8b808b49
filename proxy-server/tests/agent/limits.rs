//! More than there is room for.

use std::time::Duration;

use proto::Code;
use proxy_server::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use transport::handshake::Budget;
use transport::tls::Offer;

use crate::ca::{Ca, grant};
use crate::client::{Client, echo, take};
use crate::database::{Database, Manner, OK, greeting, login_as};
use crate::running::{Agent, PATIENCE, eventually, settings};

const OTHER: &str = "other@p.iam.gserviceaccount.com";

#[tokio::test]
async fn sessions_beyond_the_ceilings_are_refused_and_room_comes_back() {
    let ca = Ca::start().await;
    ca.change(|says| {
        says.version = "REDIS";
        says.grants.push(grant(OTHER));
    });
    let database = Database::start(Manner::Echo).await;
    let agent = Agent::start(Settings {
        max_connections: Some(3),
        max_connections_per_account: Some(2),
        ..settings(&ca, &database.place)
    })
    .await;
    let app = Client::of(&ca, &agent, Offer::Ours);
    let other = Client::with(&ca, &agent, Offer::Ours, "i", &ca.client("i", OTHER));

    let mut first = app.open().await.unwrap();
    let _second = app.open().await.unwrap();
    let refusal = app.open().await.unwrap_err();
    assert_eq!(refusal.code, Code::Limit);
    assert!(
        refusal.hint.contains("--max-connections-per-account"),
        "{refusal}"
    );
    let _third = other.open().await.unwrap();
    let refusal = other.open().await.unwrap_err();
    assert!(refusal.hint.contains("--max-connections (3)"), "{refusal}");
    assert_eq!(database.seen(), 3);

    echo(&mut first, b"still here").await;
    drop(first);
    eventually(async || other.open().await.ok()).await;
}

/// Waits for the end of a connection that never said a word.
async fn closed(mut silent: TcpStream) {
    let mut told = Vec::new();
    let read = timeout(PATIENCE, silent.read_to_end(&mut told)).await;
    drop(read.expect("the oldest is closed"));
}

#[tokio::test]
async fn the_oldest_silent_connection_makes_room_for_a_client() {
    let ca = Ca::start().await;
    ca.change(|says| says.version = "REDIS");
    let database = Database::start(Manner::Echo).await;
    let common = || settings(&ca, &database.place);
    for settings in [
        Settings {
            max_handshakes: Some(4),
            ..common()
        },
        Settings {
            max_handshakes_per_source: Some(4),
            ..common()
        },
    ] {
        let agent = Agent::begin(settings, |config| {
            // None of them ends by itself.
            config.deadlines.tls = PATIENCE * 3;
        });
        agent.until_ready(true).await;
        let mut silent = Vec::new();
        for _ in 0..12 {
            silent.push(TcpStream::connect(agent.address).await.unwrap());
        }
        // All are there, and the client is the newest.
        let crowded = "csql_server_handshakes_failed_total{kind=\"crowded\"}";
        eventually(async || (agent.metric(crowded).await == 8).then_some(())).await;
        let client = Client::of(&ca, &agent, Offer::Ours);
        for _ in 0..10 {
            let mut session = client.open().await.unwrap();
            echo(&mut session, b"let in").await;
        }
        eventually(async || (agent.metric(crowded).await == 9).then_some(())).await;
        let is_closed = |silent: &&TcpStream| matches!(silent.try_read(&mut [0]), Ok(0));
        eventually(async || (silent.iter().filter(is_closed).count() == 9).then_some(())).await;
    }
}

#[tokio::test]
async fn the_oldest_client_of_the_direct_listener_that_has_not_logged_in_makes_room() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let settings = Settings {
        max_handshakes: Some(2),
        mysql_listen: Some("127.0.0.1:0".parse().unwrap()),
        mysql_listen_tls: Some("off".into()),
        ..settings(&ca, &database.place)
    };
    let agent = Agent::begin(settings, |config| {
        config.deadlines.direct_login = Budget::of_each(PATIENCE * 3);
    });
    agent.until_ready(true).await;
    let connect = async || TcpStream::connect(agent.mysql.unwrap()).await.unwrap();
    let log_in = async || {
        let mut session = connect().await;
        let mut shown = vec![0; greeting().len()];
        session.read_exact(&mut shown).await.unwrap();
        session.write_all(&login_as("anybody")).await.unwrap();
        let mut ok = vec![0; OK.len()];
        session.read_exact(&mut ok).await.unwrap();
        assert_eq!(ok, OK);
        session
    };
    let mut before = log_in().await;
    let mut first = connect().await;
    // Greeted, so that it is older than the second.
    first.read_u8().await.unwrap();
    let _second = connect().await;
    let _third = log_in().await;
    closed(first).await;
    for _ in 0..4 {
        log_in().await;
    }
    // Who has logged in is never sent away.
    before.write_all(b"still here").await.unwrap();
    let mut echoed = [0; 10];
    before.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"still here");
}

#[tokio::test]
async fn tunnels_that_never_log_in_take_the_room_of_their_own_account_only() {
    let ca = Ca::start().await;
    ca.change(|says| says.grants.push(grant(OTHER)));
    let database = Database::start(Manner::Mysql).await;
    let agent = Agent::begin(
        Settings {
            max_logins_per_account: Some(2),
            ..settings(&ca, &database.place)
        },
        |config| {
            config.deadlines.login = Budget::of_each(PATIENCE * 3);
            config.deadlines.turn = Duration::from_millis(200);
        },
    );
    agent.until_ready(true).await;
    let app = Client::of(&ca, &agent, Offer::Ours);
    let other = Client::with(&ca, &agent, Offer::Ours, "i", &ca.client("i", OTHER));
    let mut first = app.open().await.unwrap();
    let _second = app.open().await.unwrap();
    let refusal = app.open().await.unwrap_err();
    assert_eq!(refusal.code, Code::Limit);
    let flag = "--max-logins-per-account (2)";
    assert!(refusal.hint.contains(flag), "{refusal}");
    assert_eq!(database.seen(), 2, "the third reached the database");
    other.open().await.unwrap();
    // One that has logged in gives its room back, and lives on.
    take(&mut first, greeting().len()).await;
    first.write_all(&login_as("anybody")).await.unwrap();
    assert_eq!(take(&mut first, OK.len()).await, OK);
    eventually(async || app.open().await.ok()).await;
    echo(&mut first, b"lives on").await;
}
