//! Getting and keeping the right to serve.

use std::time::Duration;

use transport::tls::Offer;

use crate::ca::{Ca, Standing};
use crate::client::{Client, echo};
use crate::database::{Database, Manner};
use crate::running::{Agent, eventually, settings, world};

#[tokio::test]
async fn an_agent_without_its_grant_says_what_to_ask_for_and_recovers_when_it_is_given() {
    let ca = Ca::start().await;
    ca.change(|says| says.agent = Standing::NotGranted);
    let database = Database::start(Manner::Echo).await;
    let agent = Agent::begin(settings(&ca, &database.place), |_| {});
    let text = eventually(async || {
        let report = agent.until_ready(false).await;
        let problems = report["instances"][0]["problems"]
            .as_array()
            .unwrap()
            .clone();
        Some(problems.first()?["text"].as_str().unwrap().to_owned())
    })
    .await;
    assert!(
        text.contains("cloudsql-ca grant --role agent --instance i"),
        "{text}"
    );
    // A client is not kept waiting for what cannot be had.
    let alert = Client::of(&ca, &agent, Offer::Ours).alert().await;
    assert!(!alert.is_empty());
    ca.change(|says| {
        says.agent = Standing::Granted;
        says.version = "REDIS";
    });
    agent.until_ready(true).await;
    let mut stream = Client::of(&ca, &agent, Offer::Ours).open().await.unwrap();
    echo(&mut stream, b"served").await;
}

#[tokio::test]
async fn an_agent_whose_key_is_unknown_says_so() {
    let ca = Ca::start().await;
    ca.change(|says| says.agent = Standing::Unknown);
    let agent = Agent::begin(settings(&ca, &Database::nowhere()), |_| {});
    let problem = eventually(async || {
        let report = agent.until_ready(false).await;
        report["instances"][0]["problems"].get(0).cloned()
    })
    .await;
    assert_eq!(problem["kind"], "unauthenticated");
    assert!(problem["text"].as_str().unwrap().contains("key file"));
}

#[tokio::test]
async fn an_agent_whose_grant_is_withdrawn_stops_serving() {
    let database = Database::start(Manner::Echo).await;
    let (ca, agent) = world(&database.place).await;
    let before = Client::of(&ca, &agent, Offer::Ours).open().await;
    assert!(before.is_ok());
    ca.change(|says| says.agent = Standing::NotGranted);
    agent.until_ready(false).await;
    let alert = Client::of(&ca, &agent, Offer::Ours).alert().await;
    assert!(!alert.is_empty());
}

#[tokio::test]
async fn an_outage_of_the_ca_is_not_noticed_by_clients_and_its_end_is_noticed_by_the_agent() {
    let ca = Ca::start().await;
    ca.change(|says| says.version = "REDIS");
    let database = Database::start(Manner::Echo).await;
    let agent = Agent::start(settings(&ca, &database.place)).await;
    ca.change(|says| says.down = true);
    let report = eventually(async || {
        let report = agent.until_ready(true).await;
        report["instances"][0]["problems"]
            .get(0)
            .is_some()
            .then_some(report)
    })
    .await;
    let instance = &report["instances"][0];
    assert_eq!(instance["problems"][0]["kind"], "unavailable");
    let lasts = instance["certificate_lasts_s"].as_u64().unwrap();
    assert!((3500..=3600).contains(&lasts), "{lasts}");
    let client = Client::of(&ca, &agent, Offer::Ours);
    let mut stream = client.open().await.unwrap();
    echo(&mut stream, b"goes on").await;

    ca.change(|says| {
        says.down = false;
        says.grants.clear();
    });
    // Back-off is at most five seconds.
    eventually(async || client.open().await.err()).await;
}

#[tokio::test]
async fn a_ca_that_is_down_at_start_is_waited_for() {
    let ca = Ca::start().await;
    ca.change(|says| says.down = true);
    let database = Database::start(Manner::Echo).await;
    let agent = Agent::begin(settings(&ca, &database.place), |_| {});
    agent.until_ready(false).await;
    let alert = Client::of(&ca, &agent, Offer::Ours).alert().await;
    assert!(!alert.is_empty());
    ca.change(|says| says.down = false);
    agent.until_ready(true).await;
}

#[tokio::test]
async fn certificates_are_renewed_ahead_and_sessions_live_on() {
    let ca = Ca::start().await;
    ca.change(|says| {
        says.version = "REDIS";
        says.lifetime = Duration::from_secs(5);
    });
    let database = Database::start(Manner::Echo).await;
    let agent = Agent::start(settings(&ca, &database.place)).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let mut old = client.open().await.unwrap();
    eventually(async || (ca.issued("i") >= 3).then_some(())).await;
    echo(&mut old, b"the old one lives").await;
    let mut new = client.open().await.unwrap();
    echo(&mut new, b"the new one too").await;
}

#[tokio::test]
async fn a_name_that_the_administrator_adds_is_in_a_new_certificate_at_once() {
    let database = Database::start(Manner::Echo).await;
    let (ca, agent) = world(&database.place).await;
    let client = Client::of(&ca, &agent, Offer::Ours).looking_for(&ca, "db.example.com");
    assert!(client.connect().await.is_err());
    let before = ca.issued("i");
    ca.change(|says| says.names = vec!["db.example.com".into(), "192.0.2.7".into()]);
    eventually(async || client.connect().await.ok()).await;
    assert_eq!(ca.issued("i"), before + 1);
    // One that is taken away is gone with the next certificate: the old one is good for it anyway.
    ca.change(|says| says.names.truncate(1));
    Client::of(&ca, &agent, Offer::Ours).open().await.unwrap();
    assert_eq!(ca.issued("i"), before + 1);
}

#[tokio::test]
async fn a_ca_that_does_not_give_the_names_it_speaks_of_is_asked_once_a_revision() {
    let database = Database::start(Manner::Echo).await;
    let (ca, agent) = world(&database.place).await;
    let before = ca.issued("i");
    ca.change(|says| {
        says.names = vec!["db.example.com".into()];
        says.forgets_names = true;
    });
    eventually(async || (ca.issued("i") == before + 1).then_some(())).await;
    // Asked once more for each change, and never in between: in the end it has been once for each.
    ca.change(|says| says.names.push("db2.example.com".into()));
    eventually(async || (ca.issued("i") == before + 2).then_some(())).await;
    ca.change(|says| says.forgets_names = false);
    let client = Client::of(&ca, &agent, Offer::Ours).looking_for(&ca, "db2.example.com");
    eventually(async || client.connect().await.ok()).await;
    assert_eq!(ca.issued("i"), before + 3);
}
