//! Several instances: each fails alone and recovers alone.

use proxy_client::config::Place;
use proxy_client::serve::{StartError, start};

use crate::agent::{Agent, GREETING};
use crate::ca::Instance;
use crate::world::{PATIENCE, World, error, show};

#[tokio::test]
async fn of_three_instances_a_wrong_name_and_a_dead_agent_do_not_disturb_the_third() {
    let (world, _) = World::new().await;
    let away = Agent::start(&world.time).await;
    let second = world.ca.knows(Instance::new("demo:eu:db2"));
    away.serves(&second);
    away.stop().await;
    let wrong = world.instance("demo:eu:db9");
    let mut dead = world.instance("demo:eu:db2");
    dead.tunnel_port = away.address.port();
    let well = world.instance("demo:eu:db1");
    let client = world.client_of(world.config(vec![wrong, dead, well])).await;
    let (number, text) = error(&client.heard_at(0).await);
    assert_eq!(number, 1045);
    assert!(text.contains("no grant for this instance"), "{text}");
    let (number, text) = error(&client.heard_at(1).await);
    assert_eq!(number, 1158);
    assert!(text.contains(&away.address.to_string()), "{text}");
    assert_eq!(show(&client.heard_at(2).await), show(GREETING));

    // Each recovers without a restart.
    away.restart().await;
    assert_eq!(show(&client.heard_at(1).await), show(GREETING));
    let late = world.ca.knows(Instance::new("demo:eu:db9"));
    world.agent.serves(&late);
    let recovered = async {
        while client.heard_at(0).await != GREETING {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, recovered).await.unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_stops_its_own_instance_only() {
    let (world, _) = World::new().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut unlucky = world.instance("demo:eu:db2");
    unlucky.place = Place::Tcp {
        address: "127.0.0.1".parse().unwrap(),
        port: Some(taken.local_addr().unwrap().port()),
    };
    let both = world.config(vec![unlucky.clone(), world.instance("demo:eu:db1")]);
    let client = world.client_of(both).await;
    assert_eq!(client.mounts.len(), 1);
    client.assert_works().await;
    let alone = world.config(vec![unlucky]);
    let outcome = start(alone, world.client_time.clock(), Default::default()).await;
    let Err(StartError::Mounts(text)) = outcome else {
        panic!("it started without a listener");
    };
    assert!(text.contains("cannot listen on 127.0.0.1"), "{text}");
}

#[tokio::test]
async fn a_postgresql_socket_is_where_its_clients_look_for_it() {
    let mut instance = Instance::new("demo:eu:db1");
    instance.database_version = "POSTGRES_17";
    let (world, _) = World::with(instance).await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = world.instance("db1");
    config.place = Place::UnixFolder(folder.path().to_owned());
    let client = world.client_of(world.config(vec![config])).await;
    let path = folder.path().join("demo:eu:db1").join(".s.PGSQL.5432");
    assert_eq!(client.mounts[0].1, path.display().to_string());
}

#[tokio::test]
async fn a_socket_that_was_named_before_the_ca_told_gets_its_full_name_when_it_does() {
    let (world, _) = World::new().await;
    world.ca.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = world.instance("db1");
    config.place = Place::UnixFolder(folder.path().to_owned());
    let client = world.client_of(world.config(vec![config])).await;
    assert_eq!(
        client.mounts[0].1,
        folder.path().join("db1").display().to_string()
    );
    world.ca.restart().await;
    let full = folder.path().join("demo:eu:db1");
    let appeared = async {
        while !full.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, appeared).await.unwrap();
}
