//! Connections that no login follows: they cost nothing, and keep nobody waiting who logs in.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use proxy_client::config::{Config, Place};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::timeout;

use crate::agent::{GREETING, Manner};
use crate::ca::Instance;
use crate::health::{get, with_http};
use crate::world::{Client, PATIENCE, World, error, first_words};

/// Openings in progress at a time.
const MOST: usize = 256;
/// Longer than any test: what ends before does not end by its deadline.
const LONG: Duration = Duration::from_secs(3600);

/// No tunnel is kept ready, and no deadline ends an opening.
fn patient(world: &World) -> Config {
    let mut config = world.config(vec![world.instance("demo:eu:db1")]);
    config.spare_tunnels = 0;
    config.dial_timeout = LONG;
    config
}

async fn of_version(version: &'static str) -> World {
    let mut instance = Instance::new("demo:eu:db1");
    instance.database_version = version;
    World::with(instance).await.0
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let reached = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = timeout(PATIENCE * 3, reached).await;
    assert!(waited.is_ok(), "never: {what}");
}

/// Waits until the client has what it needs of the CA.
async fn ready(client: &Client) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    client.running().ready(deadline).await.unwrap();
}

/// Waits until no session is open.
async fn until_rest(client: &Client) {
    let served = client.running().served();
    until("all sessions are over", || {
        served[0].metrics.open.get() == 0
    })
    .await;
}

/// The count of a result among the client's connections.
async fn count(port: u16, result: &str) -> usize {
    let (_, text) = get(port, "/metrics").await;
    let label = format!("result=\"{result}\"");
    let is_it = |line: &&str| line.starts_with("cloudsqlconn_connections_total{");
    let mut lines = text.lines().filter(is_it);
    let line = lines.find(|line| line.contains(&label));
    line.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

#[tokio::test]
async fn connections_that_are_no_logins_make_no_tunnels_and_a_login_after_them_works() {
    let (world, _) = World::new().await;
    // Whatever reaches the agent stays there: only the client can end it.
    world.agent.manner(Manner::Silent);
    let (config, port) = with_http(patient(&world));
    let client = world.client_of(config).await;
    ready(&client).await;
    for number in 0..2000 {
        let mut app = client.connect().await;
        match number % 4 {
            0 => {}
            1 => app.set_zero_linger().unwrap(),
            2 => app.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap(),
            _ => app.write_all(b"\x16\x03\x01").await.unwrap(),
        }
    }
    until_rest(&client).await;
    assert_eq!(count(port, "ok").await, 0);
    let (left, refused) = (
        count(port, "abandoned").await,
        count(port, "protocol").await,
    );
    assert_eq!(left + refused, 2000);
    assert!(left >= 1000 && refused > 0, "{left} {refused}");
    world.agent.manner(Manner::Serving);
    client.assert_works().await;
}

#[tokio::test]
async fn openings_in_progress_are_bounded_and_callers_take_turns() {
    let (world, _) = World::new().await;
    world.agent.manner(Manner::Silent);
    let client = world.client_of(patient(&world)).await;
    ready(&client).await;
    let mut crowd = Vec::new();
    for _ in 0..MOST + 44 {
        crowd.push(client.connect().await);
    }
    let served = client.running().served();
    let open = |most: usize| {
        let metrics = served[0].metrics.clone();
        move || usize::try_from(metrics.open.get()).unwrap() == most
    };
    until("all are accepted", open(MOST + 44)).await;
    let agent = &world.agent;
    until("as many as may are opening", || {
        agent.hellos().len() == MOST
    })
    .await;
    // Another caller comes last. Of two places that become free, one is its.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let address: SocketAddr = client.mounts[0].1.parse().unwrap();
    let _other = socket.connect(address).await.unwrap();
    until("it waits", open(MOST + 45)).await;
    assert_eq!(agent.handshakes(), MOST);
    let peers = || -> HashSet<String> {
        let hellos = agent.hellos().into_iter();
        hellos.filter_map(|hello| hello.peer).collect()
    };
    let opening = peers();
    let is_opening = |app: &TcpStream| opening.contains(&app.local_addr().unwrap().to_string());
    for _ in 0..2 {
        let found = crowd.iter().position(is_opening).unwrap();
        crowd.swap_remove(found);
    }
    until("two more are opening", || agent.hellos().len() == MOST + 2).await;
    assert_eq!(agent.handshakes(), MOST + 2);
    assert!(peers().iter().any(|peer| peer.starts_with("127.0.0.2:")));
}

#[tokio::test]
async fn a_mysql_application_that_speaks_first_hears_that_it_is_no_client() {
    let (world, _) = World::new().await;
    world.agent.manner(Manner::Silent);
    let client = world.client_of(patient(&world)).await;
    ready(&client).await;
    let mut app = client.connect().await;
    app.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let (number, text) = error(&first_words(&mut app).await);
    assert_eq!(number, 1043);
    assert!(
        text.contains("0x47") && text.ends_with("[protocol]"),
        "{text}"
    );
    until_rest(&client).await;
}

#[tokio::test]
async fn an_application_that_leaves_a_unix_socket_ends_its_opening() {
    for version in ["MYSQL_8_4", "TCP_1"] {
        let world = of_version(version).await;
        world.agent.manner(Manner::Silent);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let mut config = patient(&world);
        config.instances[0].place = Place::UnixPath(path.clone());
        let client = world.client_of(config).await;
        ready(&client).await;
        let app = UnixStream::connect(&path).await.unwrap();
        let agent = &world.agent;
        until("it is opening", || agent.hellos().len() == 1).await;
        drop(app);
        until_rest(&client).await;
    }
}

#[tokio::test]
async fn what_ends_an_opening_depends_on_who_speaks_first_in_the_protocol() {
    let start: &[u8] = &[0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F];
    for (version, bytes, goes_on) in [
        ("MYSQL_8_4", &b""[..], false),
        ("MYSQL_8_4", b"\0", false),
        ("POSTGRES_17", b"", false),
        ("POSTGRES_17", b"GET /", false),
        ("POSTGRES_17", start, true),
        ("POSTGRES_17", b"\x16\x03\x01", true),
        ("TCP_1", b"", true),
        ("TCP_1", b"GET /", true),
    ] {
        let world = of_version(version).await;
        world.agent.manner(Manner::Silent);
        let client = world.client_of(patient(&world)).await;
        ready(&client).await;
        let mut app = client.connect().await;
        let agent = &world.agent;
        until("it is opening", || agent.hellos().len() == 1).await;
        app.write_all(bytes).await.unwrap();
        app.shutdown().await.unwrap();
        if goes_on {
            // A reset ends it all the same.
            let served = client.running().served();
            assert_eq!(served[0].metrics.open.get(), 1, "{version} {bytes:?}");
            app.set_zero_linger().unwrap();
            drop(app);
        }
        until_rest(&client).await;
        let mut whole = Vec::new();
        agent.manner(Manner::Serving);
        let mut app = client.connect().await;
        if goes_on {
            app.write_all(bytes).await.unwrap();
            app.shutdown().await.unwrap();
            let read = timeout(PATIENCE, app.read_to_end(&mut whole)).await;
            read.unwrap().unwrap();
            assert_eq!(whole, [GREETING, bytes].concat(), "{version} {bytes:?}");
        }
    }
}
