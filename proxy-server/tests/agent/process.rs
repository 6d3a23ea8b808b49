//! The program itself: its exit codes, signals, and the user that it becomes.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use proto::Code;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use transport::tls::Offer;

use crate::ca::{APP, Ca};
use crate::client::{Client, echo, expect_cut};
use crate::database::{Database, Manner};
use crate::running::{Agent, PATIENCE, eventually, settings};

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudsql-proxy-server"));
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A process that serves instance `i`, with the address that it wrote.
pub(crate) async fn started(ca: &Ca, database: &Database, more: &[&str]) -> (Child, Agent) {
    started_with(ca, database, more, Stdio::piped(), |_| {}).await
}

/// The same with another standard error and a changed command.
pub(crate) async fn started_with(
    ca: &Ca,
    database: &Database,
    more: &[&str],
    err: Stdio,
    change: impl FnOnce(&mut Command),
) -> (Child, Agent) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("address");
    let mut command = program();
    change(command.stderr(err));
    let child = command
        .args(["--instance=p:r:i", "--listen=127.0.0.1:0"])
        .arg(format!("--credentials-file={}", ca.key_file().display()))
        .arg(format!("--database={}", database.place))
        .arg(format!("--address-file={}", file.display()))
        .args(more)
        .spawn()
        .unwrap();
    let read = async || std::fs::read_to_string(&file).ok();
    let address = eventually(read).await.trim().parse().unwrap();
    // Clients need nothing of it but the address.
    let mut agent = Agent::begin(settings(ca, &database.place), |_| {});
    agent.address = address;
    (child, agent)
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

pub(crate) async fn exit_code(child: &mut Child) -> Option<i32> {
    timeout(PATIENCE, child.wait())
        .await
        .unwrap()
        .unwrap()
        .code()
}

async fn echoing() -> (Arc<Ca>, Database) {
    let ca = Ca::start().await;
    ca.change(|says| says.version = "REDIS");
    (ca, Database::start(Manner::Echo).await)
}

#[tokio::test]
async fn a_request_to_stop_lets_sessions_end_and_admits_no_new_ones() {
    let (ca, database) = echoing().await;
    let (mut child, agent) = started(&ca, &database, &[]).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let mut session = eventually(async || open(&client).await).await;
    let (mut spare, _) = client.connect().await.unwrap();
    signal(&child, Signal::TERM);
    // The listener is closed as soon as the drain begins.
    eventually(async || {
        let refused = tokio::net::TcpStream::connect(agent.address).await;
        refused.err()
    })
    .await;
    let hello = proto::frame::encode(&client.hello()).unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut spare, &hello)
        .await
        .unwrap();
    let answer = crate::client::answer(&mut spare).await;
    assert!(
        matches!(answer, proto::frame::Answer::Refused(refusal) if refusal.code == Code::Draining)
    );
    drop(spare);
    echo(&mut session, b"to its end").await;
    drop(session);
    assert_eq!(exit_code(&mut child).await, Some(0));
}

/// A tunnel, if the agent is ready for one.
pub(crate) async fn open(client: &Client) -> Option<transport::tls::TlsStream> {
    let (mut stream, _) = client.connect().await.ok()?;
    let hello = proto::frame::encode(&client.hello()).unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &hello)
        .await
        .ok()?;
    let mut input = Vec::new();
    while !input.ends_with(b"}") {
        let byte = tokio::io::AsyncReadExt::read_u8(&mut stream).await.ok()?;
        input.push(byte);
    }
    Some(stream)
}

#[tokio::test]
async fn a_second_signal_and_the_end_of_patience_cut_sessions() {
    let (ca, database) = echoing().await;
    for (drain, twice) in [("--drain=60s", true), ("--drain=100ms", false)] {
        let (mut child, agent) = started(&ca, &database, &[drain]).await;
        let client = Client::of(&ca, &agent, Offer::Ours);
        let mut session = eventually(async || open(&client).await).await;
        signal(&child, Signal::TERM);
        if twice {
            eventually(async || tokio::net::TcpStream::connect(agent.address).await.err()).await;
            signal(&child, Signal::TERM);
        }
        assert_eq!(exit_code(&mut child).await, Some(143), "{drain}");
        expect_cut(&mut session).await;
    }
}

/// Asks the program to stop and reads what it has logged.
pub(crate) async fn log_of(child: Child) -> Vec<String> {
    signal(&child, Signal::TERM);
    let output = timeout(PATIENCE, child.wait_with_output()).await;
    let text = String::from_utf8(output.unwrap().unwrap().stderr).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_log_has_a_line_for_each_kind_of_refusal_and_a_session_only_if_asked_for_and_strangers_raise_no_alarm()
 {
    for (level, sessions) in [("--log-level=info", 0), ("--log-level=session=info", 1)] {
        let (ca, database) = echoing().await;
        let (child, agent) = started(&ca, &database, &[level]).await;
        let client = Client::of(&ca, &agent, Offer::Ours);
        drop(eventually(async || open(&client).await).await);
        let nobody = ca.client("i", "nobody@p.iam.gserviceaccount.com");
        let nobody = Client::with(&ca, &agent, Offer::Ours, "i", &nobody);
        assert_eq!(nobody.open().await.unwrap_err().code, Code::NoGrant);
        let stranger = ca.client("j", APP);
        let stranger = Client::with(&ca, &agent, Offer::Ours, "i", &stranger);
        for _ in 0..30 {
            stranger.alert().await;
        }
        drop(tokio::net::TcpStream::connect(agent.address).await.unwrap());
        let lines = log_of(child).await;
        let count = |words: &[&str]| {
            let all = |line: &&String| words.iter().all(|word| line.contains(word));
            lines.iter().filter(all).count()
        };
        assert_eq!(count(&["session refused"]), 1, "{lines:#?}");
        assert_eq!(
            count(&["session refused", "code=\"no-grant\"", "principal=nobody@"]),
            1
        );
        assert_eq!(count(&["session ended"]), sessions, "{lines:#?}");
        assert_eq!(
            count(&[
                "session ended",
                "id=\"test-session\"",
                "tls_ms=",
                "policy_ms=",
                "database_ms=",
                "ended_by="
            ]),
            sessions
        );
        let told = count(&["peer refused"]);
        assert!((1..30).contains(&told), "{told} lines of 30 strangers");
        assert_eq!(count(&["ERROR"]), 0, "{lines:#?}");
        for secret in ["PRIVATE", "BEGIN", "Bearer", "token\""] {
            assert_eq!(count(&[secret]), 0, "{secret} in {lines:#?}");
        }
    }
}

#[tokio::test]
async fn a_program_that_was_frozen_beyond_its_certificate_serves_the_first_client_after_it() {
    let (ca, database) = echoing().await;
    ca.change(|says| says.lifetime = std::time::Duration::from_secs(4));
    let (child, agent) = started(&ca, &database, &[]).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let mut session = eventually(async || open(&client).await).await;
    signal(&child, Signal::STOP);
    let frozen = tokio::time::Instant::now();
    eventually(async || (frozen.elapsed().as_secs() >= 5).then_some(())).await;
    // It waits in the backlog and is served as soon as the program goes on, before any timer has renewed anything.
    let go_on = async {
        tokio::task::yield_now().await;
        signal(&child, Signal::CONT);
    };
    let (first, ()) = tokio::join!(client.open(), go_on);
    echo(&mut first.unwrap(), b"the first").await;
    echo(&mut session, b"the one before").await;
}

pub(crate) async fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    let output = timeout(PATIENCE, program().args(arguments).output()).await;
    let output = output.expect("it ends by itself").unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), text)
}

#[tokio::test]
async fn wrong_settings_end_with_the_usage_code_and_all_complaints() {
    let (code, text) = fails(&["--database=tls:x", "--instance=p:r:i?databse=x"]).await;
    assert_eq!(code, Some(64), "{text}");
    for expected in [
        "credentials-file: missing",
        "database: a database has a port: say tcp:HOST:3306",
        "did you mean database?",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    let (code, text) = fails(&["--instnace=p:r:i"]).await;
    assert_eq!(code, Some(64), "{text}");
}

#[tokio::test]
async fn wrong_flags_and_all_that_is_wrong_beside_them_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    std::fs::write(&file, "drian = 1\n").unwrap();
    let file = format!("--config-file={}", file.display());
    let given = [&file, "--instance=p:r:i", "--database=tls:x"];
    let beside = [
        "agent.toml: drian: there is no such key; did you mean drain?",
        "credentials-file: missing",
        "database: a database has a port: say tcp:HOST:3306",
    ];
    let wrong = ["--max-connections=many", "--max-handshakes=few"];
    for (flags, expected) in [(&[][..], &[][..]), (&wrong, &["'many'", "'few'"])] {
        let (code, text) = fails(&[&given, flags].concat()).await;
        assert_eq!(code, Some(64), "{text}");
        for expected in beside.iter().chain(expected) {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }
}

#[tokio::test]
async fn root_with_a_unix_socket_leg_is_refused() {
    if !geteuid().is_root() {
        // The same decision is tested in `config` for everybody.
        return;
    }
    let arguments = [
        "--credentials-file=x",
        "--instance=p:r:i",
        "--database=unix:/x",
    ];
    let (code, text) = fails(&arguments).await;
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("--run-as USER"), "{text}");
}

#[tokio::test]
async fn a_bad_key_file_and_a_taken_port_end_with_a_clear_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.json");
    std::fs::write(
        &path,
        r#"{"type": "service_account", "private_key": "SECRET-CANARY"#,
    )
    .unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let key = format!("--credentials-file={}", path.display());
    let common = ["--instance=p:r:i", "--database=tcp:127.0.0.1:1"];
    let (code, text) = fails(&[&[key.as_str()][..], &common].concat()).await;
    assert_eq!(code, Some(1));
    assert!(
        text.contains("cut.json") && text.contains("cut off"),
        "{text}"
    );
    assert!(!text.contains("CANARY"), "{text}");

    let ca = Ca::start().await;
    let key = format!("--credentials-file={}", ca.key_file().display());
    let listen = format!("--listen={}", taken.local_addr().unwrap());
    let (code, text) = fails(&[&[key.as_str(), listen.as_str()][..], &common].concat()).await;
    assert_eq!(code, Some(1));
    let holder = format!("the port is taken by process {} (", std::process::id());
    assert!(
        text.contains("cannot listen on 127.0.0.1:") && text.contains(&holder),
        "{text}"
    );
}

#[tokio::test]
async fn a_key_file_that_others_may_read_is_refused_unless_it_is_allowed() {
    let ca = Ca::start().await;
    let path = ca.key_file();
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let key = format!("--credentials-file={}", path.display());
    let listen = format!("--listen={}", taken.local_addr().unwrap());
    let common = [
        key.as_str(),
        listen.as_str(),
        "--instance=p:r:i",
        "--database=tcp:127.0.0.1:1",
    ];
    let (code, text) = fails(&common).await;
    assert_eq!(code, Some(1), "{text}");
    let remedy = format!(
        "run: chmod 600 {}, or say --allow-insecure-key-file",
        path.display()
    );
    assert!(
        text.contains("mode 644") && text.contains(&remedy),
        "{text}"
    );
    // Read before ports are bound: that one is taken is the next thing to fail.
    let (code, text) = fails(&[&common[..], &["--allow-insecure-key-file"]].concat()).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("cannot listen on 127.0.0.1:"), "{text}");
}

#[tokio::test]
async fn the_program_becomes_the_user_that_it_is_told_for_good_and_in_every_thread() {
    let (ca, database) = echoing().await;
    if !geteuid().is_root() {
        let key = format!("--credentials-file={}", ca.key_file().display());
        let (code, text) = fails(&[
            key.as_str(),
            "--instance=p:r:i",
            "--listen=127.0.0.1:0",
            "--database=tcp:127.0.0.1:1",
            "--run-as=65534:65534",
        ])
        .await;
        assert!(code == Some(1) && text.contains("only root"), "{text}");
        return;
    }
    let (mut child, agent) = started(&ca, &database, &["--run-as=65534:65533"]).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let mut session = eventually(async || open(&client).await).await;
    echo(&mut session, b"as somebody else").await;
    let tasks = format!("/proc/{}/task", child.id().unwrap());
    let threads: Vec<_> = std::fs::read_dir(&tasks).unwrap().collect();
    assert!(threads.len() > 1);
    for thread in threads {
        let status = thread.unwrap().path().join("status");
        assert_eq!(field(&status, "Uid:"), "65534\t65534\t65534\t65534");
        assert_eq!(field(&status, "Gid:"), "65533\t65533\t65533\t65533");
        assert_eq!(field(&status, "Groups:"), "65533");
        assert_eq!(field(&status, "CapEff:"), "0000000000000000");
        assert_eq!(field(&status, "NoNewPrivs:"), "1");
    }
    drop(session);
    signal(&child, Signal::TERM);
    assert_eq!(exit_code(&mut child).await, Some(0));
}

fn field(status: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(status).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap().trim().to_owned()
}
