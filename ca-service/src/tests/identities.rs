//! Who is believed: strict accounts, compat accounts, access tokens, self-signed bearers.

use proto::admin::{SCOPE_CLOUD_PLATFORM, SCOPE_LOGIN};
use serde_json::{Value, json};

use super::world::{Caller, ENDPOINT, GOOGLE, World, settings};
use crate::registry::{Mode, Role};

async fn compat_world() -> (World, Caller) {
    let world = World::start().await;
    world.instance("db1").await;
    let caller = world.caller("app", Mode::Compat).await;
    world.grant("db1", &caller, Role::Client).await;
    (world, caller)
}

#[tokio::test]
async fn a_strict_assertion_becomes_a_token_that_opens_the_api() {
    let (world, client, _) = World::with_db1().await;
    let answer = world
        .post_assertion(&client.sign(&client.claims(&world)))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.body["token_type"], "Bearer");
    assert_eq!(answer.body["expires_in"].as_u64(), Some(3600));
    assert!(answer.body.get("id_token").is_none());
    let token = answer.body["access_token"].as_str().unwrap();
    let answer = world.get(&settings("db1"), token).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn connect_settings_say_what_every_connector_needs() {
    let (world, client, _) = World::with_db1().await;
    let token = world.token(&client, None).await;
    for path in [
        settings("db1"),
        format!("//{}", settings("db1")),
        "/v1/projects/demo/instances/db1/connectSettings?alt=json&prettyPrint=false&x=%zz".into(),
        "/sql/v1beta4/projects/d%65mo/instances/db1/connectSettings".into(),
    ] {
        let body = world.get(&path, &token).await.body;
        assert_eq!(body["kind"], "sql#connectSettings", "{path}: {body}");
        assert_eq!(body["backendType"], "SECOND_GEN");
        assert_eq!(body["region"], "eu");
        assert_eq!(body["databaseVersion"], "MYSQL_8_4");
        assert_eq!(body["dnsName"], "db1.eu.demo.csql.internal");
        let name = json!({
            "name": "db1.eu.demo.csql.internal",
            "connectionType": "PRIVATE_SERVICE_CONNECT",
            "dnsScope": "INSTANCE",
            "recordManager": "CUSTOMER",
        });
        assert_eq!(body["dnsNames"], json!([name]));
        assert_eq!(body["pscEnabled"], true);
        assert_eq!(body["connectionName"], "demo:eu:db1");
        let addresses = json!([
            { "type": "PRIMARY", "ipAddress": "192.0.2.10" },
            { "type": "PRIVATE", "ipAddress": "192.0.2.10" },
        ]);
        assert_eq!(body["ipAddresses"], addresses);
        let pem = body["serverCaCert"]["cert"].as_str().unwrap();
        assert!(pem.ends_with("-----END CERTIFICATE-----\n") && !pem.ends_with("\n\n"));
        assert_ne!(body["serverCaCert"]["expirationTime"], "");
        assert!(body.get("mdxProtocolSupport").is_none());
    }
}

#[tokio::test]
async fn an_instance_is_described_in_googles_shape() {
    let (world, client, _) = World::with_db1().await;
    let token = world.token(&client, None).await;
    let body = world
        .get("/sql/v1beta4/projects/demo/instances/db1", &token)
        .await
        .body;
    assert_eq!(body["kind"], "sql#instance", "{body}");
    assert_eq!(body["name"], "db1");
    assert_eq!(body["state"], "RUNNABLE");
    assert_eq!(body["connectionName"], "demo:eu:db1");
    assert_eq!(body["instanceType"], "CLOUD_SQL_INSTANCE");
}

#[tokio::test]
async fn a_mariadb_instance_is_reported_as_a_mysql_that_connectors_know() {
    let (world, client, agent) = World::with_db1().await;
    let mut write = world.registry.store().write().await.unwrap();
    sqlx::query("UPDATE instances SET database_version = 'MARIADB_10_11'")
        .execute(&mut *write)
        .await
        .unwrap();
    write.commit().await.unwrap();
    let token = world.token(&client, None).await;
    let body = world.get(&settings("db1"), &token).await.body;
    assert_eq!(body["databaseVersion"], "MYSQL_8_0");
    // The agent is told the truth.
    let token = world.token(&agent, None).await;
    let body = world
        .get("/csql/v1/projects/demo/instances/db1/agentSettings", &token)
        .await
        .body;
    assert_eq!(body["databaseVersion"], "MARIADB_10_11", "{body}");
}

#[tokio::test]
async fn googles_assertions_are_accepted_from_compat_accounts_only() {
    let (world, compat) = compat_world().await;
    let bare = json!({ "alg": "RS256" });
    for audience in [GOOGLE.to_owned(), format!("{ENDPOINT}/token")] {
        let mut claims = compat.google_claims(&world);
        claims["aud"] = audience.into();
        for assertion in [compat.sign(&claims), compat.sign_with(&bare, &claims)] {
            let answer = world.post_assertion(&assertion).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            // No jti: the same assertion may come again.
            assert_eq!(world.post_assertion(&assertion).await.status, 200);
        }
    }
    let strict = world.caller("strict", Mode::Strict).await;
    let answer = world
        .post_assertion(&strict.sign(&strict.google_claims(&world)))
        .await;
    assert_eq!(answer.oauth_error().1, "invalid_grant");
}

#[tokio::test]
async fn any_key_of_a_compat_account_signs_without_kid() {
    let (world, first) = compat_world().await;
    let second = world.key_of(first.account.clone(), 1).await;
    let bare = json!({ "alg": "RS256" });
    for caller in [&first, &second] {
        let assertion = caller.sign_with(&bare, &caller.google_claims(&world));
        assert_eq!(world.post_assertion(&assertion).await.status, 200);
        // A kid that is named is the only one that is tried.
        let named = json!({ "alg": "RS256", "kid": first.kid });
        let assertion = caller.sign_with(&named, &caller.google_claims(&world));
        let expected = if caller.kid == first.kid { 200 } else { 400 };
        assert_eq!(world.post_assertion(&assertion).await.status, expected);
    }
}

#[tokio::test]
async fn a_self_signed_bearer_of_a_compat_account_may_have_no_audience() {
    let (world, caller) = compat_world().await;
    for audience in [None, Some(""), Some("https://ca.test:8443/token")] {
        let mut claims = caller.google_claims(&world);
        claims["sub"] = claims["iss"].clone();
        match audience {
            Some(audience) => claims["aud"] = audience.into(),
            None => drop(claims.as_object_mut().unwrap().remove("aud")),
        }
        let answer = world.get(&settings("db1"), &caller.sign(&claims)).await;
        assert_eq!(answer.status, 200, "{audience:?}: {}", answer.body);
    }
    let answer = world
        .get(
            &settings("db1"),
            &caller.sign(&caller.google_claims(&world)),
        )
        .await;
    assert_eq!(
        answer.google_error().0,
        401,
        "Google's audience is for the token endpoint"
    );
    assert!(answer.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn a_self_signed_bearer_of_a_strict_account_is_good_once() {
    let (world, client, _) = World::with_db1().await;
    let bearer = client.sign(&client.claims(&world));
    assert_eq!(world.get(&settings("db1"), &bearer).await.status, 200);
    let again = world.get(&settings("db1"), &bearer).await;
    assert!(again.google_error().2.contains("used before"), "{again:?}");
    let again = world.post_assertion(&bearer).await;
    assert!(again.oauth_error().2.contains("used before"), "{again:?}");
    let mut claims = client.claims(&world);
    claims.as_object_mut().unwrap().remove("aud");
    assert_eq!(
        world
            .get(&settings("db1"), &client.sign(&claims))
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn a_login_token_does_not_open_the_api() {
    let (world, caller) = compat_world().await;
    let with_scope = async |scope: &str| {
        let mut claims = caller.google_claims(&world);
        claims["scope"] = scope.into();
        let answer = world.post_assertion(&caller.sign(&claims)).await;
        let token = answer.body["access_token"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (
            answer.status.as_u16(),
            world.get(&settings("db1"), &token).await,
        )
    };
    let (status, answer) = with_scope(SCOPE_LOGIN).await;
    assert_eq!((status, answer.google_error().0), (200, 403));
    assert!(answer.google_error().2.contains("scope"));
    let both = format!("{SCOPE_CLOUD_PLATFORM} https://example.org/unknown");
    let (status, answer) = with_scope(&both).await;
    assert_eq!((status, answer.status.as_u16()), (200, 200));
    let (status, _) = with_scope("https://example.org/unknown").await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_disabled_account_and_a_deleted_key_are_refused_at_once() {
    let (world, client, _) = World::with_db1().await;
    let token = world.token(&client, None).await;
    assert_eq!(world.get(&settings("db1"), &token).await.status, 200);
    world
        .registry
        .set_account_enabled(&client.account, false)
        .await
        .unwrap();
    assert_eq!(
        world.get(&settings("db1"), &token).await.google_error().0,
        401
    );
    let answer = world
        .post_assertion(&client.sign(&client.claims(&world)))
        .await;
    assert_eq!(answer.oauth_error().1, "invalid_grant");
    world
        .registry
        .set_account_enabled(&client.account, true)
        .await
        .unwrap();
    assert_eq!(world.get(&settings("db1"), &token).await.status, 200);
    world
        .registry
        .delete_key(&client.account, &client.kid)
        .await
        .unwrap();
    assert_eq!(
        world.get(&settings("db1"), &token).await.google_error().0,
        401
    );
    let answer = world
        .post_assertion(&client.sign(&client.claims(&world)))
        .await;
    assert_eq!(answer.oauth_error().1, "invalid_grant");
}

#[tokio::test]
async fn an_access_token_ends_after_an_hour_and_opens_no_other_ca() {
    let (world, client, _) = World::with_db1().await;
    let token = world.token(&client, None).await;
    world.pass(3599);
    assert_eq!(world.get(&settings("db1"), &token).await.status, 200);
    world.pass(1);
    assert_eq!(
        world.get(&settings("db1"), &token).await.google_error().0,
        401
    );
    let (other, other_client, _) = World::with_db1().await;
    let token = other.token(&other_client, None).await;
    assert_eq!(other.get(&settings("db1"), &token).await.status, 200);
    assert_eq!(
        world.get(&settings("db1"), &token).await.google_error().0,
        401
    );
}

#[tokio::test]
async fn a_changed_access_token_is_refused() {
    let (world, client, _) = World::with_db1().await;
    let token = world.token(&client, None).await;
    for at in (7..token.len()).step_by(11) {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(
            world.get(&settings("db1"), &changed).await.status,
            401,
            "at {at}"
        );
    }
    for wrong in ["", "csqlat_", "x", &token[1..], &format!("{token}A")] {
        let answer = world.get(&settings("db1"), wrong).await;
        assert_eq!(answer.google_error().0, 401, "{wrong}");
    }
}

#[tokio::test]
async fn a_missing_instance_and_a_missing_grant_answer_the_same() {
    let (world, client, _) = World::with_db1().await;
    world.instance("foreign").await;
    let token = world.token(&client, None).await;
    let key = json!({ "public_key": "" });
    let said = async |name: &str| -> Vec<Value> {
        let answers = [
            world.get(&settings(name), &token).await,
            world
                .post(&super::world::ephemeral(name), &token, &key)
                .await,
            world
                .get(&format!("/v1/projects/demo/instances/{name}"), &token)
                .await,
        ];
        for answer in &answers {
            assert_eq!(answer.google_error().0, 403);
            assert_eq!(answer.google_error().1, "notAuthorized");
        }
        answers
            .map(|answer| answer.body.to_string().replace(name, "NAME").into())
            .to_vec()
    };
    assert_eq!(said("foreign").await, said("nowhere").await);
}

#[tokio::test]
async fn taking_a_grant_back_makes_the_next_request_fail() {
    let (world, client, _) = World::with_db1().await;
    let token = world.token(&client, None).await;
    assert_eq!(world.get(&settings("db1"), &token).await.status, 200);
    world.ungrant("db1", &client, Role::Client).await;
    assert_eq!(
        world.get(&settings("db1"), &token).await.google_error().0,
        403
    );
}
