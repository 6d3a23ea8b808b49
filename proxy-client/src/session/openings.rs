//! Tunnels being opened: a bounded number at a time, in turns between callers, and only while the application is there.
//!
//! An opening costs handshakes here, at the agent and at the database. Connections that are made and left, or that speak
//! another protocol, must not cost any, and must not keep those waiting that log in.

mod turns;

use proto::Engine;
use proto::frame::Hello;
use tokio::time::{Instant, timeout_at};
use tracing::info;
use transport::accept::Source;
use transport::socket::{Peer, Socket};

use super::{SESSION, Served};
use crate::connector::Tunnel;
use crate::error::SessionError;
pub(super) use turns::Turns;

/// Openings of one instance in progress. Some 100 handshakes a second and core are done; with a round trip to the agent of
/// half a second and four of them to an opening, this many keep two cores busy. More would only make each of them slower.
const MOST: usize = 256;
/// First bytes of PostgreSQL's clients: a length below 2^24, or TLS without a request (`sslnegotiation=direct`).
const POSTGRES_FIRST: [u8; 2] = [0, 0x16];

/// Openings of one instance.
pub(super) type Openings = Turns<Caller, MOST>;

/// Callers take turns: what one of them connects at will cannot keep another from its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// From an address.
    Address(Source),
    /// A user of this machine, over a Unix socket.
    User(Option<u32>),
}

impl From<Peer> for Caller {
    fn from(peer: Peer) -> Self {
        match peer.addr {
            Some(addr) => Self::Address(Source::of(addr.ip())),
            None => Self::User(peer.uid),
        }
    }
}

/// Why an opening is given up on the application's account.
enum Lost {
    Left,
    Spoke(u8),
}

/// Opens a tunnel when it is the application's turn; `None` when the application left before.
pub(super) async fn open(
    (app, peer): (&Socket, Peer),
    hello: Hello,
    deadline: Instant,
    served: &Served,
) -> Option<Result<Tunnel, SessionError>> {
    let opened = async {
        let turn = served.openings.turn(peer.into());
        let Ok(_turn) = timeout_at(deadline, turn).await else {
            return Err(SessionError::Crowded(MOST));
        };
        served.connector.open(hello, deadline).await
    };
    tokio::select! {
        biased;
        lost = lost(app, served) => match lost {
            Lost::Left => None,
            Lost::Spoke(byte) => Some(Err(SessionError::NotTheProtocol(byte))),
        },
        opened = opened => Some(opened),
    }
}

/// Counts it, and logs the first and then one a minute.
pub(super) fn abandoned(served: &Served) {
    served.metrics.abandoned();
    if let Some(suppressed) = served.left_early.due(()) {
        info!(
            target: SESSION,
            suppressed, "the application left before its tunnel was open"
        );
    }
}

/// Waits until the application cannot be served any more, by the rules of its engine.
async fn lost(app: &Socket, served: &Served) -> Lost {
    let refresher = &served.connector.refresher;
    // Before the CA has told the engine, an early byte may be right.
    let gone = tokio::select! {
        biased;
        () = app.closed() => true,
        () = refresher.known() => false,
    };
    if gone {
        return Lost::Left;
    }
    match served.engine() {
        // The server speaks first: whatever comes before its greeting is no client of its.
        Engine::Mysql => match app.first_byte().await {
            Ok(Some(byte)) => Lost::Spoke(byte),
            Ok(None) | Err(_) => Lost::Left,
        },
        // The client speaks first: an end before its first byte is no session, one after it is.
        Engine::Postgres => match app.first_byte().await {
            Ok(Some(byte)) if POSTGRES_FIRST.contains(&byte) => {
                app.closed().await;
                Lost::Left
            }
            Ok(Some(byte)) => Lost::Spoke(byte),
            Ok(None) | Err(_) => Lost::Left,
        },
        // Nothing is known of the protocol: a client may end its direction and wait for an answer.
        Engine::Tcp => {
            app.closed().await;
            Lost::Left
        }
    }
}
