//! The CA or the agent is away, and comes back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use proto::admin::Status;
use tokio::time::Instant;

use crate::agent::GREETING;
use crate::ca::Mood;
use crate::world::{PATIENCE, World, error, expect_reset, first_words};

#[tokio::test]
async fn with_the_ca_down_at_start_applications_are_told_and_it_works_soon_after_its_return() {
    let (world, _) = World::new().await;
    world.ca.stop().await;
    let client = world.client().await;
    let (number, text) = error(&client.heard().await);
    assert_eq!(number, 1158);
    assert!(text.starts_with("CA unreachable, retrying"), "{text}");
    assert!(text.ends_with("[ca-unreachable]"), "{text}");
    world.ca.restart().await;
    assert!(client.works_after().await < Duration::from_secs(2));
}

#[tokio::test]
async fn the_same_holds_for_a_short_name_and_without_a_background() {
    let (world, _) = World::new().await;
    world.ca.stop().await;
    let mut config = world.config(vec![world.instance("db1")]);
    config.refresh = proxy_client::config::Refresh::Lazy;
    let client = world.client_of(config).await;
    assert!(error(&client.heard().await).1.starts_with("CA unreachable"));
    world.ca.restart().await;
    assert!(client.works_after().await < Duration::from_secs(2));
}

#[tokio::test]
async fn while_the_ca_fails_many_connections_make_few_requests_and_hear_at_once() {
    let (world, _) = World::new().await;
    world
        .ca
        .mood(Mood::Failing(Status::Unavailable, "the store is locked"));
    let client = world.lazy_client().await;
    assert!(
        error(&client.heard().await)
            .1
            .contains("the store is locked")
    );
    let begun = Instant::now();
    for _ in 0..100 {
        error(&client.heard().await);
    }
    // One attempt a second, which asks for a token and gets no further.
    let attempts = usize::try_from(begun.elapsed().as_secs()).unwrap() + 2;
    let requests = world.ca.counts.requests.load(Ordering::SeqCst);
    assert!(
        requests <= attempts,
        "{requests} requests in {:?}",
        begun.elapsed()
    );
    world.ca.mood(Mood::Well);
    assert!(client.works_after().await < Duration::from_secs(2));
    assert_eq!(world.ca.issued(), 1);
}

#[tokio::test]
async fn a_ca_that_goes_away_is_not_missed_while_the_certificate_is_valid() {
    let (world, _) = World::new().await;
    let client = world.client().await;
    client.assert_works().await;
    world.ca.stop().await;
    world.time.advance(50 * 60);
    let begun = Instant::now();
    client.assert_works().await;
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "a connection waited for the CA"
    );
    assert!(world.agent.refused().is_empty());
}

#[tokio::test]
async fn a_failed_renewal_keeps_the_certificate_until_it_really_ends() {
    let (world, _) = World::new().await;
    let client = world.client_without_spares().await;
    client.assert_works().await;
    world
        .ca
        .mood(Mood::Failing(Status::Unavailable, "maintenance"));
    world.time.advance(50 * 60);
    client.assert_works().await;
    let before = world.ca.counts.requests.load(Ordering::SeqCst);
    // The second attempt begins after the first has failed.
    let failed_once = async {
        while world.ca.counts.requests.load(Ordering::SeqCst) < before + 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, failed_once).await.unwrap();
    client.assert_works().await;
    world.time.advance(11 * 60);
    assert!(error(&client.heard().await).1.contains("maintenance"));
    assert!(world.agent.refused().is_empty());
}

#[tokio::test]
async fn when_the_certificate_ends_before_the_ca_is_back_applications_are_told_and_then_served() {
    let (world, _) = World::new().await;
    let client = world.client().await;
    client.assert_works().await;
    world.ca.stop().await;
    world.time.advance(61 * 60);
    assert!(error(&client.heard().await).1.starts_with("CA unreachable"));
    assert!(
        world.agent.refused().is_empty(),
        "an expired certificate was shown"
    );
    world.ca.restart().await;
    assert!(client.works_after().await < Duration::from_secs(2));
}

#[tokio::test]
async fn a_ca_that_hangs_costs_a_connection_no_more_than_its_deadline() {
    let (world, _) = World::new().await;
    world.ca.mood(Mood::Silent);
    let mut config = world.config(vec![world.instance("demo:eu:db1")]);
    config.dial_timeout = Duration::from_millis(300);
    let client = world.client_of(config).await;
    let (_, text) = error(&client.heard().await);
    assert!(text.contains("did not answer in time"), "{text}");
}

#[tokio::test]
async fn an_agent_that_is_away_is_named_and_works_after_its_restart() {
    let (world, _) = World::new().await;
    let client = world.client().await;
    let mut open = client.connect().await;
    assert_eq!(first_words(&mut open).await, GREETING);
    world.agent.stop().await;
    // The open session ends; it does not hang.
    expect_reset(&mut open).await;
    let (number, text) = error(&client.heard().await);
    assert_eq!(number, 1158);
    assert!(text.contains(&world.agent.address.to_string()), "{text}");
    assert!(text.ends_with("[agent-unreachable]"), "{text}");
    world.agent.restart().await;
    client.assert_works().await;
}
