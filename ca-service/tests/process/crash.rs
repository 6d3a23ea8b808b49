//! `kill -9` in the middle of issuing.

use std::collections::HashSet;

use rustix::process::Signal;
use serde_json::Value;
use transport::tls::PrivateKey;

use super::program::Site;

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
