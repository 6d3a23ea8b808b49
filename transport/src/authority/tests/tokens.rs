//! Tokens: what is signed for whom, what is kept, and what a wrong clock does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use proto::Code;
use proto::claims::{Confirmation, JTI_LENGTH};
use serde_json::Value;

use super::fake::*;
use crate::authority::{Authority, AuthorityError, Credentials, Failure};
use crate::tls::PrivateKey;

/// Checks the signature, not the claims.
fn claims(assertion: &str) -> Value {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_rsa_der(&rsa().public_der);
    jsonwebtoken::decode(assertion, &key, &validation)
        .unwrap()
        .claims
}

/// A CA that gives tokens of an hour and settings for them.
fn generous(request: &Request) -> Reply {
    match request.path.as_str() {
        "/token" => token(3600).at(NOW),
        _ => Reply::new(200, "{}").at(NOW),
    }
}

async fn ask(authority: &Authority) -> Result<(), AuthorityError> {
    authority.connect_settings("demo", "db1").await.map(|_| ())
}

#[tokio::test]
async fn our_ca_gets_an_assertion_with_every_claim_that_it_demands() {
    let fake = Fake::start(generous).await;
    let authority = caller(&our_key_file(&fake.url));
    let key = PrivateKey::generate_p256().unwrap();
    authority.bind(&key);
    ask(&authority).await.unwrap();
    let asked = fake.asked("/token");
    let assertion = asked[0].assertion().unwrap();
    let header = jsonwebtoken::decode_header(assertion).unwrap();
    assert_eq!(
        (header.alg, header.kid.as_deref()),
        (Algorithm::RS256, Some("key-1"))
    );
    let claims = claims(assertion);
    assert_eq!(claims["iss"], "app@demo.iam.example");
    assert_eq!(claims["sub"], claims["iss"]);
    assert_eq!(claims["aud"], format!("{}/token", fake.url));
    assert_eq!(
        (&claims["iat"], &claims["exp"]),
        (&NOW.into(), &(NOW + 300).into())
    );
    assert!(JTI_LENGTH.contains(&claims["jti"].as_str().unwrap().len()));
    let bound = Confirmation::of_spki(key.spki_der()).spki_sha256;
    assert_eq!(claims["cnf"]["spki#S256"], bound);
    let form = &asked[0].body;
    assert!(form.contains("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"));
    let bearer = &fake.asked("connectSettings")[0].headers["authorization"];
    assert_eq!(bearer, "Bearer t0ken");
}

#[tokio::test]
async fn google_gets_what_its_own_library_sends_and_nothing_else() {
    let fake = Fake::start(generous).await;
    let credentials = Credentials::parse(&google_key_file(&fake.url).to_string()).unwrap();
    let authority = caller_with(credentials, Some(&fake.url), settable(NOW).0);
    authority.bind(&PrivateKey::generate_p256().unwrap());
    ask(&authority).await.unwrap();
    let claims = claims(fake.asked("/token")[0].assertion().unwrap());
    let expected = serde_json::json!({
        "iss": "app@demo.iam.example",
        "scope": "https://www.googleapis.com/auth/sqlservice.admin",
        "aud": format!("{}/token", fake.url),
        "iat": NOW - 10,
        "exp": NOW - 10 + 3600,
    });
    assert_eq!(claims, expected);
}

#[tokio::test]
async fn in_another_universe_the_bearer_is_signed_here_and_no_token_is_asked_for() {
    let fake = Fake::start(generous).await;
    let mut file = google_key_file(&fake.url);
    file["universe_domain"] = "x.example".into();
    let credentials = Credentials::parse(&file.to_string()).unwrap();
    let authority = caller_with(credentials, Some(&fake.url), settable(NOW).0);
    ask(&authority).await.unwrap();
    assert!(fake.asked("/token").is_empty());
    let asked = fake.asked("connectSettings");
    let bearer = asked[0].headers["authorization"]
        .strip_prefix("Bearer ")
        .unwrap();
    let claims = claims(bearer);
    assert_eq!(
        (&claims["sub"], &claims["aud"]),
        (&claims["iss"], &"".into())
    );
}

#[tokio::test]
async fn a_token_that_was_given_is_used_as_it_is_even_when_it_is_refused() {
    let fake = Fake::start(|_| Reply::new(401, "{}")).await;
    let credentials = Credentials::StaticToken("given".to_owned().into());
    let authority = caller_with(credentials, Some(&fake.url), settable(NOW).0);
    let error = ask(&authority).await.unwrap_err();
    assert!(matches!(error.failure, Failure::Unauthenticated(_)));
    let asked = fake.asked("connectSettings");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].headers["authorization"], "Bearer given");
}

#[tokio::test]
async fn the_metadata_server_is_asked_in_its_own_way_and_its_absence_is_explained() {
    let fake = Fake::start(|request| match request.path.as_str() {
        "/computeMetadata/v1/instance/service-accounts/default/token"
            if request
                .headers
                .get("metadata-flavor")
                .is_some_and(|flavor| flavor == "Google") =>
        {
            token(3600)
        }
        path if path.ends_with("connectSettings") => Reply::new(200, "{}"),
        _ => Reply::new(404, ""),
    })
    .await;
    let host = fake.url.strip_prefix("http://").unwrap().to_owned();
    let credentials = Credentials::MetadataServer { host };
    let authority = caller_with(credentials, Some(&fake.url), settable(NOW).0);
    ask(&authority).await.unwrap();
    let credentials = Credentials::MetadataServer {
        host: "127.0.0.1:1".into(),
    };
    let authority = caller_with(credentials, Some(&fake.url), settable(NOW).0);
    let refusal = ask(&authority).await.unwrap_err().refusal();
    assert_eq!(refusal.code, Code::Unauthenticated);
    assert!(refusal.hint.contains("--credentials-file"), "{refusal}");
}

#[tokio::test]
async fn a_persons_credentials_are_exchanged_by_their_refresh_token() {
    let fake = Fake::start(generous).await;
    let file = serde_json::json!({
        "type": "authorized_user",
        "client_id": "id",
        "client_secret": "secret",
        "refresh_token": "refresh",
        "token_uri": format!("{}/token", fake.url),
    });
    let credentials = Credentials::parse(&file.to_string()).unwrap();
    let authority = caller_with(credentials, Some(&fake.url), settable(NOW).0);
    ask(&authority).await.unwrap();
    let form = &fake.asked("/token")[0].body;
    let expected =
        "grant_type=refresh_token&client_id=id&client_secret=secret&refresh_token=refresh";
    assert_eq!(form, expected);
}

#[tokio::test]
async fn a_token_is_kept_until_five_minutes_before_its_end() {
    let fake = Fake::start(generous).await;
    let (clock, time) = settable(NOW);
    let credentials = Credentials::parse(&our_key_file(&fake.url).to_string()).unwrap();
    let authority = caller_with(credentials, None, clock);
    ask(&authority).await.unwrap();
    time.store(NOW + 3600 - 310, Ordering::SeqCst);
    ask(&authority).await.unwrap();
    assert_eq!(fake.asked("/token").len(), 1);
    // That answer told us that the CA's clock stands still; the next ones are judged by ours, far enough on.
    time.store(NOW, Ordering::SeqCst);
    ask(&authority).await.unwrap();
    time.store(NOW + 3600 - 290, Ordering::SeqCst);
    ask(&authority).await.unwrap();
    assert_eq!(fake.asked("/token").len(), 2);
}

#[tokio::test]
async fn many_calls_at_once_share_one_token_and_one_failure() {
    let works = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&works);
    let fake = Fake::start(move |request| match request.path.as_str() {
        "/token" if !answers.load(Ordering::SeqCst) => Reply::new(503, ""),
        _ => generous(request),
    })
    .await;
    let authority = caller(&our_key_file(&fake.url));
    let many = || async {
        let mut failed = 0;
        let calls = (0..20).map(|_| ask(&authority));
        for outcome in join_all(calls).await {
            failed += usize::from(outcome.is_err());
        }
        failed
    };
    assert_eq!(many().await, 20);
    assert_eq!(fake.asked("/token").len(), 1);
    works.store(true, Ordering::SeqCst);
    assert_eq!(many().await, 0);
    assert_eq!(fake.asked("/token").len(), 2);
}

/// Polls all at once.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut waiting {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(done) => *output = Some(done),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
    waiting
        .into_iter()
        .filter_map(|(_, output)| output)
        .collect()
}

#[tokio::test]
async fn a_token_that_the_ca_forgot_is_replaced_once() {
    let count = Arc::new(AtomicU64::new(0));
    let fake = Fake::start(move |request| match request.path.as_str() {
        "/token" => token(3600),
        _ if count.fetch_add(1, Ordering::SeqCst) == 0 => Reply::new(401, "{}"),
        _ => Reply::new(200, "{}"),
    })
    .await;
    let authority = caller(&our_key_file(&fake.url));
    ask(&authority).await.unwrap();
    assert_eq!(fake.asked("/token").len(), 2);
}

/// A CA whose clock is off by this much, and which refuses assertions that are more than 30 s off.
async fn ca_at(time: u64) -> Fake {
    Fake::start(move |request| match request.assertion() {
        Some(assertion) if claims(assertion)["iat"].as_u64().unwrap().abs_diff(time) > 30 => {
            Reply::new(
                400,
                r#"{"error":"invalid_grant","error_description":"iat"}"#,
            )
            .at(time)
        }
        Some(_) => token(3600).at(time),
        None => Reply::new(200, "{}").at(time),
    })
    .await
}

#[tokio::test]
async fn with_a_wrong_clock_the_assertion_is_signed_once_more_by_the_cas() {
    for time in [NOW + 600, NOW - 600] {
        let fake = ca_at(time).await;
        let authority = caller(&our_key_file(&fake.url));
        ask(&authority).await.unwrap();
        assert_eq!(fake.asked("/token").len(), 2);
        let skew = authority.skew().unwrap();
        assert_eq!(skew.behind, time > NOW);
        assert!((598..603).contains(&skew.amount.as_secs()), "{skew}");
    }
}

#[tokio::test]
async fn a_refusal_that_the_clock_explains_names_the_skew_and_its_amount() {
    let fake = Fake::start(|_| {
        Reply::new(400, r#"{"error":"invalid_grant","error_description":"no"}"#).at(NOW + 600)
    })
    .await;
    let refusal = ask(&caller(&our_key_file(&fake.url)))
        .await
        .unwrap_err()
        .refusal();
    assert_eq!(refusal.code, Code::ClockSkew);
    let has_amount = ["600 s behind", "601 s behind"]
        .iter()
        .any(|text| refusal.reason.contains(text));
    assert!(has_amount, "{refusal}");
}

#[tokio::test]
async fn with_a_right_clock_a_refused_assertion_is_not_repeated() {
    let fake = Fake::start(|_| {
        let body =
            r#"{"error":"invalid_grant","error_description":"not signed by an enabled key"}"#;
        Reply::new(400, body).at(NOW)
    })
    .await;
    let refusal = ask(&caller(&our_key_file(&fake.url)))
        .await
        .unwrap_err()
        .refusal();
    assert_eq!(fake.asked("/token").len(), 1);
    assert_eq!(refusal.code, Code::Unauthenticated);
    assert!(
        refusal.reason.contains("not signed by an enabled key"),
        "{refusal}"
    );
}

#[tokio::test]
async fn each_assertion_has_another_id() {
    let fake = ca_at(NOW + 600).await;
    ask(&caller(&our_key_file(&fake.url))).await.unwrap();
    let ids: Vec<Value> = fake
        .asked("/token")
        .iter()
        .map(|request| claims(request.assertion().unwrap())["jti"].clone())
        .collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}
