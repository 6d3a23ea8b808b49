//! Tunnels that are kept ready: applications get them, and never notice when there is none or one is no good.

mod breath;

use std::time::Duration;

use daemon::exit::Exit;
use daemon::shutdown::Signal;
use proto::{Code, Refusal};
use proxy_client::config::Refresh;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::agent::Manner;
use crate::ca::Instance;
use crate::world::{Client, PATIENCE, World, assert_echoes, error, first_words};

impl Client {
    /// How many are ready.
    fn spares(&self) -> i64 {
        let served = self.running.as_ref().unwrap().served();
        served[0].metrics.spares.get()
    }

    /// So many, or more: it is a crowd that comes within the time of a handshake, and that takes long here.
    async fn until_spares(&self, count: i64) {
        let there = async {
            while self.spares() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, there).await.is_err() {
            panic!("{} are ready, not {count} or more", self.spares());
        }
    }

    /// Two applications that come shortly after each other, and two tunnels ready for those to come, never more.
    async fn warmed(world: &World) -> Self {
        let mut config = world.config(vec![world.instance("db1")]);
        config.spare_tunnels = 2;
        let client = world.client_of(config).await;
        client.warm_up(world).await;
        client
    }

    async fn warm_up(&self, world: &World) {
        self.assert_works().await;
        self.assert_works().await;
        self.until_spares(2).await;
        world.agent.until_over().await;
    }
}

fn last<T: Copy>(list: &[T]) -> T {
    *list.last().unwrap()
}

#[tokio::test]
async fn who_comes_again_gets_a_tunnel_that_was_ready_and_the_agent_hears_who_it_is() {
    let (world, _) = World::new().await;
    let client = world.client().await;
    client.assert_works().await;
    assert_eq!((client.spares(), world.agent.handshakes()), (0, 1));
    client.assert_works().await;
    client.until_spares(2).await;
    for _ in 0..10 {
        let before = world.agent.handshakes();
        let mut app = client.connect().await;
        first_words(&mut app).await;
        assert_echoes(&mut app).await;
        assert!(last(&world.agent.used()) < before, "made for this one");
        let hellos = world.agent.hellos();
        let own = app.local_addr().unwrap().to_string();
        assert_eq!(hellos.last().unwrap().peer.as_deref(), Some(&*own));
        client.until_spares(2).await;
    }
    // Nothing was made in vain.
    assert_eq!(world.agent.used().len(), 12);
    assert!(world.agent.handshakes() <= 12 + 8);
    assert_eq!(world.ca.issued(), 1);
}

#[tokio::test]
async fn a_tunnel_that_dies_when_it_is_used_is_replaced_by_a_fresh_one_and_nobody_notices() {
    let (world, _) = World::new().await;
    let client = Client::warmed(&world).await;
    let passing = [Code::Draining, Code::Deadline, Code::CertificateRefused];
    let refusing = |code| Manner::Refusing(Refusal::new(code, "no", "come again"));
    let manners = passing.map(refusing);
    for manner in [Manner::HangingUp].into_iter().chain(manners) {
        let (before, hellos) = (world.agent.handshakes(), world.agent.hellos().len());
        world.agent.once(manner);
        client.assert_works().await;
        let (used, said) = (world.agent.used(), world.agent.hellos());
        assert!(used[hellos] < before, "a tunnel that was ready");
        assert!(used[hellos + 1] >= before, "and a fresh one");
        let ids: Vec<&str> = said[hellos..]
            .iter()
            .map(|h| h.session_id.as_str())
            .collect();
        assert_eq!(ids[0], ids[1], "for one session");
        client.warm_up(&world).await;
    }
    let no = Manner::Refusing(Refusal::new(Code::NoGrant, "no grant", "ask"));
    let hellos = world.agent.hellos().len();
    world.agent.once(no);
    let (number, text) = error(&client.heard().await);
    assert_eq!(
        (number, text.ends_with("[no-grant]")),
        (1045, true),
        "{text}"
    );
    assert_eq!(world.agent.hellos().len(), hellos + 1, "no means no");
}

#[tokio::test]
async fn after_a_restart_of_the_agent_the_first_connection_works() {
    let (world, _) = World::new().await;
    let client = Client::warmed(&world).await;
    world.agent.stop().await;
    world.agent.restart().await;
    let before = world.agent.handshakes();
    client.assert_works().await;
    assert!(last(&world.agent.used()) >= before);
}

#[tokio::test]
async fn tunnels_whose_certificate_is_over_or_was_replaced_are_not_used() {
    let (world, _) = World::new().await;
    let client = Client::warmed(&world).await;
    let before = world.agent.handshakes();
    world.time.advance(8 * 3600);
    client.assert_works().await;
    assert!(last(&world.agent.used()) >= before, "over");
    assert_eq!(world.ca.issued(), 2);

    client.warm_up(&world).await;
    let before = world.agent.handshakes();
    let running = client.running.as_ref().unwrap();
    running.served()[0].connector.refresher.refresh_now();
    let renewed = async {
        while world.ca.issued() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.unwrap();
    // Others are made in their place though nobody comes.
    let replaced = async {
        while world.agent.handshakes() < before + 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, replaced).await.unwrap();
    client.assert_works().await;
    assert!(last(&world.agent.used()) >= before, "replaced");
    assert_eq!(world.agent.refused(), Vec::<String>::new());
}

#[tokio::test]
async fn what_nobody_uses_is_given_up_before_the_agent_loses_its_patience() {
    let (world, _) = World::new().await;
    world.agent.patience(Some(4));
    let client = Client::warmed(&world).await;
    let begun = Instant::now();
    let none = async {
        while client.spares() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, none).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4));
    let handshakes = world.agent.handshakes();
    // Nobody came in all its life: it was not made again.
    client.assert_works().await;
    assert!(last(&world.agent.used()) >= handshakes);
    assert_eq!(world.agent.handshakes(), handshakes + 1);
}

#[tokio::test]
async fn none_are_kept_where_the_agent_does_not_wait_for_them_or_nobody_wants_them() {
    let (world, _) = World::new().await;
    world.agent.patience(None);
    let client = world.client().await;
    let mut off = world.config(vec![world.instance("db1")]);
    off.spare_tunnels = 0;
    let off = world.client_of(off).await;
    for _ in 0..5 {
        client.assert_works().await;
    }
    world.agent.patience(Some(1));
    for _ in 0..5 {
        client.assert_works().await;
    }
    world.agent.patience(Some(60));
    for _ in 0..5 {
        off.assert_works().await;
    }
    assert_eq!((client.spares(), off.spares()), (0, 0));
    assert_eq!(world.agent.handshakes(), 15);
}

#[tokio::test]
async fn an_agent_that_ends_them_is_not_stormed_and_applications_are_served() {
    let (world, _) = World::new().await;
    let client = Client::warmed(&world).await;
    let warmed = world.agent.handshakes();
    let begun = Instant::now();
    // Earlier than it says: as an older one, or one that is crowded.
    world.agent.loses_patience();
    let more = async {
        while world.agent.handshakes() == warmed {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, more).await.unwrap();
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(1), "made again after {took:?}");
    client.assert_works().await;
}

#[tokio::test]
async fn none_are_kept_in_googles_dialect() {
    let (world, _) = World::with(Instance::bare("demo:eu:db1")).await;
    let client = world.client().await;
    for _ in 0..5 {
        client.assert_works().await;
    }
    assert_eq!((client.spares(), world.agent.handshakes()), (0, 5));
}

#[tokio::test]
async fn a_crowd_is_served_and_no_more_are_kept_for_the_next_than_allowed() {
    let (world, _) = World::new().await;
    let mut config = world.config(vec![world.instance("db1")]);
    config.spare_tunnels = 5;
    let client = std::sync::Arc::new(world.client_of(config).await);
    for _ in 0..3 {
        let mut crowd = JoinSet::new();
        for _ in 0..20 {
            let client = std::sync::Arc::clone(&client);
            crowd.spawn(async move { client.assert_works().await });
        }
        while let Some(served) = crowd.join_next().await {
            served.unwrap();
        }
        client.until_spares(5).await;
    }
    assert_eq!(client.spares(), 5);
    assert_eq!(world.agent.handshakes(), 65, "none in vain");
}

#[tokio::test]
async fn a_drain_does_not_wait_for_tunnels_that_are_ready() {
    let (world, _) = World::new().await;
    let mut config = world.config(vec![world.instance("db1")]);
    config.stop.drain_for = Duration::from_secs(3600);
    let mut client = world.client_of(config).await;
    client.warm_up(&world).await;
    let running = client.running.take().unwrap();
    let served = running.served();
    client.shutdown.request(Signal::Terminate);
    let ended = tokio::time::timeout(PATIENCE, running.until_stopped()).await;
    assert_eq!(ended.unwrap(), Exit::Success);
    assert_eq!(served[0].metrics.spares.get(), 0);
}

#[tokio::test]
async fn by_use_nothing_is_kept_ready() {
    use clap::Parser as _;
    use proxy_client::config::Config;
    use proxy_client::settings::Settings;
    let environment = daemon::environment::Environment::of_process();
    let of = |arguments: &[&str]| {
        let given = ["cloudsql-proxy", "--token=t", "p:r:i"];
        let settings = Settings::try_parse_from(given.iter().chain(arguments)).unwrap();
        let config = Config::new(settings, &environment).unwrap();
        (config.spare_tunnels, config.refresh)
    };
    assert_eq!(of(&[]), (8, Refresh::Ahead));
    assert_eq!(of(&["--spare-tunnels=3"]), (3, Refresh::Ahead));
    assert_eq!(
        of(&["--lazy-refresh", "--spare-tunnels=3"]),
        (0, Refresh::Lazy)
    );
}
