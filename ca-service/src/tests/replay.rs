//! Claims are good for their own values only, and once.

use serde_json::{Value, json};

use super::refusals::{refused, remembered, strict};
use super::world::{Caller, GOOGLE, World};

#[tokio::test]
async fn claims_of_the_wrong_kind_are_refused() {
    let (world, caller) = strict().await;
    for (name, value) in wrong_claims(&world, &caller) {
        let mut claims = caller.claims(&world);
        claims[name] = value.clone();
        refused(&world, &caller.sign(&claims)).await;
        claims.as_object_mut().unwrap().remove(name);
        if !matches!(name, "nbf" | "cnf" | "scope") {
            refused(&world, &caller.sign(&claims)).await;
        }
    }
    assert_eq!(
        remembered(&world).await,
        0,
        "refused claims must not use up a jti"
    );
    assert_eq!(
        world
            .post_assertion(&caller.sign(&caller.claims(&world)))
            .await
            .status,
        200
    );
}

/// Values that no claim of that name may have.
fn wrong_claims(world: &World, caller: &Caller) -> Vec<(&'static str, Value)> {
    let now = world.now();
    let own = caller.claims(world)["aud"].clone();
    vec![
        ("iss", Value::Null),
        ("iss", json!("")),
        ("iss", json!([caller.account.name.as_str()])),
        ("sub", Value::Null),
        ("sub", json!("somebody@demo.iam.csql.internal")),
        ("sub", json!([caller.account.name.as_str()])),
        ("aud", Value::Null),
        ("aud", json!("")),
        ("aud", json!([own])),
        ("aud", json!([own, "https://other"])),
        ("aud", json!(7)),
        ("aud", json!("https://CA.test:8443/token")),
        ("aud", json!("https://ca.test:8443/token/")),
        ("aud", json!("https://ca.test:8443/toke")),
        ("aud", json!("https://ca.test:8443")),
        ("aud", json!(GOOGLE)),
        ("iat", Value::Null),
        ("iat", json!(1.5)),
        ("iat", json!(now.to_string())),
        ("iat", json!(-1)),
        ("exp", Value::Null),
        ("exp", json!(1e10)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(9_007_199_254_740_993_i64)),
        ("exp", json!(now + 3601)),
        ("exp", json!(now)),
        ("nbf", json!("soon")),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("jti", json!("fifteen-letters")),
        ("jti", json!("x".repeat(129))),
        ("jti", json!("not printable \u{7f} here")),
        ("jti", json!(1_234_567_890_123_456_i64)),
        ("cnf", json!("text")),
        ("cnf", json!({ "jkt": "x" })),
        ("scope", json!(["a"])),
    ]
}

#[tokio::test]
async fn an_assertion_is_accepted_once_even_by_a_hundred_at_the_same_time() {
    let (world, caller) = strict().await;
    let assertion = caller.sign(&caller.claims(&world));
    let posts = (0..100).map(|_| world.post_assertion(&assertion));
    let answers = futures(posts).await;
    let accepted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(accepted, 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert!(answer.oauth_error().2.contains("used before"), "{answer:?}");
    }
}

/// Waits for all of them, at the same time.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = all.map(|one| (Some(Box::pin(one)), None)).collect();
    std::future::poll_fn(|context| {
        for (one, output) in &mut pending {
            if let Some(running) = one
                && let std::task::Poll::Ready(ended) = running.as_mut().poll(context)
            {
                (*one, *output) = (None, Some(ended));
            }
        }
        if pending.iter().all(|(one, _)| one.is_none()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    pending
        .into_iter()
        .filter_map(|(_, output)| output)
        .collect()
}

#[tokio::test]
async fn a_used_assertion_is_remembered_until_it_has_expired_and_then_forgotten() {
    let (world, caller) = strict().await;
    let assertion = caller.sign(&caller.claims(&world));
    assert_eq!(world.post_assertion(&assertion).await.status, 200);
    world.pass(629);
    crate::authn::purge(&world.registry).await.unwrap();
    assert_eq!(remembered(&world).await, 1);
    world.pass(2);
    assert_eq!(crate::authn::purge(&world.registry).await.unwrap(), 0);
    assert!(refused(&world, &assertion).await.contains("clock"));
}
