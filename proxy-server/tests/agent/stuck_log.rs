//! A log that nobody reads, and a log that many refusals would fill.

use std::io::{PipeReader, PipeWriter, Write as _, pipe};
use std::process::Stdio;

use proto::Code;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixDatagram};
use transport::tls::Offer;

use crate::ca::Ca;
use crate::client::{Client, echo};
use crate::database::{Database, Manner};
use crate::process::{exit_code, log_of, open, signal, started, started_with};
use crate::running::eventually;

const SESSIONS: usize = 1000;

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
async fn a_log_that_nobody_reads_stops_neither_sessions_nor_the_end() {
    let ca = Ca::start().await;
    ca.change(|says| says.version = "REDIS");
    let database = Database::start(Manner::Echo).await;
    let (_unread, log) = full_pipe();
    let level = ["--log-level=debug", "--drain=0s"];
    let (mut child, agent) = started_with(&ca, &database, &level, log.into(), |_| {}).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let mut before = eventually(async || open(&client).await).await;
    let nobody = ca.client("i", "nobody@p.iam.gserviceaccount.com");
    let nobody = Client::with(&ca, &agent, Offer::Ours, "i", &nobody);
    for at in 0..SESSIONS {
        if at % 2 == 0 {
            assert_eq!(nobody.open().await.unwrap_err().code, Code::NoGrant);
        } else {
            echo(&mut client.open().await.unwrap(), b"one of many").await;
        }
    }
    echo(&mut before, b"the one before").await;
    drop(before);
    signal(&child, Signal::TERM);
    assert!(exit_code(&mut child).await.is_some());
}

#[tokio::test]
async fn a_service_manager_that_stands_still_stops_nobody_and_gets_every_message_later() {
    let ca = Ca::start().await;
    ca.change(|says| says.version = "REDIS");
    let database = Database::start(Manner::Echo).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let filler = std::os::unix::net::UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"filler", &path).is_ok() {}
    let notify = |command: &mut tokio::process::Command| {
        command.env("NOTIFY_SOCKET", &path);
    };
    let err = Stdio::null();
    let (mut child, agent) = started_with(&ca, &database, &["--drain=0s"], err, notify).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    echo(
        &mut eventually(async || open(&client).await).await,
        b"served",
    )
    .await;
    let mut message = [0; 512];
    while !message.starts_with(b"READY=1") {
        message.fill(0);
        manager.recv(&mut message).await.unwrap();
    }
    signal(&child, Signal::TERM);
    assert!(exit_code(&mut child).await.is_some());
}

#[tokio::test]
async fn refusals_of_one_kind_make_one_line_however_many_they_are() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Echo).await;
    let (child, agent) = started(&ca, &database, &[]).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let nobody = ca.client("i", "nobody@p.iam.gserviceaccount.com");
    let nobody = Client::with(&ca, &agent, Offer::Ours, "i", &nobody);
    let other = ca.client("i", "other@p.iam.gserviceaccount.com");
    let other = Client::with(&ca, &agent, Offer::Ours, "i", &other);
    drop(eventually(async || client.connect().await.ok()).await);
    eventually(async || (nobody.open().await.unwrap_err().code == Code::NoGrant).then_some(()))
        .await;
    for _ in 0..100 {
        assert_eq!(nobody.open().await.unwrap_err().code, Code::NoGrant);
        assert_eq!(other.open().await.unwrap_err().code, Code::NoGrant);
    }
    let garbage = async || {
        let mut stream = TcpStream::connect(agent.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok();
        drop(stream.read_to_end(&mut Vec::new()).await);
    };
    for _ in 0..60 {
        garbage().await;
    }
    let lines = log_of(child).await;
    let refused = lines.iter().filter(|line| line.contains("refused"));
    assert_eq!(refused.count(), 2, "{lines:#?}");
    for account in ["nobody@", "other@"] {
        let named = lines.iter().filter(|line| line.contains(account));
        assert_eq!(named.count(), 1, "{lines:#?}");
    }
}
