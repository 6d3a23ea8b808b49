//! Tunnels that clients keep ready: they wait long, cost little, open nothing, and are judged when they are used.

use std::time::Duration;

use proto::Code;
use proto::frame::{self, Answer};
use proxy_server::{Deadlines, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::timeout;
use transport::tls::{Offer, TlsStream};

use crate::ca::{Ca, grant};
use crate::client::{Client, answer, echo, rest};
use crate::database::{Database, Manner};
use crate::running::{Agent, PATIENCE, eventually, settings};

const OTHER: &str = "other@p.iam.gserviceaccount.com";
/// The time of a frame here: a tunnel that is kept ready outlives it.
const SHORT: Duration = Duration::from_millis(300);
const WAITING: &str = "csql_server_spares";

async fn world(change: impl FnOnce(&mut Settings)) -> (std::sync::Arc<Ca>, Database, Agent) {
    let ca = Ca::start().await;
    ca.change(|says| says.version = "REDIS");
    let database = Database::start(Manner::Echo).await;
    let mut settings = settings(&ca, &database.place);
    change(&mut settings);
    let agent = Agent::begin(settings, |config| {
        config.deadlines = Deadlines {
            frame: SHORT,
            ..config.deadlines
        };
    });
    agent.until_ready(true).await;
    (ca, database, agent)
}

async fn idle(client: &Client) -> TlsStream {
    client.connect().await.unwrap().0
}

/// Uses a tunnel.
async fn used(client: &Client, stream: &mut TlsStream) -> Answer {
    let bytes = frame::encode(&client.hello()).unwrap();
    stream.write_all(&bytes).await.unwrap();
    answer(stream).await
}

async fn waiting(agent: &Agent, count: u64) {
    eventually(async || (agent.metric(WAITING).await == count).then_some(())).await;
}

/// Why a tunnel that was not used was ended, once it is.
async fn told(stream: &mut TlsStream) -> Code {
    let Answer::Refused(refusal) = answer(stream).await else {
        panic!("nobody asked");
    };
    assert!(rest(stream).await.is_empty());
    refusal.code
}

fn unused(kind: &str) -> String {
    format!("csql_server_spares_unused_total{{kind=\"{kind}\"}}")
}

#[tokio::test]
async fn a_tunnel_is_kept_ready_longer_than_a_frame_takes_and_the_database_hears_of_it_when_it_is_used()
 {
    let (ca, database, agent) = world(|_| {}).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let mut spare = idle(&client).await;
    let silent = timeout(SHORT * 2, spare.read_u8()).await;
    assert!(silent.is_err(), "{silent:?}");
    assert_eq!(agent.metric(WAITING).await, 1);
    let open = "csql_server_sessions_open{listener=\"tunnel\"}";
    assert_eq!((agent.metric(open).await, database.seen()), (0, 0));
    let answer = used(&client, &mut spare).await;
    // What the client needs to know to do it again.
    assert!(
        matches!(
            answer,
            Answer::Ok {
                patience: Some(60),
                ..
            }
        ),
        "{answer:?}"
    );
    echo(&mut spare, b"select 1").await;
    assert_eq!((database.seen(), agent.metric(WAITING).await), (1, 0));
}

#[tokio::test]
async fn a_tunnel_that_is_kept_ready_holds_no_room_for_handshakes() {
    let (ca, _database, agent) = world(|settings| settings.max_handshakes = Some(1)).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let _spare = idle(&client).await;
    // All the room there is for spares is taken as well: the second one has the time of a frame.
    waiting(&agent, 1).await;
    client.open().await.unwrap();
}

#[tokio::test]
async fn a_client_that_opens_very_many_and_uses_none_is_bounded_and_others_are_served() {
    const MOST: u64 = 16;
    let (ca, database, agent) = world(|settings| settings.max_spares_per_account = Some(16)).await;
    ca.change(|says| says.grants.push(grant(OTHER)));
    let client = Client::of(&ca, &agent, Offer::Ours);
    let mut held = JoinSet::new();
    for _ in 0..200 {
        let mut stream = idle(&client).await;
        held.spawn(async move { told(&mut stream).await });
    }
    for _ in MOST..200 {
        assert_eq!(held.join_next().await.unwrap().unwrap(), Code::Deadline);
    }
    waiting(&agent, MOST).await;
    assert_eq!(database.seen(), 0);
    let other = Client::with(&ca, &agent, Offer::Ours, "i", &ca.client("i", OTHER));
    eventually(async || other.open().await.ok()).await;
    let mut theirs = idle(&other).await;
    waiting(&agent, MOST + 1).await;
    assert!(matches!(used(&other, &mut theirs).await, Answer::Ok { .. }));
    // Who has too many has its newest still, and is not invited to keep more.
    let mut more = idle(&client).await;
    let answer = used(&client, &mut more).await;
    assert!(
        matches!(answer, Answer::Ok { patience: None, .. }),
        "{answer:?}"
    );
    held.shutdown().await;
    waiting(&agent, 0).await;
    assert_eq!(agent.metric(&unused("left")).await, MOST - 1);
    assert_eq!(agent.metric(&unused("crowded")).await, 185);
}

#[tokio::test]
async fn when_the_grant_is_withdrawn_tunnels_kept_ready_are_ended_at_once_and_others_are_not() {
    let (ca, database, agent) = world(|_| {}).await;
    ca.change(|says| says.grants.push(grant(OTHER)));
    let client = Client::of(&ca, &agent, Offer::Ours);
    let other = Client::with(&ca, &agent, Offer::Ours, "i", &ca.client("i", OTHER));
    let mut spare = idle(&client).await;
    // Until the agent has heard of the other grant.
    eventually(async || other.open().await.ok()).await;
    let mut theirs = idle(&other).await;
    waiting(&agent, 2).await;
    ca.change(|says| {
        says.grants
            .retain(|grant| grant.service_account.to_string() == OTHER);
    });
    assert_eq!(told(&mut spare).await, Code::NoGrant);
    assert_eq!(agent.metric(&unused("refused")).await, 1);
    let answer = used(&other, &mut theirs).await;
    assert!(matches!(answer, Answer::Ok { .. }), "{answer:?}");
    eventually(async || (database.seen() == 2).then_some(())).await;
}

#[tokio::test]
async fn when_the_agent_drains_tunnels_kept_ready_end_at_once() {
    let (ca, database, agent) = world(|_| {}).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let (mut one, mut other) = (idle(&client).await, idle(&client).await);
    waiting(&agent, 2).await;
    agent.shutdown.request(daemon::shutdown::Signal::Terminate);
    for stream in [&mut one, &mut other] {
        assert_eq!(told(stream).await, Code::Draining);
    }
    assert_eq!(database.seen(), 0);
    // Nothing is left to wait for: the agent itself ends, long before the drain's own time.
    let gone = async {
        while tokio::net::TcpStream::connect(agent.http).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the agent ends");
}
