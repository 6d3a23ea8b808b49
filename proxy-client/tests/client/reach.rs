//! The way out: an address of the operator's own, and proxies.

use proxy_client::config::ConnectTo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use transport::socket::Proxies;

use crate::agent::Agent;
use crate::program::program;
use crate::world::{World, error};

fn at(addr: std::net::SocketAddr) -> Option<ConnectTo> {
    Some(addr.to_string().parse().unwrap())
}

#[tokio::test]
async fn connect_to_dials_another_address_where_the_instances_agent_has_to_be() {
    let (world, instance) = World::new().await;
    let moved = Agent::start(&world.time).await;
    moved.serves(&instance);
    let mut config = world.instance("demo:eu:db1");
    // What the CA says leads to nobody.
    config.tunnel_port = 1;
    config.connect_to = at(moved.address);
    let client = world.client_of(world.config(vec![config.clone()])).await;
    client.assert_works().await;
    assert_eq!((moved.hellos().len(), world.agent.hellos().len()), (1, 0));

    // One that would take the client, and shows another instance's name.
    let other = Agent::start(&world.time).await;
    other.believes(&instance.name, &instance.client_ca);
    other.shows(&instance, &"demo:eu:db2".parse().unwrap());
    config.connect_to = at(other.address);
    let client = world.client_of(world.config(vec![config])).await;
    let (_, text) = error(&client.heard().await);
    assert!(text.contains("[agent-identity]"), "{text}");
    for name in [
        "for demo:db2, db2.eu.demo.csql.internal, and",
        "demo:db1 (db1.eu.demo.csql.internal) is expected",
    ] {
        assert!(text.contains(name), "{text}");
    }
    assert_eq!(other.hellos().len(), 0, "the other agent was spoken to");
}

/// A proxy that leads everybody to one address; what it was asked for.
async fn proxy(to: std::net::SocketAddr) -> (u16, AbortOnDropHandle<()>, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Asked::default();
    let tasks = TaskTracker::new();
    let written = std::sync::Arc::clone(&asked);
    let task = TaskTracker::new().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tasks.spawn(lead(stream, to, std::sync::Arc::clone(&written)));
        }
    });
    (port, AbortOnDropHandle::new(task), asked)
}

type Asked = std::sync::Arc<std::sync::Mutex<Vec<String>>>;

async fn lead(mut stream: TcpStream, to: std::net::SocketAddr, asked: Asked) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    asked
        .lock()
        .unwrap()
        .push(head.lines().next().unwrap().to_owned());
    let mut far = TcpStream::connect(to).await.unwrap();
    stream.write_all(b"HTTP/1.1 200 ok\r\n\r\n").await.unwrap();
    let ((mut a, mut b), (mut c, mut d)) = (stream.split(), far.split());
    let (up, down) = tokio::join!(
        tokio::io::copy(&mut a, &mut d),
        tokio::io::copy(&mut c, &mut b)
    );
    up.and(down).ok();
}

#[tokio::test]
async fn a_tunnel_goes_through_the_proxy_that_the_environment_names() {
    let (world, _) = World::new().await;
    let (port, _proxy, asked) = proxy(world.agent.address).await;
    let url = format!("http://127.0.0.1:{port}");
    let mut config = world.instance("demo:eu:db1");
    // The name is the proxy's to resolve; nobody else could.
    config.connect_to = Some("agent.corp.test:3307".parse().unwrap());
    let mut config = world.config(vec![config]);
    config.authority.proxies =
        Proxies::read(|name| (name == "ALL_PROXY").then_some(url.as_str())).unwrap();
    let client = world.client_of(config).await;
    client.assert_works().await;
    let asked = asked.lock().unwrap().clone();
    // The CA is on this machine and was not asked for.
    assert_eq!(asked, ["CONNECT agent.corp.test:3307 HTTP/1.1"]);
}

#[tokio::test]
async fn an_application_is_told_which_proxy_fails() {
    let (world, _) = World::new().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let proxy = socket.local_addr().unwrap().to_string();
    let url = format!("socks5h://ann:secret@{proxy}");
    let mut config = world.instance("demo:eu:db1");
    config.connect_to = Some("agent.corp.test:3307".parse().unwrap());
    let mut config = world.config(vec![config]);
    config.authority.proxies =
        Proxies::read(|name| (name == "ALL_PROXY").then_some(url.as_str())).unwrap();
    let client = world.client_of(config).await;
    let (_, text) = error(&client.heard().await);
    assert!(text.contains(&format!("socks5h://{proxy}")), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn the_program_takes_the_proxy_of_its_environment_and_never_logs_the_password() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let proxy = socket.local_addr().unwrap().to_string();
    let flags = [
        "doctor",
        "--instance=p:r:a",
        "--token=t",
        "--sqladmin-api-endpoint=https://ca.corp.test",
        "--log-level=trace",
    ];
    let output = program(&flags)
        .env("ALL_PROXY", format!("http://ann:canary@{proxy}"))
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(
        text.contains(&format!("the proxy http://{proxy}: ")),
        "{text}"
    );
    assert!(!text.contains("canary"), "{text}");
    assert_eq!(output.status.code(), Some(1), "{text}");
}
