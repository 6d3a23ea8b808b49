//! HTTPS with a certificate of the operator's own.

use reqwest::Certificate;

use super::pki::Pki;
use super::world::{PATIENCE, World};

const DAY: i64 = 86_400;

/// Asks as a caller does that believes this root alone.
async fn asks(world: &World, root: &str) -> reqwest::Result<u16> {
    let root = Certificate::from_pem(root.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .tls_certs_only([root])
        .build()
        .unwrap();
    let url = format!("https://localhost:{}/livez", world.address.port());
    Ok(client.get(url).send().await?.status().as_u16())
}

#[tokio::test]
async fn callers_that_believe_the_operators_root_need_no_other_and_a_renewal_needs_no_restart() {
    let (folder, pki, other) = (tempfile::tempdir().unwrap(), Pki::new(), Pki::new());
    let files = pki.issue(-DAY, 30 * DAY).write(folder.path());
    let world = World::start_with(|config| {
        config.insecure_http = false;
        config.certificate = Some(files);
    })
    .await;
    assert_eq!(asks(&world, &pki.root_pem()).await.unwrap(), 200);
    assert!(asks(&world, &other.root_pem()).await.is_err());
    other.issue(-DAY, 30 * DAY).write(folder.path());
    let deadline = std::time::Instant::now() + PATIENCE;
    while asks(&world, &other.root_pem()).await.is_err() {
        assert!(
            std::time::Instant::now() < deadline,
            "the new one is not shown"
        );
        tokio::task::yield_now().await;
    }
}
