//! Certificates: what they say, for which keys, and when there is none.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proto::Identity;
use serde_json::json;
use transport::tls::{
    PrivateKey, TrustRoots, verify_client_certificate, verify_server_certificate,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::world::{Answer, Caller, World, confirmation, ephemeral};
use crate::clock::system_time;
use crate::registry::{Mode, Role};

pub(super) fn key() -> PrivateKey {
    PrivateKey::generate_p256().unwrap()
}

pub(super) async fn authority(world: &World, instance: &str, purpose: &str) -> String {
    let instance = world.registry.named_instance(instance).await.unwrap();
    sqlx::query_scalar(
        "SELECT certificate FROM authorities WHERE instance_id = $1 AND purpose = $2",
    )
    .bind(instance.id)
    .bind(purpose)
    .fetch_one(&world.registry.store().read())
    .await
    .unwrap()
}

pub(super) async fn states(world: &World) -> Vec<(String, String, String)> {
    sqlx::query_as("SELECT purpose, serial, state FROM certificates WHERE purpose <> 'https'")
        .fetch_all(&world.registry.store().read())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_client_certificate_says_who_and_where_and_no_more() {
    let (world, client, _) = World::with_db1().await;
    let key = key();
    let der = world.certify(&client, "db1", &key).await.certificate();
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    let identity = Identity {
        instance: "demo:eu:db1".parse().unwrap(),
        account: client.account.name.clone(),
    };
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 1);
    assert!(format!("{:?}", names.value.general_names).contains(&format!("URI(\"{identity}\")")));
    assert_eq!(leaf.version().0, 2);
    let usage = leaf.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.digital_signature() && usage.value.flags == 1);
    let extended = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.client_auth && !extended.server_auth && !extended.any);
    let basic = leaf.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && !basic.value.ca);
    assert_eq!(leaf.validity().not_before.timestamp(), world.now() - 300);
    assert_eq!(leaf.validity().not_after.timestamp(), world.now() + 3599);
    assert_eq!(leaf.public_key().raw, key.spki_der());
    let roots = TrustRoots::from_pem(&authority(&world, "db1", "client").await).unwrap();
    let now = system_time(world.now());
    assert_eq!(
        verify_client_certificate(&der, &roots, now).unwrap(),
        identity
    );
    assert_eq!(states(&world).await.len(), 1);
    assert_eq!(states(&world).await[0].2, "issued");
}

#[tokio::test]
async fn certificates_fail_at_other_instances_and_for_the_other_purpose() {
    let (world, client, agent) = World::with_db1().await;
    world.instance("db2").await;
    let client_leaf = world.certify(&client, "db1", &key()).await.certificate();
    let server_leaf = server_certificate(&world, &agent, &key())
        .await
        .certificate();
    let now = system_time(world.now());
    let name = "db1.eu.demo.csql.internal";
    for instance in ["db1", "db2"] {
        for purpose in ["client", "server"] {
            let pem = authority(&world, instance, purpose).await;
            let roots = TrustRoots::from_pem(&pem).unwrap();
            let own = instance == "db1";
            let as_client = verify_client_certificate(&client_leaf, &roots, now).is_ok();
            assert_eq!(
                as_client,
                own && purpose == "client",
                "{instance} {purpose}"
            );
            let as_server = verify_server_certificate(&server_leaf, &roots, name, now).is_ok();
            assert_eq!(
                as_server,
                own && purpose == "server",
                "{instance} {purpose}"
            );
            assert!(verify_client_certificate(&server_leaf, &roots, now).is_err());
            assert!(verify_server_certificate(&client_leaf, &roots, name, now).is_err());
        }
    }
}

pub(super) async fn server_certificate(world: &World, agent: &Caller, key: &PrivateKey) -> Answer {
    let token = world.token(agent, Some(key)).await;
    let path = "/csql/v1/projects/demo/instances/db1:generateServerCert";
    world
        .post(path, &token, &json!({ "publicKey": key.public_key_pem() }))
        .await
}

#[tokio::test]
async fn a_server_certificate_names_the_instance_and_may_be_renewed_with_its_key() {
    let (world, client, agent) = World::with_db1().await;
    let key = key();
    let answer = server_certificate(&world, &agent, &key).await;
    let der = answer.certificate();
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    let extended = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && !extended.client_auth);
    assert_eq!(
        leaf.subject().iter_common_name().next().unwrap().as_str(),
        Ok("demo:db1")
    );
    assert_eq!(leaf.validity().not_after.timestamp(), world.now() + 86_399);
    assert_eq!(server_certificate(&world, &agent, &key).await.status, 200);
    // A server's key is not certified for a client.
    world.grant("db1", &agent, Role::Client).await;
    let refused = world.certify(&agent, "db1", &key).await;
    assert!(refused.google_error().2.contains("in use"), "{refused:?}");
    // And a client may not be a server.
    let refused = server_certificate(&world, &client, &key).await;
    assert_eq!(refused.google_error().0, 403);
}

#[tokio::test]
async fn the_same_key_gets_two_serial_numbers_and_one_newline() {
    let (world, client, _) = World::with_db1().await;
    let key = key();
    let (first, second) = (
        world.certify(&client, "db1", &key).await,
        world.certify(&client, "db1", &key).await,
    );
    let serial = |answer: &Answer| answer.body["ephemeralCert"]["certSerialNumber"].clone();
    assert_ne!(serial(&first), serial(&second));
    assert_eq!(serial(&first).as_str().unwrap().len(), 32);
    assert_ne!(first.certificate(), second.certificate());
}

#[tokio::test]
async fn a_strict_account_gets_a_certificate_for_the_key_that_it_proved_only() {
    let (world, client, _) = World::with_db1().await;
    let (mine, other) = (key(), key());
    let bound = world.token(&client, Some(&mine)).await;
    let post = async |token: &str, key: &PrivateKey| {
        world
            .post(
                &ephemeral("db1"),
                token,
                &json!({ "public_key": key.public_key_pem() }),
            )
            .await
    };
    let refused = post(&bound, &other).await;
    assert_eq!(refused.google_error().0, 403);
    assert!(refused.google_error().2.contains("cnf"));
    let unbound = world.token(&client, None).await;
    let refused = post(&unbound, &mine).await;
    assert_eq!(refused.google_error().0, 403);
    assert!(refused.google_error().2.contains("--compat"));
    assert!(
        states(&world).await.is_empty(),
        "nothing was begun for what was refused"
    );
    assert_eq!(post(&bound, &mine).await.status, 200);
    // The binding holds for a self-signed bearer too.
    let mut claims = client.claims(&world);
    claims["cnf"] = confirmation(&mine);
    assert_eq!(
        post(&client.sign(&claims), &other).await.google_error().0,
        403
    );
    let mut claims = client.claims(&world);
    claims["cnf"] = confirmation(&mine);
    assert_eq!(post(&client.sign(&claims), &mine).await.status, 200);
}

async fn compat() -> (World, String, Caller) {
    let world = World::start().await;
    world.instance("db1").await;
    let caller = world.caller("app", Mode::Compat).await;
    world.grant("db1", &caller, Role::Client).await;
    let answer = world
        .post_assertion(&caller.sign(&caller.google_claims(&world)))
        .await;
    let token = answer.body["access_token"].as_str().unwrap().to_owned();
    (world, token, caller)
}

#[tokio::test]
async fn googles_connectors_are_served_in_all_their_spellings() {
    let (world, token, _) = compat().await;
    let pem = PrivateKey::generate_rsa2048().unwrap().public_key_pem();
    let relabelled = pem.replace("PUBLIC KEY", "RSA PUBLIC KEY");
    for body in [
        json!({ "public_key": pem }),
        json!({ "publicKey": relabelled, "readTime": "2026-01-01T00:00:00Z" }),
        json!({ "public_key": pem.trim_end(), "validDuration": "300s", "newMember": [1] }),
        json!({ "public_key": pem.replace('\n', "\r\n") }),
    ] {
        let answer = world.post(&ephemeral("db1"), &token, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body["ephemeralCert"]["kind"], "sql#sslCert");
    }
}

#[tokio::test]
async fn a_compressed_chunked_body_is_read_and_bounded() {
    let (world, token, _) = compat().await;
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let post = async |encoding: &str, body: Vec<u8>| {
        let request = world
            .client
            .post(world.url(&ephemeral("db1")))
            .bearer_auth(&token);
        let request = request.header("content-encoding", encoding).body(body);
        Answer::of(request.send().await.unwrap()).await
    };
    let good = json!({ "public_key": key().public_key_pem() }).to_string();
    assert_eq!(post("gzip", gzip(&good)).await.status, 200);
    let bomb = gzip(&format!("{}{good}", " ".repeat(10_000_000)));
    assert!(bomb.len() < super::super::http::MAX_BODY);
    assert_eq!(post("gzip", bomb).await.google_error().0, 413);
    assert_eq!(
        post("gzip", good.clone().into_bytes())
            .await
            .google_error()
            .0,
        400
    );
    assert_eq!(post("br", good.into_bytes()).await.google_error().0, 400);
}

#[tokio::test]
async fn a_wished_lifetime_is_honoured_or_refused_and_never_clipped() {
    let (world, token, _) = compat().await;
    let pem = key().public_key_pem();
    for (wish, granted) in [
        ("300s", Some(300)),
        ("3600s", Some(3600)),
        ("299s", None),
        ("3601s", None),
        ("0s", None),
        ("-300s", None),
        ("300", None),
        ("5m", None),
        ("99999999999s", None),
        ("", None),
    ] {
        let body = json!({ "public_key": pem, "validDuration": wish });
        let answer = world.post(&ephemeral("db1"), &token, &body).await;
        let Some(granted) = granted else {
            assert_eq!(answer.google_error().0, 400, "{wish}");
            continue;
        };
        let der = answer.certificate();
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(
            leaf.validity().not_after.timestamp(),
            world.now() + granted - 1
        );
    }
}

#[tokio::test]
async fn a_wish_for_automatic_iam_login_is_refused_and_not_forgotten() {
    let (world, token, caller) = compat().await;
    let pem = key().public_key_pem();
    let mut claims = caller.google_claims(&world);
    claims["scope"] = proto::admin::SCOPE_LOGIN.into();
    let login = world.post_assertion(&caller.sign(&claims)).await.body["access_token"].clone();
    for member in ["access_token", "accessToken"] {
        for wish in [&login, &json!(token), &json!("rubbish")] {
            let body = json!({ "public_key": pem, member: wish });
            let answer = world.post(&ephemeral("db1"), &token, &body).await;
            assert_eq!(answer.google_error().0, 400, "{member}");
            let told = answer.body.to_string();
            assert!(told.contains("automatic IAM database login"), "{told}");
            assert!(!told.contains(wish.as_str().unwrap()), "{told}");
        }
        for nothing in [json!(""), json!(null)] {
            let body = json!({ "public_key": pem, member: nothing });
            let answer = world.post(&ephemeral("db1"), &token, &body).await;
            assert_eq!(answer.status, 200, "{member}: {nothing}");
        }
    }
}

#[tokio::test]
async fn keys_of_the_ca_itself_and_of_accounts_are_not_certified() {
    let (world, token, caller) = compat().await;
    let spki = |pem: &str| {
        let der = pem_der(pem);
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        certificate.public_key().raw.to_vec()
    };
    let keys = [
        spki(&authority(&world, "db1", "client").await),
        spki(&authority(&world, "db1", "server").await),
        caller.public_key(),
        {
            let leaf = world.service.https.material();
            let (_, certificate) = X509Certificate::from_der(leaf.leaf_der()).unwrap();
            certificate.public_key().raw.to_vec()
        },
    ];
    for spki in keys {
        let answer = world
            .post(
                &ephemeral("db1"),
                &token,
                &json!({ "public_key": public(&spki) }),
            )
            .await;
        assert!(
            answer.google_error().2.contains("in use as another kind"),
            "{answer:?}"
        );
    }
    assert!(states(&world).await.is_empty());
}

fn pem_der(pem: &str) -> Vec<u8> {
    use rustls_pki_types::pem::PemObject as _;
    rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes())
        .unwrap()
        .to_vec()
}

/// PEM of a public key.
fn public(spki: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(spki);
    format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
}

#[tokio::test]
async fn nothing_in_a_request_changes_what_a_certificate_says() {
    let (world, token, _) = compat().await;
    let body = json!({
        "public_key": key().public_key_pem(),
        "subject": "CN=root",
        "commonName": "root",
        "sans": ["DNS:evil"],
        "keyUsage": ["keyCertSign"],
        "isCa": true,
        "notAfter": "2099-01-01T00:00:00Z",
        "serial": "1",
        "instance": "other",
        "service_account": "root@demo.iam.csql.internal",
    });
    let der = world
        .post(&ephemeral("db1"), &token, &body)
        .await
        .certificate();
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    let text = format!("{leaf:?}");
    assert!(!text.contains("evil") && !text.contains("root@"));
    assert_eq!(leaf.validity().not_after.timestamp(), world.now() + 3599);
    assert!(!leaf.is_ca());
}
