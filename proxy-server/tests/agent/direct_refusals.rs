//! Refusals of our own on the direct listener: behind a greeting, inside TLS where it is asked for.

use std::time::Duration;

use proto::Code;
use proxy_server::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use transport::handshake::Budget;

use crate::ca::Ca;
use crate::database::{Database, Manner, packet};
use crate::direct::direct;
use crate::mysql::{Tls, connect, error, log_in, read};
use crate::process::{log_of, started};
use crate::running::{Agent, PATIENCE, eventually};

/// What a client with TLS is told, and the version in the greeting before it.
async fn told(ca: &Ca, agent: &Agent) -> (u16, String, String) {
    let (stream, greeting) = connect(agent).await;
    let version = greeting[1..].split(|byte| *byte == 0).next().unwrap();
    let version = String::from_utf8(version.to_vec()).unwrap();
    let mut stream = Tls::plain(ca).begin(stream).await.unwrap();
    let (sequence, answer) = log_in(&mut stream, 2, "app", 0x0800).await;
    assert_eq!(sequence, 3);
    let (number, text) = error(&answer);
    let mut rest = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    read.unwrap().expect("a close_notify");
    (number, text, version)
}

async fn is_counted(agent: &Agent, code: Code) {
    let name = format!("csql_server_sessions_refused_total{{kind=\"{code}\",listener=\"direct\"}}");
    eventually(async || (agent.metric(&name).await >= 1).then_some(())).await;
}

#[tokio::test]
async fn a_database_that_is_down_is_told_inside_tls() {
    let ca = Ca::start().await;
    let agent = Agent::start(direct(&ca, &Database::nowhere())).await;
    let (number, text, version) = told(&ca, &agent).await;
    assert_eq!(number, 1158);
    assert!(text.starts_with("#08S01the agent cannot reach"), "{text}");
    assert!(text.ends_with("[database-unreachable]"), "{text}");
    assert!(!text.contains("127.0.0.1"), "{text}");
    assert_eq!(version, "8.4.0-cloudsql-proxy-server");
    is_counted(&agent, Code::DatabaseUnreachable).await;
}

#[tokio::test]
async fn a_database_that_does_not_greet_is_told_behind_our_own_greeting() {
    let ca = Ca::start().await;
    for (manner, code) in [
        (Manner::Closes, Code::DatabaseUnreachable),
        (Manner::Silent, Code::Deadline),
    ] {
        let database = Database::start(manner).await;
        let agent = Agent::begin(direct(&ca, &database.place), |config| {
            config.deadlines.direct_login = Budget::of_each(Duration::from_millis(300));
        });
        agent.until_ready(true).await;
        let (number, text, _) = told(&ca, &agent).await;
        assert_eq!(number, 1158);
        assert!(text.ends_with(&format!("[{code}]")), "{text}");
        is_counted(&agent, code).await;
    }
}

#[tokio::test]
async fn the_ceiling_of_sessions_is_told_with_the_version_that_the_database_last_had() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let agent = Agent::start(Settings {
        max_connections: Some(1),
        ..direct(&ca, &database.place)
    })
    .await;
    let (_session, (_, answer)) = Tls::plain(&ca).log_in(&agent, "app").await;
    assert_eq!(answer[0], 0);
    let (number, text, version) = told(&ca, &agent).await;
    assert_eq!((number, version.as_str()), (1040, "9.7.4"));
    assert!(text.starts_with("#08004"), "{text}");
    assert!(text.contains("--max-connections (1)"), "{text}");
    assert_eq!(database.seen(), 1);
}

#[tokio::test]
async fn the_newest_client_of_an_address_takes_the_room_of_its_oldest() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let agent = Agent::start(Settings {
        max_handshakes_per_source: Some(1),
        ..direct(&ca, &database.place)
    })
    .await;
    let _silent = connect(&agent).await;
    let _greeted = connect(&agent).await;
    assert_eq!(database.seen(), 2);
    let crowded = "csql_server_sessions_refused_total{kind=\"crowded\",listener=\"direct\"}";
    eventually(async || (agent.metric(crowded).await == 1).then_some(())).await;
}

#[tokio::test]
async fn without_a_certificate_the_refusal_comes_instead_of_a_greeting() {
    let ca = Ca::start().await;
    ca.change(|says| says.down = true);
    let database = Database::start(Manner::Mysql).await;
    let agent = Agent::begin(direct(&ca, &database.place), |config| {
        config.deadlines.tls = Duration::from_millis(300);
    });
    let (_, answer) = connect(&agent).await;
    let (number, text) = error(&answer);
    assert_eq!(number, 1158);
    assert!(text.ends_with("[ca-unreachable]"), "{text}");
    assert_eq!(database.seen(), 0);
}

#[tokio::test]
async fn an_instance_of_another_engine_is_not_served_to_mysql_clients() {
    let ca = Ca::start().await;
    ca.change(|says| says.version = "POSTGRES_17");
    let database = Database::start(Manner::Echo).await;
    let agent = Agent::start(direct(&ca, &database.place)).await;
    let (number, text, _) = told(&ca, &agent).await;
    assert_eq!(number, 1158);
    assert!(text.contains("speaks postgres"), "{text}");
    assert_eq!(database.seen(), 0);
}

#[tokio::test]
async fn an_answer_that_is_none_gets_a_bad_handshake() {
    let ca = Ca::start().await;
    let (up, down) = (
        Database::start(Manner::Mysql).await.place.clone(),
        Database::nowhere(),
    );
    let database = Database::start(Manner::Mysql).await;
    drop(up);
    for place in [database.place.clone(), down] {
        let agent = Agent::start(direct(&ca, &place)).await;
        // Too long by its header alone, and too short to be one.
        for junk in [vec![0xFF, 0xFF, 0xFE, 1], packet(1, b"GET")] {
            let (mut stream, _) = connect(&agent).await;
            stream.write_all(&junk).await.unwrap();
            let (sequence, answer) = read(&mut stream).await;
            let (number, text) = error(&answer);
            assert_eq!((sequence, number), (2, 1043), "{text}");
            assert!(text.starts_with("#08S01"), "{text}");
        }
    }
}

#[tokio::test]
async fn what_the_database_says_instead_of_a_greeting_passes_as_it_is_and_is_counted_by_cause() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::MysqlFull).await;
    let agent = Agent::start(direct(&ca, &database.place)).await;
    let (_, answer) = connect(&agent).await;
    assert_eq!(answer, crate::database::FULL);
    let cause = "csql_server_database_refusals_total{cause=\"too-many-connections\"}";
    eventually(async || (agent.metric(cause).await == 1).then_some(())).await;
}

#[tokio::test]
async fn a_host_that_the_database_blocks_is_an_alarm_with_the_fix_and_a_flood_of_strangers_is_not_one_line_each()
 {
    const FLOOD: usize = 60;
    let ca = Ca::start().await;
    let database = Database::start(Manner::MysqlBlocks).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mysql");
    let more = [
        "--mysql-listen=127.0.0.1:0".to_owned(),
        format!("--mysql-address-file={}", file.display()),
        "--http-port=0".to_owned(),
    ];
    let more = more.each_ref().map(String::as_str);
    let (child, mut agent) = started(&ca, &database, &more).await;
    let address = std::fs::read_to_string(&file).unwrap();
    agent.mysql = Some(address.trim().parse().unwrap());
    let blocked = async || {
        let (_, answer) = connect(&agent).await;
        (answer == crate::database::BLOCKED).then_some(())
    };
    eventually(blocked).await;
    for _ in 0..FLOOD {
        assert!(blocked().await.is_some());
    }
    let lines = log_of(child).await;
    let count = |words: &[&str]| {
        let all = |line: &&String| words.iter().all(|word| line.contains(word));
        lines.iter().filter(all).count()
    };
    let told = count(&["WARN", "db.error=1129", "flush-hosts"]);
    assert!((1..FLOOD).contains(&told), "{told} lines: {lines:#?}");
}

#[tokio::test]
async fn who_waits_for_a_turn_when_the_agent_is_told_to_stop_is_told_so() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let settings = Settings {
        mysql_listen_max_logins: Some(1),
        ..direct(&ca, &database.place)
    };
    let agent = Agent::begin(settings, |config| config.deadlines.turn = PATIENCE);
    agent.until_ready(true).await;
    let (first, _) = connect(&agent).await;
    let waiting = tokio::net::TcpStream::connect(agent.mysql.unwrap());
    let mut waiting = waiting.await.unwrap();
    let open = "csql_server_sessions_open{listener=\"direct\"}";
    eventually(async || (agent.metric(open).await == 2).then_some(())).await;
    agent.shutdown.drain.cancel();
    drop(first);
    let (_, greeting) = read(&mut waiting).await;
    assert_eq!(greeting[0], 10, "ours");
    let mut stream = Tls::plain(&ca).begin(waiting).await.unwrap();
    let (_, answer) = log_in(&mut stream, 2, "app", 0x0800).await;
    let (number, text) = error(&answer);
    assert_eq!(number, 1053);
    assert!(text.ends_with("[draining]"), "{text}");
    assert_eq!(database.seen(), 1);
}
