//! Which leg of a connection's way is slow: a delay on each is told of that leg.

use std::net::SocketAddr;
use std::time::Duration;

use proxy_client::config::{Config, Refresh};
use proxy_client::session;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use transport::authority::Credentials;
use transport::socket::{Peer, Proxies};

use crate::agent::GREETING;
use crate::health::{get, with_http};
use crate::world::{Client, PATIENCE, World, first_words};

const DELAY: Duration = Duration::from_millis(200);

/// Which words come late on a way: what is said by whom it leads to, after so many that come in time.
type Late = usize;

/// A way to an address.
async fn way(to: SocketAddr, late: Late) -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = TaskTracker::new().spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            TaskTracker::new().spawn(async move {
                let far = TcpStream::connect(to).await.unwrap();
                join(near, far, Some(late)).await;
            });
        }
    });
    (address, AbortOnDropHandle::new(task))
}

/// A proxy that takes its time before it leads anybody to this address.
async fn slow_proxy(to: SocketAddr) -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = TaskTracker::new().spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            TaskTracker::new().spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(near.read_u8().await.unwrap());
                }
                tokio::time::sleep(DELAY).await;
                near.write_all(b"HTTP/1.1 200 ok\r\n\r\n").await.unwrap();
                join(near, TcpStream::connect(to).await.unwrap(), None).await;
            });
        }
    });
    (address, AbortOnDropHandle::new(task))
}

async fn join(near: TcpStream, far: TcpStream, late: Option<Late>) {
    let ((mut a, mut b), (mut c, mut d)) = (near.into_split(), far.into_split());
    tokio::join!(copy(&mut a, &mut d, None), copy(&mut c, &mut b, late));
}

async fn copy<R, W>(from: &mut R, to: &mut W, late: Option<Late>)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut bytes = vec![0; 64 * 1024];
    for number in 0.. {
        let Ok(read @ 1..) = from.read(&mut bytes).await else {
            break;
        };
        if late == Some(number) {
            tokio::time::sleep(DELAY).await;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            break;
        }
    }
    to.shutdown().await.ok();
}

/// Each leg's time, once it is told.
async fn legs(port: u16) -> Vec<(String, f64)> {
    let name = "cloudsqlconn_dial_leg_seconds_sum{";
    let told = async {
        loop {
            let (_, text) = get(port, "/metrics").await;
            let legs: Vec<(String, f64)> = text
                .lines()
                .filter_map(|line| {
                    line.strip_prefix(name)?
                        .split_once("leg=\"")?
                        .1
                        .split_once("\"} ")
                })
                .map(|(leg, seconds)| (leg.to_owned(), seconds.parse().unwrap()))
                .collect();
            if !legs.is_empty() {
                return legs;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, told).await.unwrap()
}

/// One session of a client that has its certificate, unless it is lazy; its slowest leg must be this.
async fn assert_slowest(world: &World, config: Config, leg: &str) {
    let is_ahead = config.refresh == Refresh::Ahead;
    let (config, port) = with_http(config);
    let client: Client = world.client_of(config).await;
    if is_ahead {
        let running = client.running.as_ref().unwrap();
        running.ready(Instant::now() + PATIENCE).await.unwrap();
    }
    client.assert_works().await;
    assert_told(port, leg).await;
}

async fn assert_told(port: u16, leg: &str) {
    let legs = legs(port).await;
    let slowest = legs.iter().max_by(|one, other| one.1.total_cmp(&other.1));
    assert_eq!(slowest.unwrap().0, leg, "{legs:?}");
    let all: f64 = legs.iter().map(|(_, seconds)| seconds).sum();
    assert!(all >= DELAY.as_secs_f64(), "{legs:?}");
    assert_eq!(legs.len(), 5, "{legs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_is_told_of_the_leg_on_which_it_is() {
    let (world, _) = World::new().await;
    let instance = || world.instance("demo:eu:db1");

    let mut config = world.config(vec![instance()]);
    let (address, _to_ca) = way(world.ca.address, 0).await;
    let key_file = world.ca.key_file();
    let key_file = key_file.replace(&world.ca.address.to_string(), &address.to_string());
    config.authority.credentials = Credentials::parse(&key_file).unwrap();
    config.refresh = Refresh::Lazy;
    assert_slowest(&world, config, "certificate").await;

    let (address, _proxy) = slow_proxy(world.agent.address).await;
    let url = format!("http://{address}");
    let variable = |name: &str| (name == "ALL_PROXY").then_some(url.as_str());
    let mut config = world.config(vec![instance()]);
    config.authority.proxies = Proxies::read(variable).unwrap();
    // An address for which the proxy is taken.
    config.instances[0].connect_to = Some("192.0.2.1:3307".parse().unwrap());
    assert_slowest(&world, config, "tcp").await;

    // What the agent says first is its part of the handshake, and then its consent.
    for (late, leg) in [(0, "tls"), (1, "opening")] {
        let (address, _to_agent) = way(world.agent.address, late).await;
        let mut instance = instance();
        instance.connect_to = Some(address.to_string().parse().unwrap());
        assert_slowest(&world, world.config(vec![instance]), leg).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_application_waits_before_its_session_begins_is_told_of_accepting() {
    let (world, _) = World::new().await;
    let (config, port) = with_http(world.config(vec![world.instance("demo:eu:db1")]));
    let client = world.client_of(config).await;
    let running = client.running.as_ref().unwrap();
    running.ready(Instant::now() + PATIENCE).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut app = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    let served = running.served()[0].clone();
    let accepted = Instant::now() - DELAY;
    let life = session::run(socket.into(), (Peer::default(), accepted), served);
    TaskTracker::new().spawn(life);
    assert_eq!(first_words(&mut app).await, GREETING);
    assert_told(port, "accept").await;
}
