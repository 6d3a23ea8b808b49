//! Hundreds of instances: what a start costs, in requests.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use proxy_client::config::{InstanceConfig, Place, Refresh};

use crate::agent::GREETING;
use crate::ca::{Counts, Instance};
use crate::world::{PATIENCE, World, show};

const MANY: usize = 300;
/// As long the start waits for the CA's word on engines.
const LOOKUP: Duration = Duration::from_secs(3);

/// A world that knows three hundred instances more.
async fn world() -> (World, Vec<InstanceConfig>) {
    let (world, _) = World::new().await;
    let mut configs = Vec::new();
    for number in 0..MANY {
        let name = format!("demo:eu:many{number}");
        world.ca.knows(Instance::new(&name));
        configs.push(world.instance(&name));
    }
    (world, configs)
}

fn counted(counts: &Counts) -> (usize, usize, usize) {
    let of = |count: &std::sync::atomic::AtomicUsize| count.load(Ordering::SeqCst);
    (of(&counts.tokens), of(&counts.settings), of(&counts.issued))
}

async fn until(mut holds: impl FnMut() -> bool, what: &str) {
    let held = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, held).await.expect(what);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_use_hundreds_of_instances_with_ports_start_without_a_word_to_the_ca() {
    let (world, mut configs) = world().await;
    configs.push(world.instance("demo:eu:db1"));
    let mut config = world.config(configs);
    config.refresh = Refresh::Lazy;
    let client = world.client_of(config).await;
    assert_eq!(client.mounts.len(), MANY + 1);
    assert_eq!(world.ca.counts.requests.load(Ordering::SeqCst), 0);
    // The first use of one costs what one costs.
    assert_eq!(show(&client.heard_at(MANY).await), show(GREETING));
    assert_eq!(counted(&world.ca.counts), (1, 1, 1));
    assert_eq!(show(&client.heard_at(MANY).await), show(GREETING));
    assert_eq!(counted(&world.ca.counts), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn by_use_a_place_that_depends_on_the_engine_costs_the_settings_and_no_certificate() {
    let (world, mut configs) = world().await;
    let folder = tempfile::tempdir().unwrap();
    for config in &mut configs {
        config.place = Place::UnixFolder(folder.path().to_owned());
    }
    let mut config = world.config(configs);
    config.refresh = Refresh::Lazy;
    let begun = Instant::now();
    let client = world.client_of(config).await;
    let is_slow = begun.elapsed() >= LOOKUP;
    assert_eq!(client.mounts.len(), MANY);
    // Where the start could not wait for all, the rest is asked about behind it, some of it again.
    let counts = &world.ca.counts;
    until(|| counted(counts).1 >= MANY, "not all are asked about").await;
    let (tokens, settings, issued) = counted(counts);
    assert_eq!((tokens, issued), (1, 0));
    assert!(settings == MANY || is_slow, "{settings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ahead_of_need_each_instance_is_asked_about_once_with_one_token_for_all() {
    let (world, configs) = world().await;
    let client = world.client_of(world.config(configs)).await;
    assert_eq!(client.mounts.len(), MANY);
    let counts = &world.ca.counts;
    // Settings and certificate are asked for side by side: either may be counted last.
    let all = || {
        let (_, settings, issued) = counted(counts);
        settings >= MANY && issued >= MANY
    };
    until(all, "not all have certificates").await;
    assert_eq!(counted(counts), (1, MANY, MANY));
}

#[tokio::test]
async fn by_use_a_place_that_was_assumed_is_put_right_when_the_ca_is_back() {
    let (world, _) = World::new().await;
    let mut instance = Instance::new("demo:eu:pg");
    instance.database_version = "POSTGRES_17";
    let instance = world.ca.knows(instance);
    world.agent.serves(&instance);
    world.ca.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = world.instance("demo:eu:pg");
    config.place = Place::UnixFolder(folder.path().to_owned());
    let mut config = world.config(vec![config]);
    config.refresh = Refresh::Lazy;
    let client = world.client_of(config).await;
    let assumed = folder.path().join("demo:eu:pg");
    assert_eq!(client.mounts[0].1, assumed.display().to_string());
    world.ca.restart().await;
    // Where its clients look, though none has asked where MySQL's would.
    let right = assumed.join(".s.PGSQL.5432");
    until(|| right.exists(), "it is not put right").await;
    tokio::net::UnixStream::connect(&right).await.unwrap();
    let running = client.running.as_ref().unwrap();
    until(
        || running.mounts().len() == 1,
        "the wrong one is still told",
    )
    .await;
    assert_eq!(running.mounts()[0].1, right.display().to_string());
    assert_eq!(world.ca.issued(), 0);
}
