//! The connection test before serving.

use proxy_client::serve::{StartError, start};

use crate::ca::Instance;
use crate::world::World;

async fn problem(world: &World, names: &[&str]) -> Option<String> {
    let instances = names.iter().map(|name| world.instance(name)).collect();
    let mut config = world.config(instances);
    config.connection_test = true;
    match start(config, world.client_time.clock(), Default::default()).await {
        Ok(_) => None,
        Err(StartError::Trial(problem)) => Some(problem),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_tunnel_to_each_instance_lets_the_program_start() {
    let (world, _) = World::new().await;
    assert_eq!(problem(&world, &["db1"]).await, None);
    assert_eq!(world.agent.hellos().len(), 1, "no tunnel was opened");
}

#[tokio::test]
async fn all_instances_that_fail_are_told_and_the_program_does_not_start() {
    let (world, _) = World::new().await;
    let found = problem(&world, &["db1", "demo:eu:db8", "demo:eu:db9"]).await;
    let found = found.expect("it started");
    assert!(
        found.contains("[demo:eu:db8]") && found.contains("[demo:eu:db9]"),
        "{found}"
    );
    assert!(!found.contains("db1"), "{found}");
}

#[tokio::test]
async fn a_certificate_that_the_agent_rejects_is_noticed() {
    let (world, instance) = World::new().await;
    let stranger = Instance::new("demo:eu:db1");
    world.agent.believes(&instance.name, &stranger.client_ca);
    let found = problem(&world, &["db1"]).await.expect("it started");
    assert!(found.contains("[certificate-refused]"), "{found}");
}
