//! Sessions that work.

use proto::frame::Transport;
use proxy_client::config::{Keys, Place, Route};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

use crate::agent::GREETING;
use crate::ca::Instance;
use crate::world::{World, assert_echoes, first_words, show};

#[tokio::test]
async fn an_application_talks_to_its_database_through_the_tunnel() {
    let (world, _) = World::new().await;
    let client = world.client().await;
    let mut app = client.connect().await;
    assert_eq!(first_words(&mut app).await, GREETING);
    assert_echoes(&mut app).await;
    let hello = &world.agent.hellos()[0];
    assert_eq!(hello.instance, "demo:eu:db1");
    assert_eq!(hello.transport, Transport::Tcp);
    let own = app.local_addr().unwrap().to_string();
    assert_eq!(hello.peer.as_deref(), Some(own.as_str()));
    assert_eq!(hello.session_id.len(), 16);
    assert!(hello.client.starts_with("cloudsql-proxy/"));
}

#[tokio::test]
async fn a_short_name_is_completed_with_the_key_files_project_and_the_cas_region() {
    let (world, _) = World::new().await;
    let client = world
        .client_of(world.config(vec![world.instance("db1")]))
        .await;
    assert_eq!(client.mounts[0].0, "demo:eu:db1");
    client.assert_works().await;
    assert_eq!(world.agent.hellos()[0].instance, "demo:eu:db1");
}

#[tokio::test]
async fn over_a_unix_socket_the_agent_is_told_who_asked() {
    let (world, _) = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let mut instance = world.instance("db1");
    instance.place = Place::UnixFolder(folder.path().to_owned());
    let client = world.client_of(world.config(vec![instance])).await;
    let path = folder.path().join("demo:eu:db1");
    assert_eq!(client.mounts[0].1, path.display().to_string());
    let mut app = UnixStream::connect(path).await.unwrap();
    assert_eq!(first_words(&mut app).await, GREETING);
    assert_echoes(&mut app).await;
    let hello = &world.agent.hellos()[0];
    assert_eq!(hello.transport, Transport::Unix);
    assert_eq!(hello.uid, Some(app.peer_cred().unwrap().uid()));
}

#[tokio::test]
async fn an_agent_that_speaks_googles_dialect_is_spoken_to_in_it() {
    let (world, _) = World::with(Instance::bare("demo:eu:db1")).await;
    let client = world.client().await;
    let mut app = client.connect().await;
    assert_eq!(first_words(&mut app).await, GREETING);
    assert_echoes(&mut app).await;
    assert!(world.agent.hellos().is_empty());
}

#[tokio::test]
async fn rsa_keys_work_as_well() {
    let (world, _) = World::new().await;
    let mut config = world.config(vec![world.instance("db1")]);
    config.keys = Keys::Rsa;
    world.client_of(config).await.assert_works().await;
}

#[tokio::test]
async fn an_application_that_has_said_all_still_hears_the_rest() {
    let (world, _) = World::new().await;
    let client = world.client().await;
    let mut app = client.connect().await;
    assert_eq!(first_words(&mut app).await, GREETING);
    app.write_all(b"bye").await.unwrap();
    app.shutdown().await.unwrap();
    assert_eq!(show(&first_words(&mut app).await), "bye");
}

#[tokio::test]
async fn without_a_private_address_the_private_route_is_refused_with_what_to_do() {
    let (world, _) = World::new().await;
    let mut instance = world.instance("db1");
    instance.route = Route::Private;
    let client = world.client_of(world.config(vec![instance])).await;
    let (_, text) = crate::world::error(&client.heard().await);
    assert!(
        text.contains("no PRIVATE address") && text.contains("--private-ip"),
        "{text}"
    );
    let mut either = world.instance("db1");
    either.route = Route::Either;
    world
        .client_of(world.config(vec![either]))
        .await
        .assert_works()
        .await;
}
