//! When the store or the audit cannot be written, nothing is issued.

use serde_json::json;
use transport::tls::PrivateKey;

use super::world::{Answer, World, ephemeral};

async fn execute(world: &World, statement: &'static str) {
    let mut write = world.registry.store().write().await.unwrap();
    sqlx::query(statement).execute(&mut *write).await.unwrap();
    write.commit().await.unwrap();
}

async fn ready(world: &World) -> Answer {
    Answer::of(world.client.get(world.url("/readyz")).send().await.unwrap()).await
}

#[tokio::test]
async fn without_an_audit_there_is_no_certificate() {
    let (world, client, _) = World::with_db1().await;
    let key = PrivateKey::generate_p256().unwrap();
    let token = world.token(&client, Some(&key)).await;
    execute(&world, "ALTER TABLE audit RENAME TO audit_elsewhere").await;
    let body = json!({ "public_key": key.public_key_pem() });
    let answer = world.post(&ephemeral("db1"), &token, &body).await;
    assert_eq!(answer.google_error().0, 503);
    let begun: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM certificates WHERE purpose = 'client'")
            .fetch_one(&world.registry.store().read())
            .await
            .unwrap();
    assert_eq!(begun, 0);
    assert_eq!(ready(&world).await.status, 503);
    execute(&world, "ALTER TABLE audit_elsewhere RENAME TO audit").await;
    assert_eq!(
        world.post(&ephemeral("db1"), &token, &body).await.status,
        200
    );
    assert_eq!(ready(&world).await.status, 200);
}

#[tokio::test]
async fn a_certificate_is_on_record_before_it_is_signed() {
    let (world, client, _) = World::with_db1().await;
    // A store that takes the intention, and then no outcome: what a crash in between leaves behind.
    execute(
        &world,
        "CREATE TRIGGER crash BEFORE UPDATE ON certificates BEGIN SELECT RAISE(ABORT, 'crash'); END",
    )
    .await;
    let key = PrivateKey::generate_p256().unwrap();
    let answer = world.certify(&client, "db1", &key).await;
    assert_eq!(answer.google_error().0, 503);
    let left: Vec<(String, String)> =
        sqlx::query_as("SELECT state, service_account FROM certificates WHERE purpose = 'client'")
            .fetch_all(&world.registry.store().read())
            .await
            .unwrap();
    assert_eq!(
        left,
        [("started".to_owned(), client.account.name.to_string())]
    );
}

#[tokio::test]
async fn a_damaged_ca_disables_its_instance_only() {
    let (world, client, _) = World::with_db1().await;
    world.instance("db2").await;
    world
        .grant("db2", &client, crate::registry::Role::Client)
        .await;
    execute(
        &world,
        "UPDATE authorities SET wrapped_key = (SELECT wrapped_key FROM authorities WHERE purpose = 'root')
         WHERE purpose = 'client' AND instance_id = (SELECT id FROM instances WHERE name = 'db1')",
    )
    .await;
    let key = PrivateKey::generate_p256().unwrap();
    assert_eq!(
        world.certify(&client, "db1", &key).await.google_error().0,
        500
    );
    assert_eq!(world.certify(&client, "db2", &key).await.status, 200);
    let answer = ready(&world).await;
    assert_eq!(answer.status, 503);
    assert!(
        !answer.body.to_string().contains("db1"),
        "names are for the log"
    );
}

#[tokio::test]
async fn a_certificate_of_another_ca_beside_a_key_is_noticed() {
    let (world, client, _) = World::with_db1().await;
    execute(
        &world,
        "UPDATE authorities SET certificate = (SELECT certificate FROM authorities WHERE purpose = 'server')
         WHERE purpose = 'client'",
    )
    .await;
    let key = PrivateKey::generate_p256().unwrap();
    assert_eq!(
        world.certify(&client, "db1", &key).await.google_error().0,
        500
    );
}

#[tokio::test]
async fn a_clock_that_went_back_turns_readiness_red() {
    let (world, client, _) = World::with_db1().await;
    let key = PrivateKey::generate_p256().unwrap();
    assert_eq!(world.certify(&client, "db1", &key).await.status, 200);
    assert_eq!(ready(&world).await.status, 200);
    world.pass(-301);
    assert_eq!(ready(&world).await.status, 503);
}

#[tokio::test]
async fn what_was_cut_short_gets_its_outcome_once() {
    let (world, _, _) = World::with_db1().await;
    execute(
        &world,
        "INSERT INTO certificates VALUES ('a', 'cut', 'client', 'demo:eu:db1', 'app', '', 0, 1, 2, 'started')",
    )
    .await;
    let issuer = &world.service.app.issuer;
    assert!(
        issuer.settle(2).await.unwrap().is_empty(),
        "it is too young"
    );
    let settled = issuer.settle(3).await.unwrap();
    assert_eq!(settled, [("cut".to_owned(), "demo:eu:db1".to_owned())]);
    assert!(issuer.settle(3).await.unwrap().is_empty());
    let state: (String, i64) = sqlx::query_as(
        "SELECT (SELECT state FROM certificates WHERE serial = 'cut'),
                (SELECT COUNT(*) FROM audit WHERE outcome = 'abandoned' AND actor = 'app')",
    )
    .fetch_one(&world.registry.store().read())
    .await
    .unwrap();
    assert_eq!(state, ("failed".to_owned(), 1));
}

#[tokio::test]
async fn every_answer_has_the_date_of_the_cas_clock_forwards_and_back() {
    let world = World::start().await;
    for step in [0, 7200, -7200, -86_400 * 365, 5] {
        world.pass(step);
        let expected = httpdate::fmt_http_date(crate::clock::system_time(world.now()));
        for path in [
            "/livez",
            "/readyz",
            "/metrics",
            "/nowhere",
            "/token",
            "/openapi.json",
        ] {
            let response = world.client.get(world.url(path)).send().await.unwrap();
            assert_eq!(
                response.headers()["date"],
                expected,
                "{path} after {step} s"
            );
        }
    }
}

#[tokio::test]
async fn a_measurement_says_since_when_and_how_old_it_is() {
    let (world, _, _) = World::with_db1().await;
    let good = ready(&world).await;
    assert_eq!(
        (good.status.as_u16(), good.body["status"].as_str()),
        (200, Some("ok"))
    );
    assert_eq!(good.body["measuredSecondsAgo"], 0);
    let lock = world.registry.store().write().await.unwrap();
    world.pass(60);
    let bad = ready(&world).await;
    assert_eq!(
        (bad.status.as_u16(), bad.body["reason"].as_str()),
        (503, Some("slow"))
    );
    assert_eq!(bad.body["since"], crate::clock::rfc3339(world.now()));
    let report = world.service.app.readiness.report();
    assert!(
        !report.ready,
        "the health listener says so, too: {}",
        report.body
    );
    lock.rollback().await.unwrap();
    let deadline = std::time::Instant::now() + super::world::PATIENCE;
    while ready(&world).await.status != 200 {
        assert!(std::time::Instant::now() < deadline);
    }
}
