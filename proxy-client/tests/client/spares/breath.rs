//! Who took a tunnel that was ready comes first: the next one is made behind its back.

use std::sync::mpsc;

use proto::frame::{Hello, Transport, VERSION};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::agent::GREETING;
use crate::world::{PATIENCE, World, assert_echoes};

/// Each lets every task of this thread work that has something to do: a handshake takes far fewer.
const ROUND_TRIPS: usize = 100;

fn hello() -> Hello {
    Hello {
        version: VERSION,
        capabilities: Vec::new(),
        session_id: "0123456789abcdef".to_owned(),
        instance: String::new(),
        transport: Transport::Tcp,
        peer: None,
        uid: None,
        client: "test".to_owned(),
    }
}

/// Stops the clock of this thread's runtime as long as it lives, while sockets work on. A paused clock alone leaps to the
/// next timer when nobody has anything to do but to wait for a socket; not so while a thread is busy.
struct Frozen(mpsc::Sender<()>);

impl Frozen {
    fn new() -> Self {
        let (frozen, held) = mpsc::channel();
        tokio::time::pause();
        TaskTracker::new().spawn_blocking(move || held.recv().ok());
        Self(frozen)
    }

    fn thaw(self) {
        drop(self.0);
        tokio::time::resume();
    }
}

#[tokio::test]
async fn no_other_is_made_before_the_session_that_took_one_has_begun() {
    let (world, _) = World::new().await;
    let mut config = world.config(vec![world.instance("db1")]);
    config.spare_tunnels = 1;
    let client = world.client_of(config).await;
    let served = client.running.as_ref().unwrap().served();
    // As sessions do it, but on this thread, whose clock can be stopped.
    let connector = &served[0].connector;
    let open = async || {
        let opened = connector.open(hello(), Instant::now() + PATIENCE).await;
        opened.unwrap()
    };
    open().await;
    open().await;
    client.until_spares(1).await;
    world.agent.until_over().await;
    assert_eq!(world.agent.handshakes(), 3);

    let frozen = Frozen::new();
    let mut tunnel = open().await;
    assert!(tunnel.was_ready);
    let said = tunnel.rest.database.len();
    let mut left = vec![0; GREETING.len() - said];
    tunnel.stream.read_exact(&mut left).await.unwrap();
    for _ in 0..ROUND_TRIPS {
        assert_echoes(&mut tunnel.stream).await;
    }
    assert_eq!(world.agent.handshakes(), 3, "made before its time");
    frozen.thaw();
    client.until_spares(1).await;
    assert_eq!(world.agent.handshakes(), 4);
}
