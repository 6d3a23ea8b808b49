//! Which leg of a session's opening is slow: a delay on each is told of that leg.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use transport::tls::Offer;

use crate::client::{Client, take};
use crate::database::{Database, Manner, OK, greeting, login_as};
use crate::running::{Agent, eventually, settings};

const DELAY: Duration = Duration::from_millis(200);

/// Whose words come late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    /// Nobody's.
    Never,
    /// Those of who connects; so many come in time.
    Caller(usize),
    /// Those of whom it is connected to.
    Called(usize),
}

/// A way to an address on which some words come late.
async fn way(to: SocketAddr, late: Late) -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = TaskTracker::new().spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(to).await.unwrap();
            let ((mut a, mut b), (mut c, mut d)) = (near.into_split(), far.into_split());
            let (up, down) = match late {
                Late::Never => (None, None),
                Late::Caller(number) => (Some(number), None),
                Late::Called(number) => (None, Some(number)),
            };
            let tasks = TaskTracker::new();
            tasks.spawn(async move { copy(&mut a, &mut d, up).await });
            tasks.spawn(async move { copy(&mut c, &mut b, down).await });
        }
    });
    (address, AbortOnDropHandle::new(task))
}

async fn copy(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    late: Option<usize>,
) {
    let mut bytes = vec![0; 64 * 1024];
    for number in 0.. {
        let Ok(read @ 1..) = from.read(&mut bytes).await else {
            return;
        };
        if late == Some(number) {
            tokio::time::sleep(DELAY).await;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

/// Each leg of one session's opening, in seconds.
async fn legs_of_one_session(to_agent: Late, to_database: Late) -> Vec<(String, f64)> {
    let ca = crate::ca::Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let place = database.place.strip_prefix("tcp:").unwrap();
    let (address, _to_database) = way(place.parse().unwrap(), to_database).await;
    let mut agent = Agent::start(settings(&ca, &format!("tcp:{address}"))).await;
    let (address, _to_agent) = way(agent.address, to_agent).await;
    agent.address = address;
    let mut session = Client::of(&ca, &agent, Offer::Ours).open().await.unwrap();
    take(&mut session, greeting().len()).await;
    session.write_all(&login_as("app")).await.unwrap();
    take(&mut session, OK.len()).await;
    let name = "csql_server_session_leg_seconds_sum{leg=\"";
    eventually(async || {
        let (_, text) = agent.probe("/metrics").await;
        let legs: Vec<(String, f64)> = text
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.split_once("\"} "))
            .map(|(leg, seconds)| (leg.to_owned(), seconds.parse().unwrap()))
            .collect();
        (!legs.is_empty()).then_some(legs)
    })
    .await
}

fn slowest(legs: &[(String, f64)]) -> &str {
    let longest = legs.iter().max_by(|one, other| one.1.total_cmp(&other.1));
    &longest.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_is_told_of_the_leg_on_which_it_is() {
    for (to_agent, to_database, leg) in [
        (Late::Caller(1), Late::Never, "tls"),
        (Late::Never, Late::Called(0), "greeting"),
        (Late::Never, Late::Called(1), "authentication"),
    ] {
        let legs = legs_of_one_session(to_agent, to_database).await;
        assert_eq!(slowest(&legs), leg, "{legs:?}");
        let all: f64 = legs.iter().map(|(_, seconds)| seconds).sum();
        assert!(all >= DELAY.as_secs_f64(), "{legs:?}");
        let mut names: Vec<&str> = legs.iter().map(|(leg, _)| leg.as_str()).collect();
        names.sort_unstable();
        let expected = [
            "accept",
            "authentication",
            "database",
            "greeting",
            "policy",
            "tls",
        ];
        assert_eq!(names, expected);
    }
}
