//! HTTPS: a wrong root, a wrong host and a wrong time are told apart.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::fake::{NOW, settable, settings};
use crate::authority::{Authority, Credentials, Failure};
use crate::tls::{HttpsServer, Material, PrivateKey};

struct Root {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn root() -> Root {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    Root { pem, issuer }
}

/// An HTTPS server for a host name, from a root, whose certificate has ended if `expired`.
async fn serve(root: &Root, host: &str, expired: bool) -> (String, TaskTracker) {
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let year = if expired { 2020 } else { 2099 };
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let leaf_key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&leaf_key, &root.issuer).unwrap();
    let key = PrivateKey::from_pkcs8(&leaf_key.serialize_der()).unwrap();
    let material = Arc::new(Material::new(&leaf.pem(), &key).unwrap());
    let server = HttpsServer::new(move || Some(Arc::clone(&material))).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let tasks = TaskTracker::new();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let deadline = Instant::now() + Duration::from_secs(5);
            if let Ok(mut stream) = server.accept(stream, deadline).await {
                stream
                    .write_all(b"HTTP/1.1 nonsense\r\n\r\n")
                    .await
                    .unwrap();
            }
        }
    });
    (url, tasks)
}

async fn failure(url: &str, root: &Root) -> Failure {
    let credentials = Credentials::StaticToken("given".to_owned().into());
    let mut settings = settings(credentials, Some(url), settable(NOW).0);
    settings.root_pem = Some(root.pem.clone());
    let authority = Authority::new(settings).unwrap();
    authority
        .connect_settings("p", "db1")
        .await
        .unwrap_err()
        .failure
}

#[tokio::test]
async fn a_certificate_of_another_root_is_told_from_a_wrong_host_and_a_wrong_time() {
    let (ours, other) = (root(), root());
    let (url, _server) = serve(&ours, "127.0.0.1", false).await;
    assert_eq!(failure(&url, &other).await, Failure::UntrustedRoot);
    let trusted = failure(&url, &ours).await;
    assert!(matches!(trusted, Failure::Broken(_)), "{trusted}");
    let (url, _server) = serve(&ours, "127.0.0.2", false).await;
    assert_eq!(failure(&url, &ours).await, Failure::WrongHost);
    let (url, _server) = serve(&ours, "127.0.0.1", true).await;
    assert_eq!(failure(&url, &ours).await, Failure::CertificateTime);
}

#[test]
fn a_root_that_is_no_certificate_is_refused_at_start() {
    let credentials = Credentials::StaticToken("given".to_owned().into());
    let mut settings = settings(credentials, Some("https://ca.example"), settable(NOW).0);
    settings.root_pem = Some("no PEM".into());
    let error = Authority::new(settings).err().expect("accepted");
    assert!(error.to_string().contains("is not PEM"), "{error}");
}
