//! A policy that the CA does not confirm, and one that is large.

use std::sync::Arc;
use std::time::Duration;

use proto::Code;
use tokio::task::{JoinSet, LocalSet};
use transport::tls::Offer;

use crate::ca::{APP, Ca, Spoil, grant};
use crate::client::{Client, echo};
use crate::database::{Database, Manner};
use crate::running::{Agent, eventually, settings};

/// Long enough for several questions without news, short enough to wait for.
const MAX_AGE: Duration = Duration::from_secs(4);

/// Answers that come and cannot be used.
const UNUSABLE: [(&str, Spoil); 9] = [
    ("garbled", |_| (200, b"<html>Sign in</html>".to_vec())),
    ("empty", |_| (200, vec![])),
    ("without members", |_| (200, b"{}".to_vec())),
    ("truncated", |good| {
        let half = good.len() / 2;
        (200, good.into_iter().take(half).collect())
    }),
    ("of another instance", |good| {
        let text = String::from_utf8(good).unwrap();
        (200, text.replace("p:r:i", "p:r:other").into_bytes())
    }),
    ("with other roots", |good| {
        let text = String::from_utf8(good).unwrap();
        (200, text.replace("CERTIFICATE", "NONSENSE").into_bytes())
    }),
    ("too large", |_| (200, vec![b' '; 64 * 1024 * 1024 + 1])),
    ("another status", |_| (418, vec![])),
    ("unauthenticated", |_| (400, b"{}".to_vec())),
];

async fn world(max_age: Option<Duration>) -> (Arc<Ca>, Database, Agent) {
    let ca = Ca::start().await;
    ca.change(|says| says.version = "REDIS");
    let database = Database::start(Manner::Echo).await;
    let agent = Agent::begin(settings(&ca, &database.place), |config| {
        config.policy_max_age = max_age;
    });
    agent.until_ready(true).await;
    (ca, database, agent)
}

/// Waits until an instance is reported with a problem of this kind.
async fn problem(agent: &Agent, ready: bool, kind: Option<&str>) {
    eventually(async || {
        let report = agent.until_ready(ready).await;
        let problems = report["instances"][0]["problems"].as_array()?.clone();
        let mut kinds = problems.iter().map(|problem| problem["kind"].clone());
        kinds
            .any(|found| kind.is_none_or(|kind| found == kind))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn answers_that_cannot_be_used_are_red_at_once_then_refuse_and_are_recovered_from() {
    let mut cases = JoinSet::new();
    let local = LocalSet::new();
    let _entered = local.enter();
    for (name, spoil) in UNUSABLE {
        cases.spawn_local(async move {
            let (ca, _database, agent) = world(Some(MAX_AGE)).await;
            let client = Client::of(&ca, &agent, Offer::Ours);
            let mut before = client.open().await.unwrap();
            // The CA takes the grant away, and cannot tell the agent so.
            ca.change(|says| {
                says.spoils = Some(spoil);
                says.grants.clear();
            });
            problem(&agent, false, None).await;
            let refusal = eventually(async || client.open().await.err()).await;
            assert_eq!(refusal.code, Code::CaUnreachable, "{name}: {refusal}");
            problem(&agent, false, Some("policy-too-old")).await;
            let age = "csql_server_policy_age_seconds{instance=\"p:r:i\"}";
            assert!(agent.metric(age).await >= MAX_AGE.as_secs(), "{name}");
            echo(&mut before, b"a session from before goes on").await;
            ca.change(|says| {
                says.spoils = None;
                says.grants = vec![grant(APP)];
            });
            agent.until_ready(true).await;
            let mut after = client.open().await.unwrap();
            echo(&mut after, b"back without a restart").await;
        });
    }
    local
        .run_until(async {
            while let Some(case) = cases.join_next().await {
                case.unwrap();
            }
        })
        .await;
}

#[tokio::test]
async fn an_outage_is_served_through_up_to_the_policys_age_and_no_longer() {
    let (ca, _database, agent) = world(Some(MAX_AGE)).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    ca.change(|says| says.down = true);
    problem(&agent, true, Some("unavailable")).await;
    client.open().await.unwrap();
    let refusal = eventually(async || client.open().await.err()).await;
    assert_eq!(refusal.code, Code::CaUnreachable, "{refusal}");
    problem(&agent, false, Some("policy-too-old")).await;
    ca.change(|says| says.down = false);
    agent.until_ready(true).await;
    client.open().await.unwrap();
}

#[tokio::test]
async fn without_a_limit_of_its_age_a_policy_serves_on_and_readiness_says_what_is_wrong() {
    let (ca, _database, agent) = world(None).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let [(_, garbled), ..] = UNUSABLE;
    ca.change(|says| says.spoils = Some(garbled));
    problem(&agent, false, Some("malformed")).await;
    let age = "csql_server_policy_age_seconds{instance=\"p:r:i\"}";
    eventually(async || (agent.metric(age).await >= 2).then_some(())).await;
    client.open().await.unwrap();
}

#[tokio::test]
async fn a_policy_without_news_is_confirmed_and_does_not_grow_old() {
    let (ca, _database, agent) = world(Some(MAX_AGE)).await;
    let begun = tokio::time::Instant::now();
    let client = Client::of(&ca, &agent, Offer::Ours);
    eventually(async || {
        client.open().await.unwrap();
        (begun.elapsed() > MAX_AGE * 2).then_some(())
    })
    .await;
    agent.until_ready(true).await;
}

#[tokio::test]
async fn a_policy_of_many_thousand_grants_is_followed() {
    let (ca, _database, agent) = world(Some(MAX_AGE)).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let many = |number: u32| grant(&format!("account-{number:06}@p.iam.gserviceaccount.com"));
    // More than 1 MiB of JSON.
    ca.change(|says| says.grants = (0..20_000).map(many).collect());
    let refusal = eventually(async || client.open().await.err()).await;
    assert_eq!(refusal.code, Code::NoGrant, "taken away: {refusal}");
    ca.change(|says| says.grants.push(grant(APP)));
    eventually(async || client.open().await.ok()).await;
    agent.until_ready(true).await;
    let again = Agent::start(settings(&ca, &Database::nowhere())).await;
    again.until_ready(true).await;
}
