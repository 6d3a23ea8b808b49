//! What the time of an answer says: nothing about which accounts and keys there are.

use serde_json::json;

use super::world::World;
use crate::error::{Error, Rejection};
use crate::registry::Mode;

#[tokio::test]
async fn refusals_of_proofs_take_the_same_time_whoever_is_named() {
    let (world, client, _) = World::with_db1().await;
    let compat = world.caller("compat", Mode::Compat).await;
    for _ in 0..4 {
        world.key_of(compat.account.clone(), 1).await;
    }
    let stranger = |name: &str| {
        let mut claims = client.claims(&world);
        claims["iss"] = name.replace("app@", "nobody@").into();
        claims
    };
    let known = client.account.name.to_string();
    for (what, header, claims) in [
        (
            "unknown account",
            json!({ "alg": "RS256", "kid": client.kid }),
            stranger(&known),
        ),
        (
            "unknown key",
            json!({ "alg": "RS256", "kid": "x" }),
            client.claims(&world),
        ),
        (
            "bad signature",
            json!({ "alg": "RS256" }),
            compat.google_claims(&world),
        ),
    ] {
        let mut assertion = client.sign_with(&header, &claims);
        if what == "bad signature" {
            let signature = assertion.rfind('.').unwrap();
            assertion.truncate(signature);
            assertion.push_str(&format!(".{}", "A".repeat(342)));
        }
        let begun = std::time::Instant::now();
        let refused = world.service.app.authn.exchange(&assertion).await;
        assert!(
            matches!(refused, Err(Error::Rejected(Rejection::Unproven))),
            "{what}"
        );
        assert!(
            begun.elapsed() >= std::time::Duration::from_millis(10),
            "{what}"
        );
    }
}
