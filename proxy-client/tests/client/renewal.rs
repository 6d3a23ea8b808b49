//! Certificates: one for all, judged when used, by the CA's clock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::agent::GREETING;
use crate::ca::Instance;
use crate::world::{PATIENCE, World, error, show};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_first_connections_at_once_are_one_issue_request() {
    let (world, _) = World::new().await;
    let client = Arc::new(world.lazy_client().await);
    assert_eq!(world.ca.issued(), 0);
    let mut sessions = JoinSet::new();
    for _ in 0..200 {
        let client = Arc::clone(&client);
        sessions.spawn(async move { client.heard().await });
    }
    while let Some(heard) = sessions.join_next().await {
        assert_eq!(show(&heard.unwrap()), show(GREETING));
    }
    assert_eq!(world.ca.issued(), 1);
    assert_eq!(world.ca.counts.settings.load(Ordering::SeqCst), 1);
    assert_eq!(world.ca.counts.tokens.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn after_a_sleep_longer_than_the_certificates_life_the_first_connection_works() {
    let (world, _) = World::new().await;
    let client = world.client().await;
    client.assert_works().await;
    assert_eq!(world.ca.issued(), 1);
    world.time.advance(8 * 3600);
    client.assert_works().await;
    assert_eq!(world.ca.issued(), 2);
    assert_eq!(world.agent.refused(), Vec::<String>::new());
}

#[tokio::test]
async fn a_certificate_with_little_life_left_is_renewed_by_use_without_waiting() {
    let (world, _) = World::new().await;
    let client = world.lazy_client().await;
    client.assert_works().await;
    world.time.advance(50 * 60);
    client.assert_works().await;
    let renewed = async {
        while world.ca.issued() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.unwrap();
    client.assert_works().await;
    assert_eq!(world.ca.issued(), 2);
}

#[tokio::test]
async fn the_background_renews_long_before_the_end() {
    let (world, _) = World::new().await;
    // So short a life that its third quarter comes at once.
    world.ca.life(Duration::from_secs(10));
    let client = world.client().await;
    client.assert_works().await;
    let renewed = async {
        while world.ca.issued() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.unwrap();
}

#[tokio::test]
async fn a_client_whose_clock_is_hours_ahead_or_behind_works() {
    for ahead in [true, false] {
        let (mut world, _) = World::new().await;
        world.client_time = crate::time::Time::new();
        if ahead {
            world.client_time.advance(3 * 3600);
        } else {
            world.client_time.set_back(3 * 3600);
        }
        let client = world.client().await;
        client.assert_works().await;
        client.assert_works().await;
        assert_eq!(world.ca.issued(), 1);
        assert!(world.agent.refused().is_empty());
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_revive_a_certificate() {
    let (mut world, _) = World::new().await;
    world.client_time = crate::time::Time::new();
    let client = world.client_without_spares().await;
    client.assert_works().await;
    world.client_time.set_back(3600);
    client.assert_works().await;
    world.client_time.advance(3600 + 2 * 3600);
    world.time.advance(2 * 3600);
    client.assert_works().await;
    assert!(world.agent.refused().is_empty());
}

#[tokio::test]
async fn when_the_client_ca_was_replaced_the_refused_connection_gets_a_new_certificate() {
    let (world, _) = World::new().await;
    let client = world.client().await;
    client.assert_works().await;
    let replaced = world.ca.knows(Instance::new("demo:eu:db1"));
    world.agent.serves(&replaced);
    // Within a second of the last certificate the refusal is told instead.
    assert!(client.works_after().await < Duration::from_secs(3));
    assert_eq!(world.ca.issued(), 2);
}

#[tokio::test]
async fn an_agent_that_refuses_every_certificate_does_not_make_the_ca_issue_for_each_connection() {
    let (world, instance) = World::new().await;
    let stranger = Instance::new("demo:eu:db1");
    world.agent.believes(&instance.name, &stranger.client_ca);
    let client = world.client().await;
    for _ in 0..20 {
        let (number, text) = error(&client.heard().await);
        assert_eq!(number, 1045);
        assert!(text.contains("unknown_ca"), "{text}");
    }
    assert_eq!(world.ca.issued(), 1);
}
