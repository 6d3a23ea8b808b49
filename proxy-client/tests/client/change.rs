//! Another list of instances for a client at work: whole or not at all, and sessions go on.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use proto::admin::Status;
use proxy_client::config::{Config, Handed, InstanceConfig, Place};
use proxy_client::serve::{Changed, ReloadError};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::timeout;

use crate::agent::GREETING;
use crate::ca::{Instance, Mood};
use crate::ports::free_port;
use crate::world::{Client, PATIENCE, World, assert_echoes, first_words, show};

/// A world with `db1`, `db2` and `db3`.
async fn world() -> World {
    let (world, _) = World::new().await;
    for name in ["demo:eu:db2", "demo:eu:db3"] {
        let instance = world.ca.knows(Instance::new(name));
        world.agent.serves(&instance);
    }
    world
}

fn at(world: &World, name: &str, port: u16) -> InstanceConfig {
    let mut config = world.instance(name);
    config.place = Place::Tcp {
        address: "127.0.0.1".parse().unwrap(),
        port: Some(port),
    };
    config
}

fn on(world: &World, name: &str, path: &Path) -> InstanceConfig {
    let mut config = world.instance(name);
    config.place = Place::UnixPath(path.to_owned());
    config
}

async fn change(client: &Client, config: Config) -> Result<Changed, ReloadError> {
    client
        .running
        .as_ref()
        .unwrap()
        .reload()
        .apply(config)
        .await
}

fn mounts(client: &Client) -> Vec<(String, String)> {
    client.running.as_ref().unwrap().mounts()
}

async fn session_at(port: u16) -> TcpStream {
    let mut app = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert_eq!(show(&first_words(&mut app).await), show(GREETING));
    app
}

/// Which instance a new session at this port is with.
async fn instance_at(world: &World, port: u16) -> String {
    drop(session_at(port).await);
    world.agent.hellos().last().unwrap().instance.clone()
}

async fn is_closed(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).await.is_err()
}

#[tokio::test]
async fn what_is_added_is_served_and_what_leaves_stops_listening_while_its_sessions_go_on() {
    let world = world().await;
    let [one, two, three] = [free_port(), free_port(), free_port()];
    let list = vec![at(&world, "demo:eu:db1", one), at(&world, "db2", two)];
    let client = world.client_of(world.config(list)).await;
    let (mut leaving, mut staying) = (session_at(one).await, session_at(two).await);
    let list = vec![at(&world, "db2", two), at(&world, "demo:eu:db3", three)];
    let changed = change(&client, world.config(list)).await.unwrap();
    let expected = Changed {
        added: 1,
        removed: 1,
        changed: 0,
    };
    assert_eq!(changed, expected);
    assert!(is_closed(one).await);
    assert_eq!(instance_at(&world, two).await, "demo:eu:db2");
    assert_eq!(instance_at(&world, three).await, "demo:eu:db3");
    assert_echoes(&mut leaving).await;
    assert_echoes(&mut staying).await;
    let mut found = mounts(&client);
    found.sort();
    let mount = |name: &str, port| (name.to_owned(), format!("127.0.0.1:{port}"));
    assert_eq!(
        found,
        [mount("demo:eu:db2", two), mount("demo:eu:db3", three)]
    );
    let labels: Vec<String> = client
        .running
        .as_ref()
        .unwrap()
        .served()
        .iter()
        .map(|one| one.label())
        .collect();
    assert_eq!(labels, ["demo:eu:db2", "demo:eu:db3"]);
    // And back again: the port that was given up can be had.
    let list = vec![at(&world, "demo:eu:db1", one)];
    change(&client, world.config(list)).await.unwrap();
    assert_eq!(instance_at(&world, one).await, "demo:eu:db1");
    assert!(is_closed(two).await && is_closed(three).await);
    assert_echoes(&mut staying).await;
}

#[tokio::test]
async fn nothing_at_all_changes_while_one_new_listener_is_not_to_be_had() {
    let world = world().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db1.sock");
    let [two, free] = [free_port(), free_port()];
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken_port = taken.local_addr().unwrap().port();
    let list = || {
        vec![
            on(&world, "demo:eu:db1", &path),
            at(&world, "demo:eu:db2", two),
        ]
    };
    let client = world.client_of(world.config(list())).await;
    let mut open = session_at(two).await;
    let before = mounts(&client);
    // Another mode, another port, one that leaves, one that comes, and a port that is somebody else's.
    let mut other = on(&world, "demo:eu:db1", &path);
    other.socket.mode = 0o600;
    let wrong = vec![
        other.clone(),
        at(&world, "demo:eu:db2", free),
        at(&world, "demo:eu:db3", taken_port),
    ];
    let error = change(&client, world.config(wrong)).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ReloadError::Mount { .. }) && !error.passes());
    assert!(
        text.contains("[demo:eu:db3]") && text.contains(&taken_port.to_string()),
        "{text}"
    );
    assert_eq!(mounts(&client), before);
    assert!(is_closed(free).await);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o660, "as it was");
    assert_eq!(instance_at(&world, two).await, "demo:eu:db2");
    assert_echoes(&mut open).await;
    // Without the obstacle it is done, and the socket is the same one: nobody who connects meanwhile is lost.
    drop(taken);
    let inode = std::fs::metadata(&path).unwrap().ino();
    let right = vec![other, at(&world, "demo:eu:db3", taken_port)];
    change(&client, world.config(right)).await.unwrap();
    assert_eq!(
        (mode(&path), std::fs::metadata(&path).unwrap().ino()),
        (0o600, inode)
    );
    assert_eq!(
        first_words(&mut UnixStream::connect(&path).await.unwrap()).await,
        GREETING
    );
    assert_eq!(instance_at(&world, taken_port).await, "demo:eu:db3");
    assert!(is_closed(two).await);
    assert_echoes(&mut open).await;
    // A socket that leaves takes its path with it.
    change(
        &client,
        world.config(vec![at(&world, "demo:eu:db3", taken_port)]),
    )
    .await
    .unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn listeners_change_hands_without_being_closed() {
    let world = world().await;
    let [one, two] = [free_port(), free_port()];
    let list = vec![
        at(&world, "demo:eu:db1", one),
        at(&world, "demo:eu:db2", two),
    ];
    let client = world.client_of(world.config(list)).await;
    let mut open = session_at(one).await;
    let list = vec![
        at(&world, "demo:eu:db1", two),
        at(&world, "demo:eu:db3", one),
    ];
    let changed = change(&client, world.config(list)).await.unwrap();
    let expected = Changed {
        added: 1,
        removed: 1,
        changed: 1,
    };
    assert_eq!(changed, expected);
    assert_eq!(instance_at(&world, two).await, "demo:eu:db1");
    assert_eq!(instance_at(&world, one).await, "demo:eu:db3");
    assert_echoes(&mut open).await;
    // From one of this machine's addresses to both of them, and back.
    let mut both = at(&world, "demo:eu:db1", two);
    both.place = Place::Tcp {
        address: "localhost".parse().unwrap(),
        port: Some(two),
    };
    change(&client, world.config(vec![both])).await.unwrap();
    assert_eq!(instance_at(&world, two).await, "demo:eu:db1");
    drop(TcpStream::connect(("::1", two)).await.unwrap());
    let list = vec![at(&world, "demo:eu:db1", two)];
    change(&client, world.config(list)).await.unwrap();
    assert!(TcpStream::connect(("::1", two)).await.is_err());
    assert_eq!(instance_at(&world, two).await, "demo:eu:db1");
}

#[tokio::test]
async fn who_may_use_a_listener_is_changed_while_it_listens() {
    let world = world().await;
    let port = free_port();
    let client = world
        .client_of(world.config(vec![at(&world, "demo:eu:db1", port)]))
        .await;
    let mut open = session_at(port).await;
    let mut narrow = at(&world, "demo:eu:db1", port);
    narrow.callers.networks = vec!["192.0.2.0/24".parse().unwrap()];
    change(&client, world.config(vec![narrow])).await.unwrap();
    let mut app = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert_ne!(first_words(&mut app).await, GREETING);
    assert_echoes(&mut open).await;
}

#[tokio::test]
async fn an_instance_that_the_ca_does_not_serve_or_does_not_tell_of_changes_nothing() {
    let world = world().await;
    let [one, two] = [free_port(), free_port()];
    let list = || {
        vec![
            at(&world, "demo:eu:db1", one),
            at(&world, "demo:eu:db2", two),
        ]
    };
    let client = world.client_of(world.config(vec![list().remove(0)])).await;
    session_at(one).await;
    let wrong = vec![
        at(&world, "demo:eu:db2", two),
        at(&world, "demo:eu:stranger", free_port()),
    ];
    let error = change(&client, world.config(wrong)).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("[demo:eu:stranger]") && text.contains("no grant"),
        "{text}"
    );
    assert!(!error.passes());
    let elsewhere = vec![at(&world, "demo:us:db2", two)];
    let error = change(&client, world.config(elsewhere)).await.unwrap_err();
    assert!(error.to_string().contains("is in region eu"), "{error}");
    world
        .ca
        .mood(Mood::Failing(Status::Unavailable, "restarting"));
    let error = change(&client, world.config(list())).await.unwrap_err();
    assert!(error.passes(), "it is worth another try: {error}");
    assert!(is_closed(two).await);
    assert_eq!(mounts(&client).len(), 1);
    world.ca.mood(Mood::Well);
    change(&client, world.config(list())).await.unwrap();
    assert_eq!(instance_at(&world, two).await, "demo:eu:db2");
}

#[tokio::test]
async fn a_listener_of_the_service_managers_stays_with_its_instance_and_is_not_closed() {
    let world = world().await;
    let handed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = handed.local_addr().unwrap().port();
    let mut config = world.config(vec![at(&world, "demo:eu:db1", 1)]);
    config.inherited.insert(0, Handed::Tcp(handed));
    let client = world.client_of(config).await;
    assert_eq!(instance_at(&world, port).await, "demo:eu:db1");
    let error = change(
        &client,
        world.config(vec![at(&world, "demo:eu:db2", free_port())]),
    )
    .await;
    let error = error.unwrap_err();
    assert!(matches!(error, ReloadError::Handed(_)), "{error}");
    assert!(error.to_string().contains("[demo:eu:db1]"), "{error}");
    assert_eq!(instance_at(&world, port).await, "demo:eu:db1");
    // Its other settings may change: where it is, the service manager says.
    let list = vec![
        at(&world, "demo:eu:db1", 2),
        at(&world, "demo:eu:db2", free_port()),
    ];
    change(&client, world.config(list)).await.unwrap();
    assert_eq!(instance_at(&world, port).await, "demo:eu:db1");
    assert_eq!(mounts(&client).len(), 2);
}

#[tokio::test]
async fn tunnels_that_were_ready_for_an_instance_that_leaves_end_though_a_session_goes_on() {
    let world = world().await;
    let [one, two] = [free_port(), free_port()];
    let client = world
        .client_of(world.config(vec![at(&world, "demo:eu:db1", one)]))
        .await;
    let leaving = client.running.as_ref().unwrap().served()[0].clone();
    session_at(one).await;
    let mut open = session_at(one).await;
    let until = async |is_there: bool| {
        while (leaving.metrics.spares.get() > 0) != is_there {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, until(true)).await.expect("none is ready");
    let list = vec![at(&world, "demo:eu:db2", two)];
    change(&client, world.config(list)).await.unwrap();
    timeout(PATIENCE, until(false)).await.expect("they stay");
    assert_echoes(&mut open).await;
}

#[tokio::test]
async fn from_one_address_to_all_at_the_same_port_is_refused_and_the_one_goes_on() {
    let world = world().await;
    let port = free_port();
    let list = vec![at(&world, "demo:eu:db1", port)];
    let client = world.client_of(world.config(list)).await;
    let mut wide = at(&world, "demo:eu:db1", port);
    wide.place = Place::Tcp {
        address: "0.0.0.0".parse().unwrap(),
        port: Some(port),
    };
    let error = change(&client, world.config(vec![wide])).await.unwrap_err();
    assert!(matches!(error, ReloadError::Mount { .. }), "{error}");
    assert_eq!(instance_at(&world, port).await, "demo:eu:db1");
}
