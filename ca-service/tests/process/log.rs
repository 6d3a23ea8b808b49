//! The log, at its most talkative.

use serde_json::Value;
use transport::tls::PrivateKey;

use super::program::{PATIENCE, Site, assertion};

#[tokio::test]
async fn no_token_assertion_or_key_is_logged_even_at_trace() {
    let site = Site::new();
    let app = site.account("app", "client");
    let running = site.serve(&["--log-level=trace", "--log-format=json"]);
    let key = PrivateKey::generate_p256().unwrap();
    let used = assertion(&app, &key);
    let first: Value = running.exchange(&used).await.json().await.unwrap();
    let token = first["access_token"].as_str().unwrap();
    assert_eq!(running.exchange(&used).await.status(), 400);
    assert_eq!(running.exchange(&format!("{used}AA")).await.status(), 400);
    let bearer = assertion(&app, &key);
    assert_eq!(running.certify(&bearer, &key).await.unwrap().status(), 200);
    assert_eq!(running.certify(&bearer, &key).await.unwrap().status(), 401);
    assert_eq!(running.certify(token, &key).await.unwrap().status(), 200);
    assert_eq!(
        running
            .certify(&format!("{token}AA"), &key)
            .await
            .unwrap()
            .status(),
        401
    );
    running.signal(rustix::process::Signal::TERM);
    assert!(running.wait().success());
    let log = site.log();
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
    assert!(
        log.contains("request refused") && log.contains("certificate.issue"),
        "{log}"
    );
    let kek = std::fs::read_to_string(site.data().join("kek")).unwrap();
    let signature = |text: &str| text.rsplit('.').next().unwrap()[..40].to_owned();
    for canary in [
        token[..60].to_owned(),
        signature(&used),
        signature(&bearer),
        used[..60].to_owned(),
        kek.trim().to_owned(),
        app.private_key[60..120].to_owned(),
        "PRIVATE KEY".to_owned(),
    ] {
        assert!(!log.contains(&canary), "{canary} is in the log");
    }
}

#[test]
fn a_level_that_is_written_to_the_settings_file_takes_effect_at_hangup() {
    let site = Site::new();
    let file = site.path("ca.toml");
    let wants = |level: &str| std::fs::write(&file, format!("log-level = {level:?}\n")).unwrap();
    wants("error");
    let running = site.serve(&["--config-file", file.to_str().unwrap()]);
    for (level, said) in [
        ("loud=very", "the log's level stays as it was"),
        ("info", "the log's level is read again"),
    ] {
        assert!(!site.log().contains(said), "{}", site.log());
        wants(level);
        running.signal(rustix::process::Signal::HUP);
        let begun = std::time::Instant::now();
        while !site.log().contains(said) {
            assert!(begun.elapsed() < PATIENCE, "{}", site.log());
            std::thread::yield_now();
        }
    }
    running.signal(rustix::process::Signal::TERM);
    assert!(running.wait().success());
    assert!(site.log().contains("stopping"), "{}", site.log());
}
