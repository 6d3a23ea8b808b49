//! The program itself: flags, exit codes, lines.

use std::io::{BufRead as _, BufReader, PipeReader, PipeWriter, Read as _, Write as _, pipe};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::agent::GREETING;
use crate::ca::Instance;
use crate::ports::free_port;
use crate::world::{World, first_words, write_private};

/// The program, without what the environment of the test has to say.
pub(crate) fn program(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudsql-proxy"));
    command.env_clear().args(flags).stdin(Stdio::null());
    command
}

fn run(flags: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = program(flags).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// Kills what a failed test leaves behind.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Running {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut command = program(flags);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Lines of standard output up to the one that says that it has started.
    fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for line in BufReader::new(self.0.stdout.as_mut().unwrap()).lines() {
            lines.push(line.unwrap());
            if lines.last().unwrap().contains(STARTED) {
                return lines;
            }
        }
        let mut errors = String::new();
        self.0
            .stderr
            .as_mut()
            .unwrap()
            .read_to_string(&mut errors)
            .unwrap();
        panic!("it ended: {errors}");
    }

    fn terminated(mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

const STARTED: &str = "The proxy has started successfully and is ready for new connections!";

#[test]
fn wrong_settings_end_with_64_and_all_complaints() {
    let (code, text) = run(&["p:r:a?prot=1", "--ca-certificate=/nonexistent", "--token=t"]);
    assert_eq!(code, Some(64));
    assert!(
        text.contains("did you mean port?") && text.contains("/nonexistent"),
        "{text}"
    );
    assert_eq!(run(&["--port=many"]).0, Some(64));
    assert_eq!(
        run(&["--instance=p:r:a", "--log-level=a=loud", "--token=t"]).0,
        Some(64)
    );
    let (code, text) = run(&["--token=t"]);
    assert_eq!(code, Some(64));
    assert!(text.contains("--instance=db1"), "{text}");
}

#[test]
fn a_half_written_key_file_ends_with_64_and_shows_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    let half =
        "{\"type\":\"service_account\",\n\"private_key\":\"-----BEGIN PRIVATE KEY-----\\nSECRET";
    std::fs::write(&path, half).unwrap();
    let (code, text) = run(&["db1", "--credentials-file", path.to_str().unwrap()]);
    assert_eq!(code, Some(64));
    assert!(text.contains("key.json: is cut off at line 2"), "{text}");
    assert!(!text.contains("SECRET"), "{text}");
}

#[test]
fn a_settings_file_with_wrong_keys_ends_with_64_and_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    std::fs::write(&path, "instanse = [\"p:r:a\"]\nport = \"x\"\n").unwrap();
    let (code, text) = run(&["--config-file", path.to_str().unwrap()]);
    assert_eq!(code, Some(64));
    assert!(
        text.contains("did you mean instance?") && text.contains("port"),
        "{text}"
    );
}

#[test]
fn an_endpoint_in_clear_across_the_network_ends_the_program_with_its_reason() {
    let flags = [
        "p:r:a?port=0",
        "--token=t",
        "--sqladmin-api-endpoint=http://192.0.2.1",
    ];
    let (code, text) = run(&flags);
    assert_eq!(code, Some(1));
    assert!(text.contains("must be https"), "{text}");
}

#[test]
fn help_names_every_flag_with_its_variable_and_ends_with_0() {
    let output = program(&["--help"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for (flag, variable) in [
        ("--instance", "CSQL_PROXY_INSTANCE"),
        ("--credentials-file", "CSQL_PROXY_CREDENTIALS_FILE"),
        ("--unix-socket", "CSQL_PROXY_UNIX_SOCKET"),
        ("--max-sigterm-delay", "CSQL_PROXY_MAX_SIGTERM_DELAY"),
    ] {
        assert!(text.contains(flag) && text.contains(variable), "{flag}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_where_it_listens_and_that_it_has_started_as_text_and_as_json() {
    let (world, _) = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.json");
    write_private(&key, &world.ca.key_file());
    for style in [&[][..], &["--structured-logs"]] {
        let (port, tunnel_port) = (free_port(), world.agent.address.port());
        let instance = format!("--instance=db1?port={port}&tunnel-port={tunnel_port}");
        let mut flags = vec![
            instance.as_str(),
            "--credentials-file",
            key.to_str().unwrap(),
        ];
        flags.extend_from_slice(style);
        let mut running = Running::start(&flags);
        let lines = tokio::task::block_in_place(|| running.lines());
        let text = lines.join("\n");
        assert!(lines.len() <= 6, "{text}");
        assert!(
            text.contains(&format!("[demo:eu:db1] Listening on 127.0.0.1:{port}")),
            "{text}"
        );
        if !style.is_empty() {
            let last: serde_json::Value = serde_json::from_str(lines.last().unwrap()).unwrap();
            assert_eq!(last["message"], STARTED);
            assert_eq!(last["severity"], "INFO");
        }
        let mut app = tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .unwrap();
        // Certificates of this CA's time are years ahead: the CA's clock decides.
        assert_eq!(first_words(&mut app).await, GREETING);
        let code = tokio::task::block_in_place(|| running.terminated());
        assert_eq!(code, Some(143), "a session was open");
    }
}

/// For instance with a CA that is down, or for an instance that does not exist.
#[tokio::test(flavor = "multi_thread")]
async fn the_line_about_the_start_waits_until_it_is_true_and_comes_by_itself() {
    let (world, _) = World::new().await;
    world.ca.stop().await;
    let (port, tunnel_port) = (free_port(), world.agent.address.port());
    let key_file = world.ca.key_file();
    let argument = format!("demo:eu:db1?port={port}&tunnel-port={tunnel_port}");
    let flags = [argument.as_str(), "--json-credentials", &key_file];
    let mut running = Running::start(&flags);
    let errors = BufReader::new(running.0.stderr.take().unwrap());
    tokio::task::block_in_place(|| {
        let is_told = |line: &String| line.contains("is not ready for new connections yet");
        let told = errors.lines().map(Result::unwrap).find(is_told).unwrap();
        assert!(told.contains("CA unreachable"), "{told}");
    });
    world.ca.restart().await;
    let lines = tokio::task::block_in_place(|| running.lines());
    assert_eq!(running.terminated(), Some(0), "{lines:?}");
}

#[test]
fn a_name_that_is_nearly_a_sub_command_is_refused_unless_it_is_given_as_an_instance() {
    for (word, command) in [
        ("docter", "doctor"),
        ("shutdwon", "shutdown"),
        ("health-check", "healthcheck"),
        ("explian", "explain"),
    ] {
        let (code, text) = run(&[word, "--token=t"]);
        assert_eq!(code, Some(64), "{text}");
        let hint = format!("did you mean {command}? An instance of this name is --instance={word}");
        assert!(text.contains(&hint), "{text}");
        let instance = format!("--instance={word}");
        let (code, text) = run(&[&instance, "--token=t", "--port=many"]);
        assert_eq!(code, Some(64));
        assert!(!text.contains("did you mean doctor"), "{text}");
    }
    for name in ["main", "tap", "p:r:docter", "db1", "doctor2"] {
        let (_, text) = run(&[name, "--token=t", "--port=many"]);
        assert!(!text.contains("--instance="), "{name}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_appears_in_the_log_however_much_is_logged() {
    let (world, instance) = World::new().await;
    let (port, tunnel_port) = (free_port(), world.agent.address.port());
    let key_file = world.ca.key_file();
    let argument = format!("db1?port={port}&tunnel-port={tunnel_port}");
    let flags = [
        argument.as_str(),
        "--json-credentials",
        &key_file,
        "--log-level=trace",
    ];
    let mut running = Running::start(&flags);
    let started = tokio::task::block_in_place(|| running.lines());
    let mut app = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    assert_eq!(first_words(&mut app).await, GREETING);
    app.write_all(b"payload-canary").await.unwrap();
    let mut echo = [0; 14];
    app.read_exact(&mut echo).await.unwrap();
    drop(app);
    // A refused session, too.
    let stranger = Instance::new("demo:eu:db1");
    world.agent.believes(&instance.name, &stranger.client_ca);
    let mut app = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    assert_ne!(first_words(&mut app).await, GREETING);
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    let mut rest = String::new();
    tokio::task::block_in_place(|| {
        let stdout = running.0.stdout.as_mut().unwrap();
        stdout.read_to_string(&mut rest).unwrap();
        running
            .0
            .stderr
            .as_mut()
            .unwrap()
            .read_to_string(&mut rest)
            .unwrap();
    });
    let log = format!("{}\n{rest}", started.join("\n"));
    assert!(
        log.contains("session ended") && log.contains("session refused"),
        "{log}"
    );
    let key: serde_json::Value = serde_json::from_str(&key_file).unwrap();
    let key = key["private_key"].as_str().unwrap().lines().nth(1).unwrap();
    for secret in [
        "t0ken",
        "payload-canary",
        &key[200..240],
        "BEGIN CERTIFICATE",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

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

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stops_neither_sessions_nor_the_end() {
    let (world, instance) = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.json");
    write_private(&key, &world.ca.key_file());
    let (port, tunnel_port) = (free_port(), world.agent.address.port());
    let argument = format!("--instance=db1?port={port}&tunnel-port={tunnel_port}");
    let flags = [
        &argument,
        "--credentials-file",
        key.to_str().unwrap(),
        "--log-level=debug",
        "--spare-tunnels=0",
    ];
    let (_unread, log) = full_pipe();
    let mut command = program(&flags);
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let mut running = Running(command.spawn().unwrap());
    let connect = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let mut before = loop {
        assert!(std::time::Instant::now() < deadline);
        match connect().await {
            Ok(app) => break app,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(first_words(&mut before).await, GREETING);
    for _ in 0..500 {
        assert_eq!(first_words(&mut connect().await.unwrap()).await, GREETING);
    }
    let stranger = Instance::new("demo:eu:db1");
    world.agent.believes(&instance.name, &stranger.client_ca);
    for _ in 0..500 {
        assert_ne!(first_words(&mut connect().await.unwrap()).await, GREETING);
    }
    before.write_all(b"goes on").await.unwrap();
    let mut echo = [0; 7];
    before.read_exact(&mut echo).await.unwrap();
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while running.0.try_wait().unwrap().is_none() {
        assert!(std::time::Instant::now() < deadline, "it does not end");
        tokio::task::yield_now().await;
    }
}

#[test]
fn every_shell_gets_a_script_that_completes_the_flags() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = program(&["completion", shell]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("credentials-file"), "{shell}: {script}");
    }
    assert_eq!(run(&["completion", "cmd.exe"]).0, Some(64));
}

#[test]
fn an_error_is_explained_and_an_unknown_one_is_answered_with_the_nearest() {
    let output = program(&["explain", "no-grant"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text.contains("**Fix.** `cloudsql-ca grant"), "{text}");
    let (code, text) = run(&["explain", "no-grand"]);
    assert_eq!(code, Some(64));
    assert!(text.contains("did you mean no-grant?"), "{text}");
    let output = program(&["explain"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("\nagent-identity ") && text.contains("\ninvalid_grant "),
        "{text}"
    );
}

#[test]
fn manual_pages_tell_of_every_sub_command_and_flag() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert_eq!(run(&["man", path]).0, Some(0));
    let page = |name: &str| {
        let page = std::fs::read_to_string(folder.path().join(name)).unwrap();
        // roff writes a hyphen that must not become a dash with a backslash.
        page.replace("\\-", "-")
    };
    let main = page("cloudsql-proxy.1");
    assert!(main.contains("--credentials-file") && main.contains("CSQL_PROXY_PORT"));
    for command in ["run", "doctor", "explain", "top", "wait", "support-bundle"] {
        assert!(
            main.contains(&format!("cloudsql-proxy-{command}(1)")),
            "{command}"
        );
        page(&format!("cloudsql-proxy-{command}.1"));
    }
    assert!(page("cloudsql-proxy-run.1").contains("MYSQL_HOST"));
    let (code, text) = run(&["man", "/nonexistent"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("cannot write manual pages"), "{text}");
}
