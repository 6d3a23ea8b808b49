//! Port scans cost the database nothing.

use proxy_server::Settings;
use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::ca::Ca;
use crate::database::{Database, Manner};
use crate::direct::direct;
use crate::mysql::{Tls, connect};
use crate::process::{signal, started};
use crate::running::{Agent, eventually};

const SCANS: usize = 1000;

#[tokio::test]
async fn a_thousand_connections_that_close_at_once_never_reach_the_database() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mysql");
    let more = [
        "--mysql-listen=127.0.0.1:0".to_owned(),
        format!("--mysql-address-file={}", file.display()),
    ];
    let more = more.each_ref().map(String::as_str);
    let (child, mut agent) = started(&ca, &database, &more).await;
    let address = std::fs::read_to_string(&file).unwrap();
    agent.mysql = Some(address.trim().parse().unwrap());
    let ready = async || {
        let (_, answer) = Tls::plain(&ca).log_in(&agent, "app").await;
        (answer.1[0] == 0).then_some(())
    };
    // Until the agent has its certificate it refuses without dialling.
    eventually(async || {
        let (_, greeting) = connect(&agent).await;
        (greeting[0] == 10).then_some(())
    })
    .await;
    eventually(ready).await;
    let before = database.seen();
    for address in [agent.mysql.unwrap(), agent.address] {
        // While it does not look, so that all have left when it does.
        signal(&child, Signal::STOP);
        for scan in 0..SCANS {
            let stream = TcpStream::connect(address).await.unwrap();
            if scan % 2 == 0 {
                stream.set_zero_linger().unwrap();
            }
        }
        signal(&child, Signal::CONT);
        // It goes through its backlog in order: whoever comes behind is served when all of them have been seen.
        drop(eventually(async || TcpStream::connect(address).await.ok()).await);
    }
    eventually(ready).await;
    assert_eq!(database.seen(), before + 1);
}

#[tokio::test]
async fn whoever_leaves_within_the_grace_is_counted_and_the_database_is_not_dialled() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let agent = Agent::start(Settings {
        mysql_listen_max_logins: Some(1000),
        ..direct(&ca, &database.place)
    })
    .await;
    for _ in 0..20 {
        drop(TcpStream::connect(agent.mysql.unwrap()).await.unwrap());
    }
    let left = "csql_server_handshakes_failed_total{kind=\"left\"}";
    eventually(async || (agent.metric(left).await == 20).then_some(())).await;
    assert_eq!(database.seen(), 0);
}
