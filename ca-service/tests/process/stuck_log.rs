//! A log that nobody reads.

use std::io::{PipeReader, PipeWriter, Write as _, pipe};

use rustix::process::Signal;
use transport::tls::PrivateKey;

use super::program::Site;

/// A pipe without room for another byte, as of a collector that stands still.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    for size in [4096, 1] {
        while writer.write(&vec![b'x'; size]).is_ok() {}
    }
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_neither_certificates_nor_the_end() {
    let site = Site::new();
    let app = site.account("app", "client");
    let (_unread, log) = full_pipe();
    let rates = ["--rate-per-account=100000", "--rate-of-signing=100000"];
    let running = site.serve_logging(&rates, log.try_clone().unwrap().into(), log.into());
    let key = PrivateKey::generate_p256().unwrap();
    let token = running.token(&app, &key).await;
    for _ in 0..125 {
        let pending = (0..8).map(|_| running.certify(&token, &key));
        let mut pending: Vec<_> = pending.map(Box::pin).collect();
        for request in &mut pending {
            assert_eq!(request.await.unwrap().status(), 200);
        }
    }
    running.signal(Signal::TERM);
    assert!(running.wait().success());
}
