//! Where instances are listened for, and who may connect there.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use daemon::shutdown::Signal;
use proxy_client::config::{Address, InstanceConfig, Place};
use tokio::net::{TcpStream, UnixStream};

use crate::agent::GREETING;
use crate::ports::free_port;
use crate::world::{Client, PATIENCE, World, assert_echoes, error, first_words, show};

fn on_socket(world: &World, path: &Path) -> InstanceConfig {
    let mut config = world.instance("demo:eu:db1");
    config.place = Place::UnixPath(path.to_owned());
    config
}

async fn heard_on(path: &Path) -> Vec<u8> {
    first_words(&mut UnixStream::connect(path).await.unwrap()).await
}

fn my_uid() -> u32 {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(dir.path()).unwrap())
}

async fn ended(mut client: Client) {
    client.shutdown.request(Signal::Request);
    let running = client.running.take().unwrap();
    tokio::time::timeout(PATIENCE, running.until_stopped())
        .await
        .unwrap();
}

async fn client_of(world: &World, instance: InstanceConfig) -> Client {
    world.client_of(world.config(vec![instance])).await
}

#[tokio::test]
async fn a_socket_and_its_new_folder_are_for_owner_and_group_unless_more_is_asked_for() {
    let (world, _) = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made/here/db.sock");
    let mut config = on_socket(&world, &path);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for wanted in [0o660, 0o777] {
        config.socket.mode = wanted;
        let client = client_of(&world, config.clone()).await;
        assert_eq!(mode(&path), wanted);
        assert_eq!(mode(path.parent().unwrap()) & 0o007, 0);
        let mut app = UnixStream::connect(&path).await.unwrap();
        assert_eq!(show(&first_words(&mut app).await), show(GREETING));
        assert_echoes(&mut app).await;
        drop(app);
        ended(client).await;
        assert!(!path.exists(), "the socket is left behind");
    }
}

#[tokio::test]
async fn what_a_killed_program_left_is_replaced_and_a_live_socket_is_not() {
    let (world, _) = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let first = client_of(&world, on_socket(&world, &path)).await;
    assert_eq!(show(&heard_on(&path).await), show(GREETING));
    let second = world.config(vec![on_socket(&world, &path)]);
    let clock = world.client_time.clock();
    let refused = proxy_client::serve::start(second, clock, Default::default()).await;
    let text = refused.err().expect("two on one path").to_string();
    assert!(text.contains("this program itself listens"), "{text}");
    assert_eq!(show(&heard_on(&path).await), show(GREETING));
    drop(first);
}

#[tokio::test]
async fn a_user_who_is_not_named_hears_its_number_and_takes_nobodys_place() {
    let (world, _) = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db.sock");
    let mut instance = on_socket(&world, &path);
    instance.callers.uids = vec![my_uid() + 1];
    let mut config = world.config(vec![instance.clone()]);
    config.max_connections = Some(1);
    let client = world.client_of(config).await;
    // More than there are places: a stranger holds none.
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut app = UnixStream::connect(&path).await.unwrap();
        let (number, text) = error(&first_words(&mut app).await);
        assert_eq!(number, 1045, "{text}");
        let who = format!("does not serve user {} of group", my_uid());
        assert!(
            text.contains(&who) && text.contains("[caller-refused]"),
            "{text}"
        );
        held.push(app);
    }
    assert_eq!(
        world.agent.hellos().len(),
        0,
        "a stranger reached the agent"
    );
    ended(client).await;
    instance.callers.uids = vec![my_uid()];
    let _client = client_of(&world, instance).await;
    assert_eq!(show(&heard_on(&path).await), show(GREETING));
}

#[tokio::test]
async fn an_address_outside_the_networks_hears_itself_named() {
    let (world, _) = World::new().await;
    let mut instance = world.instance("demo:eu:db1");
    instance.callers.networks = vec!["127.0.0.2".parse().unwrap()];
    let client = client_of(&world, instance).await;
    let (number, text) = error(&client.heard().await);
    assert_eq!(number, 1045);
    assert!(
        text.contains("this port does not serve 127.0.0.1"),
        "{text}"
    );
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let to: SocketAddr = client.mounts[0].1.parse().unwrap();
    let mut app = socket.connect(to).await.unwrap();
    assert_eq!(show(&first_words(&mut app).await), show(GREETING));
}

#[tokio::test]
async fn localhost_serves_both_families_on_one_port() {
    let (world, _) = World::new().await;
    let mut instance = world.instance("demo:eu:db1");
    instance.place = Place::Tcp {
        address: Address::Localhost,
        port: Some(0),
    };
    let client = client_of(&world, instance).await;
    let addresses: Vec<SocketAddr> = client
        .mounts
        .iter()
        .map(|(_, local)| local.parse().unwrap())
        .collect();
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    assert_eq!(addresses[0].port(), addresses[1].port());
    assert!(addresses[0].is_ipv4() && addresses[1].is_ipv6());
    for address in addresses {
        let mut app = TcpStream::connect(address).await.unwrap();
        assert_eq!(show(&first_words(&mut app).await), show(GREETING));
    }
}

#[tokio::test]
async fn an_abstract_name_is_served() {
    use std::os::linux::net::SocketAddrExt as _;
    let (world, _) = World::new().await;
    let name = format!("csql-client-{}", world.agent.address.port());
    let path = format!("@{name}");
    let client = client_of(&world, on_socket(&world, Path::new(&path))).await;
    assert_eq!(client.mounts[0].1, path);
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
    let app = std::os::unix::net::UnixStream::connect_addr(&address).unwrap();
    app.set_nonblocking(true).unwrap();
    let mut app = UnixStream::from_std(app).unwrap();
    assert_eq!(show(&first_words(&mut app).await), show(GREETING));
}

#[tokio::test]
async fn a_request_on_the_port_for_it_ends_the_program_with_0_and_only_by_post() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (world, _) = World::new().await;
    let port = free_port();
    let mut config = world.config(vec![world.instance("demo:eu:db1")]);
    config.quit_port = Some(port);
    let mut client = world.client_of(config).await;
    let ask = async |method: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let request = format!(
            "{method} /quitquitquit HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert!(ask("GET").await.starts_with("HTTP/1.1 405"));
    client.assert_works().await;
    assert!(ask("POST").await.starts_with("HTTP/1.1 200"));
    let running = client.running.take().unwrap();
    let exit = tokio::time::timeout(PATIENCE, running.until_stopped()).await;
    assert_eq!(exit.unwrap(), daemon::exit::Exit::Success);
}
