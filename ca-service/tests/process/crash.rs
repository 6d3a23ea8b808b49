//! `kill -9` in the middle of issuing.

use std::collections::HashSet;

use rustix::process::Signal;
use serde_json::Value;
use transport::tls::PrivateKey;

use super::program::{Site, ca, wait_for};

#[tokio::test]
async fn a_crash_loses_no_serial_number_that_was_handed_out() {
    let site = Site::new();
    let app = site.account("app", "client");
    let running = site.serve(&[]);
    let key = PrivateKey::generate_p256().unwrap();
    let token = running.token(&app, &key).await;
    let mut handed_out = HashSet::new();
    let mut crashed = false;
    while !crashed {
        let pending = (0..8).map(|_| running.certify(&token, &key));
        let mut pending: Vec<_> = pending.map(Box::pin).collect();
        if handed_out.len() >= 100 {
            running.signal(Signal::KILL);
            crashed = true;
        }
        for request in &mut pending {
            let Ok(response) = request.await else {
                continue;
            };
            if let Ok(body) = response.json::<Value>().await
                && let Some(serial) = body["ephemeralCert"]["certSerialNumber"].as_str()
            {
                assert!(
                    handed_out.insert(serial.to_owned()),
                    "a serial number came twice"
                );
            }
        }
    }
    assert!(!running.wait().success());
    let listed = site.json(&["certificates", "list", "--instance", "db1"]);
    let issued: HashSet<String> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["state"] == "issued")
        .map(|row| row["serial"].as_str().unwrap().to_owned())
        .collect();
    assert!(handed_out.len() >= 100);
    assert!(handed_out.is_subset(&issued));
    // And it serves again.
    let running = site.serve(&[]);
    let token = running.token(&app, &key).await;
    assert_eq!(running.certify(&token, &key).await.unwrap().status(), 200);
}

#[tokio::test]
async fn what_a_crash_cut_short_is_told_at_the_next_start_and_not_again() {
    let site = Site::new();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(site.data().join("store.db"));
    let mut store = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query(
        "INSERT INTO certificates VALUES ('a', 'cut', 'client', 'demo:eu:db1', 'app', '', 0, 9999999999, 2, 'started')",
    )
    .execute(&mut store)
    .await
    .unwrap();
    sqlx::Connection::close(store).await.unwrap();
    let running = site.serve(&[]);
    wait_for("the warning", || site.log().contains("was cut short"));
    running.signal(Signal::TERM);
    running.wait();
    let listed = site.json(&["certificates", "list", "--instance", "db1"]);
    assert_eq!(listed[0]["state"], "failed");
    let _running = site.serve(&[]);
    assert!(!site.log().contains("was cut short"), "{}", site.log());
}

#[tokio::test]
async fn an_init_that_was_killed_is_completed_by_the_next() {
    // As long as a whole one takes here.
    let begun = std::time::Instant::now();
    Site::empty().ok(&["init"]);
    let whole = begun.elapsed();
    for part in 0..16 {
        let site = Site::empty();
        let mut child = ca()
            .args(["init", "--endpoint", "https://ca.test", "--data"])
            .arg(site.data())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(whole * part / 16).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let shown = site.json(&["init", "--if-not-exists", "--endpoint", "https://ca.test"]);
        assert_eq!(shown["endpoint"], "https://ca.test", "part {part}");
        site.ok(&["instances", "create", "db1", "--address", "127.0.0.1"]);
        let (_, told) = site.fails(&["init"]);
        assert!(told.contains("exists already"), "{told}");
        drop(site.serve(&[]));
    }
}
