//! Assertions that are refused, each for its own reason, and nothing changed by them.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::world::{Caller, World, unsigned};
use crate::registry::{Algorithm, Mode, NewKey};

/// Posts an assertion; it must be refused as `invalid_grant`. Returns the description.
pub(super) async fn refused(world: &World, assertion: &str) -> String {
    let answer = world.post_assertion(assertion).await;
    let (status, error, description) = answer.oauth_error();
    assert_eq!((status, error), (400, "invalid_grant"), "{description}");
    description.to_owned()
}

pub(super) async fn remembered(world: &World) -> i64 {
    sqlx::query_scalar("SELECT COUNT(*) FROM used_assertions")
        .fetch_one(&world.registry.store().read())
        .await
        .unwrap()
}

pub(super) async fn strict() -> (World, Caller) {
    let world = World::start().await;
    let caller = world.caller("app", Mode::Strict).await;
    (world, caller)
}

#[tokio::test]
async fn hmac_with_the_public_key_as_its_secret_is_refused() {
    let (world, caller) = strict().await;
    let der = caller.public_key();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(&der)
    );
    for (name, algorithm) in [("HS256", hmac::HMAC_SHA256), ("HS512", hmac::HMAC_SHA512)] {
        for secret in [der.as_slice(), pem.as_bytes()] {
            let header = json!({ "alg": name, "typ": "JWT", "kid": caller.kid });
            let signed = unsigned(&header.to_string(), &caller.claims(&world).to_string());
            let tag = hmac::sign(&hmac::Key::new(algorithm, secret), signed.as_bytes());
            let assertion = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
            assert!(refused(&world, &assertion).await.contains("algorithm"));
        }
    }
}

#[tokio::test]
async fn an_assertion_without_a_signature_is_refused() {
    let (world, caller) = strict().await;
    let claims = caller.claims(&world).to_string();
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({ "alg": algorithm, "kid": caller.kid }).to_string();
        refused(&world, &format!("{}.", unsigned(&header, &claims))).await;
    }
    let header = json!({ "alg": "RS256", "kid": caller.kid }).to_string();
    let empty = format!("{}.", unsigned(&header, &claims));
    assert!(
        refused(&world, &empty)
            .await
            .contains("not signed by an enabled key")
    );
    assert_eq!(remembered(&world).await, 0);
}

#[tokio::test]
async fn headers_that_bring_a_key_or_an_extension_are_refused() {
    let (world, caller) = strict().await;
    let jwk = json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" });
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/chain")),
        ("x5c", json!(["AAAA"])),
        ("crit", json!(["exp"])),
        ("crit", Value::Null),
        ("typ", json!("at+jwt")),
        ("typ", json!(7)),
        ("kid", json!(7)),
        ("kid", Value::Null),
        ("alg", json!(["RS256"])),
        ("alg", json!("RS384")),
        ("alg", json!("PS256")),
        ("alg", json!("rs256")),
    ] {
        let mut header = json!({ "alg": "RS256", "typ": "JWT", "kid": caller.kid });
        header[name] = value.clone();
        let assertion = caller.sign_with(&header, &caller.claims(&world));
        assert!(
            refused(&world, &assertion).await.contains("malformed"),
            "{name} {value}"
        );
    }
    // The control: the same without the addition passes, with typ in any case.
    let header = json!({ "alg": "RS256", "typ": "jwt", "kid": caller.kid });
    let assertion = caller.sign_with(&header, &caller.claims(&world));
    assert_eq!(world.post_assertion(&assertion).await.status, 200);
}

#[tokio::test]
async fn an_algorithm_other_than_the_keys_own_is_refused() {
    let (world, caller) = strict().await;
    for algorithm in ["ES256", "EdDSA"] {
        let header = json!({ "alg": algorithm, "kid": caller.kid });
        let assertion = caller.sign_with(&header, &caller.claims(&world));
        assert!(
            refused(&world, &assertion)
                .await
                .contains("not signed by an enabled key")
        );
    }
    // The right signature for RS256, with a key that is registered for another algorithm.
    let kid = "key-registered-for-es256".to_owned();
    let new = NewKey {
        kid: kid.clone(),
        algorithm: Algorithm::Es256,
        public_key: caller.public_key(),
        expires_at: None,
    };
    world
        .registry
        .create_key(&caller.account, &new)
        .await
        .unwrap();
    let header = json!({ "alg": "RS256", "kid": kid });
    refused(&world, &caller.sign_with(&header, &caller.claims(&world))).await;
}

#[tokio::test]
async fn who_has_an_expired_key_is_told_so_and_nobody_else() {
    let (world, caller) = strict().await;
    let now = world.registry.now();
    for (kid, expires_at, told) in [
        ("key-of-yesterday", now - 1, "key-of-yesterday expired at"),
        ("key-until-now", now, "key-until-now expired at"),
    ] {
        let new = NewKey {
            kid: kid.to_owned(),
            algorithm: Algorithm::Rs256,
            public_key: caller.public_key(),
            expires_at: Some(expires_at),
        };
        let registered = world.registry.create_key(&caller.account, &new).await;
        registered.unwrap();
        let header = json!({ "alg": "RS256", "kid": kid });
        let assertion = caller.sign_with(&header, &caller.claims(&world));
        assert!(refused(&world, &assertion).await.contains(told), "{kid}");
        let (signed, _) = assertion.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{}", "A".repeat(342));
        let told = refused(&world, &forged).await;
        assert!(told.contains("not signed by an enabled key"), "{told}");
    }
    let later = NewKey {
        kid: "key-of-tomorrow".to_owned(),
        algorithm: Algorithm::Rs256,
        public_key: caller.public_key(),
        expires_at: Some(now + 1),
    };
    let registered = world.registry.create_key(&caller.account, &later).await;
    registered.unwrap();
    let header = json!({ "alg": "RS256", "kid": later.kid });
    let assertion = caller.sign_with(&header, &caller.claims(&world));
    assert_eq!(world.post_assertion(&assertion).await.status, 200);
}

#[tokio::test]
async fn unknown_account_unknown_key_and_bad_signature_cannot_be_told_apart() {
    let (world, caller) = strict().await;
    let disabled = world.caller("disabled", Mode::Strict).await;
    world
        .registry
        .set_account_enabled(&disabled.account, false)
        .await
        .unwrap();
    let claims = caller.claims(&world);
    let mut stranger = claims.clone();
    stranger["iss"] = json!("nobody@demo.iam.csql.internal");
    stranger["sub"] = stranger["iss"].clone();
    let forged = caller
        .sign(&claims)
        .rsplit_once('.')
        .map(|(signed, _)| signed.to_owned())
        .unwrap();
    let other = json!({ "alg": "RS256", "kid": "00000000000000000000000000000000" });
    let assertions = [
        caller.sign(&stranger),
        caller.sign_with(&other, &claims),
        caller.sign_with(&json!({ "alg": "RS256" }), &claims),
        format!("{forged}.{}", URL_SAFE_NO_PAD.encode([7; 256])),
        disabled.sign(&disabled.claims(&world)),
    ];
    for assertion in assertions {
        assert_eq!(
            refused(&world, &assertion).await,
            "the assertion is not signed by an enabled key of a known account; check the key file"
        );
    }
    assert_eq!(
        remembered(&world).await,
        0,
        "a bad signature must not write to the store"
    );
}

#[tokio::test]
async fn a_key_of_one_account_does_not_speak_for_another() {
    let (world, caller) = strict().await;
    let other = world.caller("other", Mode::Strict).await;
    let header = json!({ "alg": "RS256", "kid": caller.kid });
    refused(&world, &caller.sign_with(&header, &other.claims(&world))).await;
}

#[tokio::test]
async fn times_are_judged_with_the_leeway_and_the_blame_is_on_the_clock() {
    let (world, caller) = strict().await;
    let now = world.now();
    let at = |iat: i64, exp: i64| json!({ "iat": iat, "exp": exp });
    for (times, told) in [
        (at(now + 31, now + 600), Some("31 s ahead of")),
        (at(now + 30, now + 600), None),
        (at(now - 600, now - 30), Some("30 s behind")),
        (at(now - 600, now - 29), None),
        (at(now + 30, now + 3630), None),
        (
            json!({ "iat": now, "exp": now + 600, "nbf": now + 31 }),
            Some("nbf is 31 s ahead of"),
        ),
        (
            json!({ "iat": now, "exp": now + 600, "nbf": now + 30 }),
            None,
        ),
    ] {
        let mut claims = caller.claims(&world);
        claims
            .as_object_mut()
            .unwrap()
            .extend(times.as_object().unwrap().clone());
        let assertion = caller.sign(&claims);
        match told {
            None => assert_eq!(
                world.post_assertion(&assertion).await.status,
                200,
                "{times}"
            ),
            Some(told) => {
                let description = refused(&world, &assertion).await;
                assert!(description.contains(told), "{description}");
                assert!(description.contains("clock"), "{description}");
            }
        }
    }
}

#[tokio::test]
async fn a_member_named_twice_is_refused() {
    let (world, caller) = strict().await;
    let header = json!({ "alg": "RS256", "kid": caller.kid }).to_string();
    let claims = caller.claims(&world).to_string();
    let doubled = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let assertion = caller.sign_text(&doubled(&header, r#""alg":"RS256""#), &claims);
    assert!(refused(&world, &assertion).await.contains("repetitions"));
    let assertion = caller.sign_text(&header, &doubled(&claims, r#""aud":"https://other""#));
    assert!(refused(&world, &assertion).await.contains("repetitions"));
    let assertion = caller.sign_text(&header, &claims);
    assert_eq!(world.post_assertion(&assertion).await.status, 200);
}

#[tokio::test]
async fn what_is_not_three_parts_of_base64url_is_refused() {
    let (world, caller) = strict().await;
    let good = caller.sign(&caller.claims(&world));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let long = format!("{signed}.{}", "A".repeat(9000));
    for bad in [
        "x",
        ".",
        "..",
        "...",
        signed,
        &format!("{good}."),
        &format!("{good}.x"),
        &format!("{good}%3D"),
        &format!("{signed}.{signature}%2F"),
        &format!("{signed}%0A.{signature}"),
        &format!(".{good}"),
    ] {
        let answer = world.post_assertion(bad).await;
        assert_eq!(answer.status, 400, "{bad}");
        answer.oauth_error();
    }
    assert!(refused(&world, &long).await.contains("8 KiB"));
}

#[tokio::test]
async fn the_token_endpoint_names_what_is_wrong_with_a_request() {
    let (world, caller) = strict().await;
    let good = caller.sign(&caller.claims(&world));
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    for (form, error) in [
        (
            format!("grant_type=password&assertion={good}"),
            "unsupported_grant_type",
        ),
        (
            format!("grant_type={grant}x&assertion={good}"),
            "unsupported_grant_type",
        ),
        (format!("assertion={good}"), "invalid_request"),
        (format!("grant_type={grant}"), "invalid_request"),
        (format!("grant_type={grant}&assertion="), "invalid_request"),
        (
            format!("grant_type={grant}&assertion={good}&assertion={good}"),
            "invalid_request",
        ),
        (
            format!("grant_type={grant}&grant_type={grant}&assertion={good}"),
            "invalid_request",
        ),
        ("%zz=1".to_owned(), "invalid_request"),
        (String::new(), "invalid_request"),
        ("a".repeat(70_000), "invalid_request"),
    ] {
        let answer = world.post_form(&form).await;
        let (status, told, _) = answer.oauth_error();
        assert_eq!(
            (status, told),
            (400, error),
            "{}",
            &form[..form.len().min(80)]
        );
    }
    let request = world
        .client
        .post(world.url("/token"))
        .json(&json!({ "assertion": good }));
    let answer = super::world::Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.oauth_error().1, "invalid_request");
}
