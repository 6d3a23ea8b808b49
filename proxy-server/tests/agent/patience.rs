//! Peers that keep the agent waiting: each is cut at its deadline, wherever it falls silent.

use std::time::Duration;

use proto::Code;
use proxy_server::Deadlines;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use transport::handshake::Budget;
use transport::tls::Offer;

use crate::ca::Ca;
use crate::client::{Client, answer, rest, take};
use crate::database::{Database, Manner, greeting};
use crate::running::{Agent, PATIENCE, settings};

/// All steps get `short`, but for one.
async fn impatient(ca: &Ca, place: &str, deadlines: Deadlines) -> Agent {
    let agent = Agent::begin(settings(ca, place), |config| config.deadlines = deadlines);
    agent.until_ready(true).await;
    agent
}

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_peer_that_is_silent_or_drips_instead_of_shaking_hands_is_cut() {
    let ca = Ca::start().await;
    let deadlines = Deadlines {
        tls: SHORT,
        ..Deadlines::default()
    };
    let agent = impatient(&ca, &Database::nowhere(), deadlines).await;
    for drip in [false, true] {
        let mut socket = TcpStream::connect(agent.address).await.unwrap();
        let (mut reader, mut writer) = socket.split();
        let drips = async {
            // The beginning of a ClientHello that never ends.
            let mut bytes = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]
                .into_iter()
                .chain([0; 500]);
            while let Some(byte) = bytes.next().filter(|_| drip) {
                if writer.write_all(&[byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(SHORT / 6).await;
            }
            std::future::pending::<()>().await;
        };
        let mut heard = Vec::new();
        tokio::select! {
            () = drips => panic!("it drips for ever"),
            ended = timeout(PATIENCE, reader.read_to_end(&mut heard)) => {
                drop(ended.expect("the agent cuts"));
            }
        }
    }
    let name = "csql_server_handshakes_failed_total{kind=\"tls-deadline\"}";
    crate::running::eventually(async || (agent.metric(name).await == 2).then_some(())).await;
}

#[tokio::test]
async fn a_client_without_a_frame_is_told_and_cut() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Echo).await;
    // Whether or not tunnels may be kept ready; and whoever has begun has the time of a frame.
    for (frame, spare, begins) in [
        (SHORT, Duration::ZERO, false),
        (PATIENCE, SHORT, false),
        (SHORT, PATIENCE, true),
    ] {
        let deadlines = Deadlines {
            frame,
            spare,
            ..Deadlines::default()
        };
        let agent = impatient(&ca, &database.place, deadlines).await;
        let client = Client::of(&ca, &agent, Offer::Ours);
        let (mut stream, _) = client.connect().await.unwrap();
        if begins {
            stream.write_all(&[0]).await.unwrap();
        }
        let told = answer(&mut stream).await;
        assert!(
            matches!(told, proto::frame::Answer::Refused(refusal) if refusal.code == Code::Deadline)
        );
        assert!(rest(&mut stream).await.is_empty(), "and cut");
    }
    assert_eq!(database.seen(), 0);
}

#[tokio::test]
async fn an_application_that_does_not_log_in_is_told_and_cut() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let deadlines = Deadlines {
        login: Budget {
            application: SHORT,
            database: PATIENCE,
        },
        ..Deadlines::default()
    };
    let agent = impatient(&ca, &database.place, deadlines).await;
    let mut stream = Client::of(&ca, &agent, Offer::Ours).open().await.unwrap();
    take(&mut stream, greeting().len()).await;
    let words = rest(&mut stream).await;
    // The number behind the greeting's, and no SQLSTATE before the application has spoken.
    assert_eq!(words[3..7], [1, 0xFF, 0x86, 0x04]);
    let words = String::from_utf8_lossy(&words);
    assert!(words.contains("the application took too long") && words.ends_with("[deadline]"));
}

#[tokio::test]
async fn a_database_that_does_not_greet_is_given_up() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Silent).await;
    let deadlines = Deadlines {
        login: Budget {
            application: PATIENCE,
            database: SHORT,
        },
        ..Deadlines::default()
    };
    let agent = impatient(&ca, &database.place, deadlines).await;
    let mut bare = Client::of(&ca, &agent, Offer::BareOnly).open_bare().await;
    let words = rest(&mut bare).await;
    assert_eq!(words[3..7], [0, 0xFF, 0x86, 0x04]);
    let words = String::from_utf8_lossy(&words);
    assert!(words.contains("the database took too long") && words.ends_with("[deadline]"));
}
