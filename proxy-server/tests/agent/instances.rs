//! Several instances in one agent.

use proxy_server::Settings;
use transport::tls::Offer;

use crate::ca::{APP, Ca};
use crate::client::{Client, echo};
use crate::database::{Database, Manner};
use crate::running::{Agent, settings};

#[tokio::test]
async fn each_instance_has_its_own_certificate_ca_and_database() {
    let ca = Ca::start().await;
    ca.change(|says| says.version = "REDIS");
    let (first, second) = (
        Database::start(Manner::Echo).await,
        Database::start(Manner::Echo).await,
    );
    let agent = Agent::start(Settings {
        instance: vec![
            format!("p:r:i?database={}", first.place),
            format!("j?database={}", second.place),
        ],
        database: None,
        ..settings(&ca, "")
    })
    .await;
    let report = loop {
        let report = agent.until_ready(true).await;
        let instances = report["instances"].as_array().unwrap();
        if instances.iter().all(|instance| instance["ready"] == true) {
            break report;
        }
    };
    assert_eq!(report["instances"][1]["instance"], "p:r:j");
    for (label, database) in [("i", &first), ("j", &second)] {
        let material = ca.client(label, APP);
        let client = Client::with(&ca, &agent, Offer::Ours, label, &material);
        let mut stream = client.open().await.unwrap();
        echo(&mut stream, label.as_bytes()).await;
        assert_eq!(database.seen(), 1, "{label}");
    }
    // A client that sends no name, as Google's do to addresses, gets the first instance's certificate.
    let material = ca.client("i", APP);
    let client = Client::with(&ca, &agent, Offer::BareOnly, "i", &material);
    let mut stream = client.without_sni(&ca, &material).open_bare().await;
    echo(&mut stream, b"bare").await;
    assert_eq!((first.seen(), second.seen()), (2, 1));
}

#[tokio::test]
async fn an_instance_that_cannot_be_served_does_not_keep_the_others_from_it() {
    let ca = Ca::start().await;
    ca.change(|says| says.version = "REDIS");
    let database = Database::start(Manner::Echo).await;
    let agent = Agent::start(Settings {
        // The CA knows it in region r.
        instance: vec!["p:elsewhere:j".into(), "p:r:i".into()],
        ..settings(&ca, &database.place)
    })
    .await;
    let report = agent.until_ready(true).await;
    let broken = &report["instances"][0];
    assert_eq!(broken["ready"], false);
    let text = broken["problems"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("p:r:j") && text.contains("--instance"),
        "{text}"
    );

    let mut stream = Client::of(&ca, &agent, Offer::Ours).open().await.unwrap();
    echo(&mut stream, b"works").await;
    let stranger = ca.client("j", APP);
    let client = Client::with(&ca, &agent, Offer::Ours, "i", &stranger);
    assert!(["access_denied", "unknown_ca", "bad_certificate"].contains(&client.alert().await));
}
