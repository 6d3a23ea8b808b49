//! The direct listener: what it offers, and what it lets strangers cost the database.

use std::time::Duration;

use proxy_server::{Deadlines, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use transport::handshake::Budget;

use crate::ca::Ca;
use crate::database::{Database, Manner, packet};
use crate::mysql::{Tls, connect, connect_to, echo, error, log_in, response, ssl_request};
use crate::running::{Agent, PATIENCE, eventually, settings};

/// Settings of an agent that listens for MySQL clients too.
pub(crate) fn direct(ca: &Ca, database: &str) -> Settings {
    Settings {
        mysql_listen: Some("127.0.0.1:0".parse().unwrap()),
        ..settings(ca, database)
    }
}

/// The byte of the greeting with the offer of TLS, without the packet's header.
const SSL_BYTE: usize = crate::database::SSL_BYTE - 4;

#[tokio::test]
async fn clients_with_tls_of_either_version_log_in_without_the_proxy_client() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let agent = Agent::start(direct(&ca, &database.place)).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let tls = Tls::new(&ca, version, None);
        let (mut stream, (sequence, answer)) = tls.log_in(&agent, "app").await;
        assert_eq!((sequence, answer[0]), (3, 0), "{version:?}");
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        assert_eq!(shown.len(), 2, "the certificate and its issuer");
        echo(&mut stream, &[0x5A; 100_000]).await;
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut rest))
            .await
            .unwrap()
            .expect("a close_notify");
    }
    let ended = "csql_server_sessions_ended_total{kind=\"application\",listener=\"direct\"}";
    eventually(async || (agent.metric(ended).await == 2).then_some(())).await;
    let open = "csql_server_sessions_open{listener=\"direct\"}";
    assert_eq!(agent.metric(open).await, 0);
}

#[tokio::test]
async fn the_mode_decides_whether_tls_is_offered_and_whether_clients_without_it_get_in() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    for (mode, offered, plain) in [
        ("off", false, true),
        ("allow", true, true),
        ("require", true, false),
    ] {
        let agent = Agent::start(Settings {
            mysql_listen_tls: Some(mode.into()),
            ..direct(&ca, &database.place)
        })
        .await;
        let (mut stream, greeting) = connect(&agent).await;
        assert_eq!(greeting[SSL_BYTE] & 0x08 != 0, offered, "{mode}");
        let (sequence, answer) = log_in(&mut stream, 1, "app", 0).await;
        assert_eq!(sequence, 2);
        if plain {
            assert_eq!(answer[0], 0, "{mode}");
            echo(&mut stream, b"in the clear").await;
        } else {
            let (number, text) = error(&answer);
            assert_eq!(number, 3159);
            assert!(text.starts_with("#HY000"), "{text}");
            assert!(text.contains("ssl-mode=REQUIRED"), "{text}");
        }
        if offered {
            let (_, (_, answer)) = Tls::plain(&ca).log_in(&agent, "app").await;
            assert_eq!(answer[0], 0, "{mode}");
        }
    }
}

#[tokio::test]
async fn bytes_behind_the_request_for_tls_belong_to_tls() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let agent = Agent::start(direct(&ca, &database.place)).await;
    let (mut stream, _) = connect(&agent).await;
    // A response in the clear that a careless reader would take for decrypted.
    let smuggled = packet(2, &response(Some("root"), 0x0800));
    stream
        .write_all(&[ssl_request(), smuggled].concat())
        .await
        .unwrap();
    let mut heard = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut heard))
        .await
        .unwrap()
        .ok();
    assert!(!heard.windows(2).any(|pair| pair == [2, 0]), "{heard:?}");
    let kind = "csql_server_sessions_refused_total{kind=\"login-tls\",listener=\"direct\"}";
    eventually(async || (agent.metric(kind).await == 1).then_some(())).await;
}

/// An agent that lets so many log in at once, for so long.
async fn narrow(ca: &Ca, database: &Database, most: usize, login: Duration) -> Agent {
    let settings = Settings {
        mysql_listen_max_logins: Some(most),
        ..direct(ca, &database.place)
    };
    let agent = Agent::begin(settings, |config| {
        config.deadlines = Deadlines {
            direct_login: Budget::of_each(login),
            turn: login / 4,
            ..config.deadlines
        };
    });
    agent.until_ready(true).await;
    agent
}

#[tokio::test]
async fn twenty_silent_clients_hold_no_more_places_than_the_cap_and_not_for_long() {
    const CAP: usize = 5;
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let agent = narrow(&ca, &database, CAP, Duration::from_secs(4)).await;
    let mut silent = Vec::new();
    for _ in 0..CAP {
        silent.push(connect(&agent).await.0);
    }
    // The others wait for their turn, and then the greeting is ours, and what follows says so.
    let mut others = JoinSet::new();
    for _ in CAP..20 {
        others.spawn(connect_to(agent.mysql.unwrap()));
    }
    silent.extend(
        others
            .join_all()
            .await
            .into_iter()
            .map(|(stream, _)| stream),
    );
    assert_eq!(database.seen(), CAP);
    let mut beyond = silent.pop().unwrap();
    let (_, answer) = log_in(&mut beyond, 1, "app", 0).await;
    let (number, text) = error(&answer);
    assert_eq!(number, 1040);
    assert!(text.contains("--mysql-listen-max-logins (5)"), "{text}");
    // Those who said nothing are told and cut, and their places are free again.
    let (number, text) = error(&crate::mysql::read(&mut silent[0]).await.1);
    assert_eq!(number, 1158);
    assert!(text.ends_with("[deadline]"), "{text}");
    let (_, (_, answer)) = eventually(async || {
        let (stream, answer) = Tls::plain(&ca).log_in(&agent, "app").await;
        (answer.1[0] == 0).then_some((stream, answer))
    })
    .await;
    assert_eq!(answer[0], 0);
}

#[tokio::test]
async fn the_cap_is_of_logins_and_not_of_sessions_and_the_deadline_is_well_below_the_databases() {
    assert!(Deadlines::default().direct_login.application < Duration::from_secs(8));
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let agent = narrow(&ca, &database, 1, Duration::from_secs(7)).await;
    let mut sessions = Vec::new();
    for _ in 0..5 {
        let (stream, (_, answer)) = Tls::plain(&ca).log_in(&agent, "app").await;
        assert_eq!(answer[0], 0);
        sessions.push(stream);
    }
    for stream in &mut sessions {
        echo(stream, b"all of them").await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_costs_one_connection_that_is_closed_at_once() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let agent = Agent::start(direct(&ca, &database.place)).await;
    let open = "csql_server_sessions_open{listener=\"direct\"}";
    let started = Instant::now();
    let (stream, _) = connect(&agent).await;
    drop(stream);
    let (mut stream, _) = connect(&agent).await;
    stream.write_all(&ssl_request()).await.unwrap();
    drop(stream);
    eventually(async || (agent.metric(open).await == 0).then_some(())).await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(database.seen(), 2);
}

#[tokio::test]
async fn each_instance_has_a_listener_of_its_own() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let agent = Agent::start(Settings {
        instance: vec!["p:r:i?mysql-listen=127.0.0.1:0".into(), "p:r:j".into()],
        ..settings(&ca, &database.place)
    })
    .await;
    eventually(async || {
        let (_, answer) = Tls::plain(&ca).log_in(&agent, "app").await;
        (answer.1[0] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stop_closes_the_listener_and_lets_the_session_end() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let agent = Agent::start(direct(&ca, &database.place)).await;
    let (mut stream, _) = Tls::plain(&ca).log_in(&agent, "app").await;
    agent.shutdown.drain.cancel();
    let address = agent.mysql.unwrap();
    eventually(async || TcpStream::connect(address).await.err()).await;
    echo(&mut stream, b"to its end").await;
}

#[tokio::test]
async fn a_pool_that_opens_more_connections_at_once_than_may_log_in_gets_them_all() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let agent = Agent::start(Settings {
        mysql_listen_max_logins: Some(2),
        mysql_listen_tls: Some("allow".into()),
        ..direct(&ca, &database.place)
    })
    .await;
    let mut pool = JoinSet::new();
    for _ in 0..40 {
        let listener = agent.mysql.unwrap();
        pool.spawn(async move {
            let (mut stream, _) = connect_to(listener).await;
            let (_, answer) = log_in(&mut stream, 1, "app", 0).await;
            (stream, answer[0])
        });
    }
    let pool = pool.join_all().await;
    assert!(pool.iter().all(|(_, answer)| *answer == 0));
    assert_eq!(database.seen(), 40);
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_for_its_turn_costs_the_database_nothing() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let agent = Agent::begin(
        Settings {
            mysql_listen_max_logins: Some(1),
            ..direct(&ca, &database.place)
        },
        |config| config.deadlines.turn = PATIENCE,
    );
    agent.until_ready(true).await;
    let (first, _) = connect(&agent).await;
    let waiting = TcpStream::connect(agent.mysql.unwrap()).await.unwrap();
    let open = "csql_server_sessions_open{listener=\"direct\"}";
    eventually(async || (agent.metric(open).await == 2).then_some(())).await;
    drop(waiting);
    drop(first);
    let left = "csql_server_sessions_refused_total{kind=\"left\",listener=\"direct\"}";
    eventually(async || (agent.metric(left).await == 1).then_some(())).await;
    assert_eq!(database.seen(), 1);
}
