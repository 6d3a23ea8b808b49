//! Tokens, assertions and keys appear nowhere but where they belong.

use serde_json::json;
use transport::tls::PrivateKey;

use super::world::{World, ephemeral, settings};

#[tokio::test]
async fn no_token_assertion_or_key_is_stored_or_told() {
    let (world, client, _) = World::with_db1().await;
    let key = PrivateKey::generate_p256().unwrap();
    let assertion = client.sign(&client.claims(&world));
    let mut told = String::new();
    let good = world.post_assertion(&assertion).await;
    let token = good.body["access_token"].as_str().unwrap().to_owned();
    told += &world.post_assertion(&assertion).await.body.to_string();
    let forged = format!("{assertion}AAAA");
    told += &world.post_assertion(&forged).await.body.to_string();
    let bearer = client.sign(&client.claims(&world));
    told += &world.get(&settings("db1"), &bearer).await.body.to_string();
    told += &world.get(&settings("db1"), &bearer).await.body.to_string();
    told += &world
        .get(&settings("db1"), &format!("{token}AAAA"))
        .await
        .body
        .to_string();
    told += &world
        .get(&settings("nowhere"), &token)
        .await
        .body
        .to_string();
    let body = json!({ "public_key": key.public_key_pem(), "access_token": token });
    told += &world
        .post(&ephemeral("db1"), &token, &body)
        .await
        .body
        .to_string();
    told += &world.certify(&client, "db1", &key).await.body["error"].to_string();
    let metrics = world
        .client
        .get(world.url("/metrics"))
        .send()
        .await
        .unwrap();
    told += &metrics.text().await.unwrap();
    let signature = |text: &str| text.rsplit('.').next().unwrap()[..40].to_owned();
    let canaries = [
        token[..60].to_owned(),
        signature(&assertion),
        signature(&bearer),
        "PRIVATE KEY".to_owned(),
    ];
    let audit: Vec<String> = sqlx::query_scalar("SELECT detail FROM audit")
        .fetch_all(&world.registry.store().read())
        .await
        .unwrap();
    let stored = std::fs::read(world.folder.path().join("data/store.db")).unwrap();
    for canary in canaries {
        assert!(!told.contains(&canary), "told: {canary}");
        assert!(!audit.concat().contains(&canary), "audited: {canary}");
        assert!(
            !stored
                .windows(canary.len())
                .any(|part| part == canary.as_bytes()),
            "stored"
        );
    }
}

#[tokio::test]
async fn errors_tell_no_path_statement_or_name_of_others() {
    let (world, client, _) = World::with_db1().await;
    let other = world
        .caller("secretly-there", crate::registry::Mode::Strict)
        .await;
    let token = world.token(&client, None).await;
    let answers = [
        world.get(&settings("nowhere"), &token).await,
        world.get(&settings("db1"), "rubbish").await,
        world.post_assertion("a.b.c").await,
        world
            .post(&ephemeral("db1"), &token, &json!({ "public_key": "x" }))
            .await,
    ];
    let folder = world.folder.path().display().to_string();
    for answer in answers {
        assert!(answer.headers.contains_key("x-request-id"));
        let text = answer.body.to_string();
        for secret in [
            folder.as_str(),
            "SELECT",
            "sqlite",
            ".rs",
            &other.kid,
            "secretly-there",
        ] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn metrics_have_a_bounded_number_of_series() {
    let (world, client, _) = World::with_db1().await;
    let token = world.token(&client, None).await;
    for at in 0..300 {
        world.get(&format!("/nowhere/{at}"), &token).await;
        world.get(&settings(&format!("no{at}")), &token).await;
        world.get(&settings("db1"), &format!("a{at}.b.c")).await;
    }
    let text = world
        .client
        .get(world.url("/metrics"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series < 30, "{text}");
    assert!(
        text.contains(
            "cloudsql_ca_refusals_total{route=\"connectSettings\",reason=\"denied\"} 300"
        )
    );
}
