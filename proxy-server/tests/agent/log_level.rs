//! The log's level, while the program serves.

use std::sync::Arc;

use rustix::process::Signal;
use tokio::io::AsyncReadExt as _;
use transport::tls::Offer;

use crate::ca::Ca;
use crate::client::Client;
use crate::database::{Database, Manner};
use crate::process::{log_of, signal, started};
use crate::running::eventually;

/// Reads the log up to a line with these words.
async fn says(log: &mut tokio::process::ChildStderr, words: &str) {
    let mut text = String::new();
    let reading = async {
        while !text.contains(words) {
            text.push(char::from(log.read_u8().await.unwrap()));
        }
    };
    let patience = crate::running::PATIENCE;
    assert!(
        tokio::time::timeout(patience, reading).await.is_ok(),
        "not {words:?}: {text}"
    );
}

#[tokio::test]
async fn a_level_that_is_written_to_the_settings_file_takes_effect_at_hangup() {
    let ca: Arc<Ca> = Ca::start().await;
    let database = Database::start(Manner::Echo).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    let wants = |level: &str| std::fs::write(&file, format!("log-level = {level:?}\n")).unwrap();
    wants("error");
    let flag = format!("--config-file={}", file.display());
    let (mut child, agent) = started(&ca, &database, &[&flag]).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    // It serves, so it knows what a hangup means.
    let served = eventually(async || client.connect().await.ok()).await;
    drop(served);
    let mut log = child.stderr.take().unwrap();
    wants("loud=very");
    signal(&child, Signal::HUP);
    says(&mut log, "the log's level stays as it was").await;
    wants("info");
    signal(&child, Signal::HUP);
    says(&mut log, "the log's level is read again").await;
    child.stderr = Some(log);
    let left = log_of(child).await;
    assert!(
        left.iter().any(|line| line.contains("stopping")),
        "{left:?}"
    );
}
