//! HTTPS from the CA's own root.

use reqwest::Certificate;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::world::{Answer, PATIENCE, PROJECT, REGION, World};
use crate::registry::Profile;

async fn root(world: &World) -> Certificate {
    let pem: String =
        sqlx::query_scalar("SELECT certificate FROM authorities WHERE purpose = 'root'")
            .fetch_one(&world.registry.store().read())
            .await
            .unwrap();
    Certificate::from_pem(pem.as_bytes()).unwrap()
}

fn client(roots: impl IntoIterator<Item = Certificate>) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .timeout(PATIENCE)
        .tls_certs_only(roots)
}

async fn world() -> World {
    World::start_with(|config| config.insecure_http = false).await
}

#[tokio::test]
async fn the_root_vouches_for_the_endpoint_and_for_loopback() {
    let world = world().await;
    let port = world.address.port();
    for host in ["ca.test", "localhost", "127.0.0.1"] {
        let client = client([root(&world).await])
            .resolve(host, world.address)
            .build()
            .unwrap();
        let url = format!("https://{host}:{port}/livez");
        let response = client.get(url).send().await.unwrap();
        assert_eq!(response.version(), reqwest::Version::HTTP_2);
        assert_eq!(response.status(), 200);
    }
    let other = client([root(&world).await])
        .resolve("evil.test", world.address)
        .build()
        .unwrap();
    assert!(
        other
            .get(format!("https://evil.test:{port}/livez"))
            .send()
            .await
            .is_err()
    );
    let none = client([]).build().unwrap();
    assert!(
        none.get(format!("https://127.0.0.1:{port}/livez"))
            .send()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn http_1_and_tls_1_2_are_spoken_too() {
    let world = world().await;
    let url = format!("https://{}/livez", world.address);
    let old = client([root(&world).await])
        .http1_only()
        .tls_version_max(reqwest::tls::Version::TLS_1_2)
        .build()
        .unwrap();
    let response = old.get(&url).send().await.unwrap();
    assert_eq!(
        (response.version(), response.status().as_u16()),
        (reqwest::Version::HTTP_11, 200)
    );
    let plain = old.get(url.replace("https", "http")).send().await;
    assert!(
        plain.is_err(),
        "plain HTTP is not answered on the HTTPS listener"
    );
}

#[tokio::test]
async fn the_certificate_is_backdated_by_a_day_and_renewed_at_half_its_life() {
    let world = world().await;
    let https = &world.service.https;
    let validity = |der: &[u8]| {
        let (_, leaf) = X509Certificate::from_der(der).unwrap();
        (
            leaf.validity().not_before.timestamp(),
            leaf.validity().not_after.timestamp(),
        )
    };
    let first = https.material();
    let day = 86_400;
    let now = world.now();
    assert_eq!(validity(first.leaf_der()), (now - day, now + 30 * day));
    world.pass(15 * day - 1);
    https.refresh().await.unwrap();
    assert_eq!(https.material().leaf_der(), first.leaf_der());
    world.pass(1);
    https.refresh().await.unwrap();
    assert_eq!(validity(https.material().leaf_der()).0, world.now() - day);
}

#[tokio::test]
async fn a_moved_endpoint_gets_a_certificate_and_a_new_audience() {
    let world = world().await;
    let first = world.service.https.material();
    let profile = Profile {
        ca_id: "ca-of-a-test".to_owned(),
        project: PROJECT.to_owned(),
        region: REGION.to_owned(),
        endpoint: format!("https://moved.test:{}", world.address.port()),
    };
    world.registry.set_profile(&profile).await.unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while world.service.https.material().leaf_der() == first.leaf_der() {
        assert!(std::time::Instant::now() < deadline, "it was not renewed");
        tokio::task::yield_now().await;
    }
    let client = client([root(&world).await])
        .resolve("moved.test", world.address)
        .build()
        .unwrap();
    let response = client
        .get(format!("{}/nowhere", profile.endpoint))
        .send()
        .await
        .unwrap();
    assert_eq!(Answer::of(response).await.google_error().0, 404);
}
