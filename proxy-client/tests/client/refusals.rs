//! Each failure reaches the application in its own protocol.

use std::time::Duration;

use proto::admin::Status;
use proto::{Code, Refusal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::agent::Manner;
use crate::ca::{Instance, Mood};
use crate::world::{PATIENCE, World, error, show};

#[tokio::test]
async fn what_the_agent_says_in_its_frame_is_what_the_application_hears() {
    let (world, _) = World::new().await;
    let refusal = Refusal::new(Code::DatabaseUnreachable, "mysqld is down", "start it");
    world.agent.manner(Manner::Refusing(refusal));
    let client = world.client().await;
    let heard = client.heard().await;
    assert_eq!(
        error(&heard),
        (
            1158,
            "mysqld is down; start it [database-unreachable]".into()
        )
    );
    let begin = b"\x39\0\0\0\xff\x86\x04#08S01 ";
    assert_eq!(&heard[..begin.len()], begin, "{}", show(&heard));
}

#[tokio::test]
async fn in_googles_dialect_a_refused_certificate_is_an_error_and_not_a_closed_socket() {
    let (world, instance) = World::with(Instance::bare("demo:eu:db1")).await;
    let stranger = Instance::new("demo:eu:db1");
    world.agent.believes(&instance.name, &stranger.client_ca);
    let client = world.client().await;
    let (number, text) = error(&client.heard().await);
    assert_eq!(number, 1045);
    assert!(
        text.contains("unknown_ca") && text.ends_with("[certificate-refused]"),
        "{text}"
    );
}

#[tokio::test]
async fn a_postgresql_application_hears_the_same_in_its_own_words() {
    let mut instance = Instance::bare("demo:eu:db1");
    instance.database_version = "POSTGRES_17";
    let (world, instance) = World::with(instance).await;
    let stranger = Instance::new("demo:eu:db1");
    world.agent.believes(&instance.name, &stranger.client_ca);
    let client = world
        .client_of(world.config(vec![world.instance("db1")]))
        .await;
    let mut app = client.connect().await;
    // As psql does: a request for encryption first, then the start-up message.
    app.write_all(&[0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F])
        .await
        .unwrap();
    let mut heard = Vec::new();
    timeout(PATIENCE, app.read_to_end(&mut heard))
        .await
        .unwrap()
        .unwrap();
    let error = heard
        .iter()
        .position(|byte| *byte == b'E')
        .expect("no ErrorResponse");
    let text = String::from_utf8_lossy(&heard[error..]).into_owned();
    assert!(
        text.contains("C28000\0") && text.contains("unknown_ca"),
        "{text}"
    );
}

#[tokio::test]
async fn each_refusal_of_the_ca_is_told_with_what_to_do() {
    let (world, _) = World::new().await;
    for (status, number, hint) in [
        (Status::Unauthenticated, 1045, "check the key file"),
        (Status::PermissionDenied, 1045, "for a grant of role client"),
        (Status::NotFound, 1045, "check the instance's name"),
        (Status::ResourceExhausted, 1158, "wait a moment"),
        (Status::Internal, 1158, "see the CA's log"),
    ] {
        world.ca.mood(Mood::Failing(status, "the CA's own words"));
        let client = world.client().await;
        let (found, text) = error(&client.heard().await);
        assert_eq!(found, number, "{text}");
        assert!(
            text.contains("the CA's own words") && text.contains(hint),
            "{text}"
        );
        assert!(!text.contains("t0ken"), "{text}");
    }
}

#[tokio::test]
async fn a_name_with_another_region_is_refused_with_the_right_one() {
    let (world, _) = World::new().await;
    let client = world
        .client_of(world.config(vec![world.instance("demo:us:db1")]))
        .await;
    let (_, text) = error(&client.heard().await);
    assert!(text.contains("name it demo:eu:db1"), "{text}");
}

#[tokio::test]
async fn something_else_at_the_agents_address_is_told_from_an_agent_with_another_certificate() {
    let (world, instance) = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut elsewhere = world.instance("db1");
    elsewhere.tunnel_port = listener.local_addr().unwrap().port();
    let tasks = TaskTracker::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.ok();
        }
    });
    let client = world.client_of(world.config(vec![elsewhere])).await;
    let (_, text) = error(&client.heard().await);
    assert!(text.contains("TLS handshake"), "{text}");
    let impostor = Instance::new("demo:eu:db1");
    world.agent.serves(&impostor);
    world.agent.believes(&instance.name, &instance.client_ca);
    let (_, text) = error(&world.client().await.heard().await);
    assert!(text.ends_with("[agent-identity]"), "{text}");
}

#[tokio::test]
async fn an_agent_that_keeps_silent_or_hangs_up_is_told_as_that() {
    let (world, _) = World::new().await;
    world.agent.manner(Manner::Silent);
    let mut config = world.config(vec![world.instance("db1")]);
    config.dial_timeout = Duration::from_millis(500);
    let client = world.client_of(config).await;
    let (_, text) = error(&client.heard().await);
    assert!(text.ends_with("[deadline]"), "{text}");
    world.agent.manner(Manner::HangingUp);
    let (_, text) = error(&client.heard().await);
    assert!(text.contains("before the database spoke"), "{text}");
}
