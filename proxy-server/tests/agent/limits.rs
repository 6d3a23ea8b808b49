//! More than there is room for.

use proto::Code;
use proxy_server::Settings;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use transport::tls::Offer;

use crate::ca::{Ca, grant};
use crate::client::{Client, echo};
use crate::database::{Database, Manner};
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

#[tokio::test]
async fn handshakes_beyond_the_ceiling_are_closed_and_those_within_go_on() {
    let ca = Ca::start().await;
    ca.change(|says| says.version = "REDIS");
    let database = Database::start(Manner::Echo).await;
    for (settings, metric) in [
        (
            Settings {
                max_handshakes: Some(1),
                ..settings(&ca, &database.place)
            },
            "limit",
        ),
        (
            Settings {
                max_handshakes_per_source: Some(1),
                ..settings(&ca, &database.place)
            },
            "limit-per-source",
        ),
    ] {
        let agent = Agent::start(settings).await;
        let silent = TcpStream::connect(agent.address).await.unwrap();
        let name = format!("csql_server_handshakes_failed_total{{kind=\"{metric}\"}}");
        // The first is being served when the next one is turned away.
        eventually(async || {
            let mut next = TcpStream::connect(agent.address).await.unwrap();
            let mut byte = [0];
            let read = timeout(PATIENCE, next.read(&mut byte)).await.unwrap();
            assert!(!matches!(read, Ok(1)), "a word to nobody");
            (agent.metric(&name).await >= 1).then_some(())
        })
        .await;
        drop(silent);
        let client = Client::of(&ca, &agent, Offer::Ours);
        eventually(async || client.connect().await.ok()).await;
    }
}
