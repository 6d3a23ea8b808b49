//! What an agent asks: whom to let in, and to be told when that changes.

use std::time::{Duration, Instant};

use proto::admin::AgentSettings;
use serde_json::json;

use super::world::{Caller, PATIENCE, World};
use crate::registry::{Mode, Permission, Role};

const PATH: &str = "/csql/v1/projects/demo/instances/db1/agentSettings";

async fn read(world: &World, token: &str, query: &str) -> AgentSettings {
    let answer = world.get(&format!("{PATH}{query}"), token).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_value(answer.body).unwrap()
}

fn accounts(settings: &AgentSettings) -> Vec<&str> {
    settings
        .grants
        .iter()
        .map(|grant| grant.service_account.as_str())
        .collect()
}

#[tokio::test]
async fn an_agent_is_told_whom_to_let_in_and_how_far() {
    let (world, client, agent) = World::with_db1().await;
    let narrow = world.caller("narrow", Mode::Strict).await;
    let instance = world.registry.named_instance("db1").await.unwrap();
    let permission = Permission {
        account: narrow.account.name.clone(),
        account_enabled: true,
        role: Role::Client,
        db_users: vec!["app".to_owned(), "o'brien".to_owned()],
        schemas: vec!["shop".to_owned()],
    };
    world
        .registry
        .grant(&instance, &narrow.account, &permission, false)
        .await
        .unwrap();
    let off = world.caller("off", Mode::Strict).await;
    world.grant("db1", &off, Role::Client).await;
    world
        .registry
        .set_account_enabled(&off.account, false)
        .await
        .unwrap();
    let token = world.token(&agent, None).await;
    let settings = read(&world, &token, "").await;
    assert_eq!(settings.kind, "csql#agentSettings");
    assert_eq!(settings.connection_name.to_string(), "demo:eu:db1");
    assert_eq!(settings.database_version, "MYSQL_8_4");
    let names = ["192.0.2.10", "db.example.com", "2001:db8::7"];
    assert_eq!(settings.server_names, names);
    assert!(
        settings
            .client_ca_cert
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
    let names = [client.account.name.as_str(), narrow.account.name.as_str()];
    assert_eq!(
        accounts(&settings),
        names,
        "not the agent, not the disabled account"
    );
    assert_eq!(settings.grants[1].db_users, ["app", "o'brien"]);
    assert_eq!(settings.grants[1].schemas, ["shop"]);
}

#[tokio::test]
async fn a_change_answers_a_waiting_agent_within_a_second() {
    let (world, client, agent) = World::with_db1().await;
    let token = world.token(&agent, None).await;
    let first = read(&world, &token, "").await;
    let query = format!("?revision={}&waitSeconds=20", first.revision);
    let begun = Instant::now();
    let (settings, changed) = tokio::join!(read(&world, &token, &query), async {
        wait_until_it_waits(&world).await;
        world.ungrant("db1", &client, Role::Client).await;
        Instant::now()
    });
    assert!(
        changed.elapsed() < Duration::from_secs(1),
        "{:?}",
        changed.elapsed()
    );
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert_ne!(settings.revision, first.revision);
    assert!(accounts(&settings).is_empty());
}

#[tokio::test]
async fn an_old_revision_is_answered_at_once_and_an_unchanged_one_after_the_wait() {
    let (world, _, agent) = World::with_db1().await;
    let token = world.token(&agent, None).await;
    let current = read(&world, &token, "").await.revision;
    let begun = Instant::now();
    let old = format!("?revision={}&waitSeconds=20", current - 1);
    assert_eq!(read(&world, &token, &old).await.revision, current);
    assert!(begun.elapsed() < Duration::from_secs(5));
    let begun = Instant::now();
    let same = format!("?revision={current}&waitSeconds=1&unknown=x");
    assert_eq!(read(&world, &token, &same).await.revision, current);
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_long_poll_outlives_the_time_of_ordinary_requests() {
    let (world, _, agent) = World::with_db1().await;
    let token = world.token(&agent, None).await;
    let current = read(&world, &token, "").await.revision;
    let begun = Instant::now();
    read(
        &world,
        &token,
        &format!("?revision={current}&waitSeconds=17"),
    )
    .await;
    assert!(begun.elapsed() >= Duration::from_secs(17));
}

async fn wait_until_it_waits(world: &World) {
    let deadline = Instant::now() + PATIENCE;
    while world.service.waiting() == 0 {
        assert!(Instant::now() < deadline, "the agent does not wait");
        tokio::task::yield_now().await;
    }
}

async fn refused_while_waiting(change: impl AsyncFnOnce(&World, &Caller)) -> u16 {
    let (world, _, agent) = World::with_db1().await;
    let token = world.token(&agent, None).await;
    let current = read(&world, &token, "").await.revision;
    let path = format!("{PATH}?revision={current}&waitSeconds=20");
    let (answer, ()) = tokio::join!(world.get(&path, &token), async {
        wait_until_it_waits(&world).await;
        change(&world, &agent).await;
    });
    answer.google_error().0
}

#[tokio::test]
async fn an_agent_that_loses_its_grant_while_it_waits_is_refused() {
    let status = refused_while_waiting(async |world, agent| {
        world.ungrant("db1", agent, Role::Agent).await;
    });
    assert_eq!(status.await, 403);
    let status = refused_while_waiting(async |world, agent| {
        world
            .registry
            .set_account_enabled(&agent.account, false)
            .await
            .unwrap();
    });
    assert_eq!(status.await, 401);
}

#[tokio::test]
async fn a_client_does_not_read_whom_else_there_is() {
    let (world, client, _) = World::with_db1().await;
    let token = world.token(&client, None).await;
    assert_eq!(world.get(PATH, &token).await.google_error().0, 403);
    let body = json!({ "publicKey": "" });
    let path = "/csql/v1/projects/demo/instances/db1:generateServerCert";
    assert_eq!(world.post(path, &token, &body).await.google_error().0, 403);
}

#[tokio::test]
async fn a_malformed_wait_is_refused() {
    let (world, _, agent) = World::with_db1().await;
    let token = world.token(&agent, None).await;
    for query in [
        "?revision=x",
        "?revision=-1",
        "?waitSeconds=1.5",
        "?revision",
        "?revision=%zz",
    ] {
        assert_eq!(
            world
                .get(&format!("{PATH}{query}"), &token)
                .await
                .google_error()
                .0,
            400,
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_service_that_stops_answers_those_who_wait() {
    let (world, _, agent) = World::with_db1().await;
    let token = world.token(&agent, None).await;
    let current = read(&world, &token, "").await.revision;
    let query = format!("?revision={current}&waitSeconds=50");
    let (settings, ()) = tokio::join!(read(&world, &token, &query), async {
        wait_until_it_waits(&world).await;
        world.request_stop();
    });
    assert_eq!(settings.revision, current);
    world.stop().await;
}
