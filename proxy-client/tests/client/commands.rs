//! The sub-commands beside a program at work, and the one that brings its own.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::agent::GREETING;
use crate::ports::free_port;
use crate::program::{Running, program};
use crate::world::{PATIENCE, World, first_words, write_private};

/// A world whose key file lies in a folder.
struct Site {
    world: World,
    folder: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let (world, _) = World::new().await;
        let folder = tempfile::tempdir().unwrap();
        write_private(&folder.path().join("key.json"), &world.ca.key_file());
        Self { world, folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Flags for `db1`.
    fn flags(&self, more: &[&str]) -> Vec<String> {
        let port = self.world.agent.address.port();
        let mut flags = vec![
            format!("--credentials-file={}", self.path("key.json")),
            format!("--tunnel-port={port}"),
            "--instance=db1".to_owned(),
        ];
        flags.extend(more.iter().map(|flag| (*flag).to_owned()));
        flags
    }

    /// `run` with a shell's script.
    fn run(&self, more: &[&str], script: &str) -> Command {
        let mut flags = self.flags(more);
        flags.insert(0, "run".to_owned());
        flags.extend(["--", "/bin/bash", "-c", script].map(str::to_owned));
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        program(&flags)
    }
}

fn ended(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = tokio::task::block_in_place(|| command.output().unwrap());
    (
        status.code(),
        String::from_utf8_lossy(&stdout).into_owned(),
        String::from_utf8_lossy(&stderr).into_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_run_finds_the_tunnel_and_lends_its_exit_code() {
    let site = Site::new().await;
    let length = GREETING.len();
    let talk = format!("exec 3<>/dev/tcp/$MYSQL_HOST/$MYSQL_PORT; head -c {length} <&3; exit 7");
    let (code, out, err) = ended(&mut site.run(&[], &talk));
    assert_eq!(code, Some(7), "{err}");
    assert_eq!(out.as_bytes(), GREETING);
    let said: Vec<&str> = err.lines().collect();
    assert!(
        said.len() == 1 && said[0].contains("clock differs"),
        "but for the clock all is well: {err}"
    );
    assert_eq!(ended(&mut site.run(&[], "exit 0")).0, Some(0));
    assert_eq!(ended(&mut site.run(&[], "kill -9 $$")).0, Some(137));
    let sockets = site.path("sockets");
    let socket = "test -S \"$MYSQL_UNIX_SOCKET\" && echo $CLOUDSQL_DB1_SOCKET";
    let (code, out, err) = ended(&mut site.run(&["--unix-socket", &sockets], socket));
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(out, format!("{sockets}/demo:eu:db1\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_leaves_behind_does_not_hold_the_tunnel_for_ever() {
    let site = Site::new().await;
    let length = GREETING.len();
    let talk = format!(
        "exec 3<>/dev/tcp/$MYSQL_HOST/$MYSQL_PORT; head -c {length} <&3 >&2; \
         sleep 1000 >/dev/null 2>&1 & echo $!; exit 7"
    );
    let (code, left, err) = ended(&mut site.run(&[], &talk));
    let killed = Command::new("kill").arg(left.trim()).status().unwrap();
    assert!(killed.success(), "it was there to the end");
    assert_eq!(code, Some(7), "{err}");
    assert!(err.contains("sessions are cut open=1"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_cuts_short_what_a_command_leaves_behind() {
    let site = Site::new().await;
    let length = GREETING.len();
    let talk = format!(
        "trap '' USR1; exec 3<>/dev/tcp/$MYSQL_HOST/$MYSQL_PORT; head -c {length} <&3 >&2; \
         sleep 1000 >/dev/null 2>&1 & echo $!; exit 7"
    );
    let mut command = site.run(&["--max-sigterm-delay=1000s"], &talk);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut run = command.spawn().unwrap();
    let mut left = String::new();
    let out = run.stdout.take().unwrap();
    tokio::task::block_in_place(|| BufReader::new(out).read_line(&mut left).unwrap());
    let signal = |name: &str, pid: &str| Command::new("kill").args([name, pid]).status().unwrap();
    let begun = Instant::now();
    let ended = loop {
        // As long as the command lives a signal is for the command, which does not mind.
        signal("-USR1", &run.id().to_string());
        tokio::time::sleep(Duration::from_millis(5)).await;
        let status = run.try_wait().unwrap();
        if status.is_some() || begun.elapsed() > PATIENCE {
            break status;
        }
    };
    let was_there = signal("-KILL", left.trim()).success();
    assert!(was_there, "what was left did not stay to the end");
    if ended.is_none() {
        run.kill().unwrap();
    }
    let ended = ended.expect("it waits for who was left");
    assert_eq!(ended.code(), Some(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_others_may_read_is_warned_about_once_and_refused_when_that_is_asked_for() {
    let site = Site::new().await;
    let key = site.path("key.json");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let advice = format!("chmod 600 {key}");
    let (code, _, err) = ended(&mut site.run(&[], "exit 7"));
    assert_eq!(code, Some(7), "{err}");
    assert_eq!(err.matches(&advice).count(), 1, "{err}");
    let strict = ("CSQL_PROXY_STRICT_KEY_FILE", "true");
    let (code, _, err) = ended(site.run(&[], "exit 7").env(strict.0, strict.1));
    assert_eq!(code, Some(64), "{err}");
    assert_eq!(err.matches(&advice).count(), 1, "{err}");
    assert_eq!(
        ended(&mut site.run(&["--strict-key-file=false"], "exit 7")).0,
        Some(7)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_not_there_ends_with_127_and_one_that_cannot_be_run_with_126() {
    let site = Site::new().await;
    for (command, code) in [("/nonexistent/command", 127), ("/etc/passwd", 126)] {
        let mut flags = site.flags(&["--", command]);
        flags.insert(0, "run".to_owned());
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let (found, _, err) = ended(&mut program(&flags));
        assert_eq!(found, Some(code), "{err}");
        assert!(err.contains(&format!("cannot run {command}: ")), "{err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tunnel_the_command_is_never_started() {
    let site = Site::new().await;
    let mark = site.path("started");
    site.world.ca.stop().await;
    let (code, _, err) = ended(&mut site.run(&["--max=1s"], &format!("touch {mark}")));
    assert_eq!(code, Some(1));
    assert!(
        err.contains("the command was not started: CA unreachable") && !Path::new(&mark).exists(),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_handed_on_and_secrets_are_not() {
    let site = Site::new().await;
    let script = "trap 'echo caught; exit 5' TERM; echo ${CSQL_PROXY_JSON_CREDENTIALS-none}; \
         kill -TERM $PPID; for i in {1..1000}; do sleep 0.01; done";
    let port = format!("--tunnel-port={}", site.world.agent.address.port());
    let mut command = program(&[
        "run",
        "--instance=db1",
        &port,
        "--",
        "/bin/bash",
        "-c",
        script,
    ]);
    command.env("CSQL_PROXY_JSON_CREDENTIALS", site.world.ca.key_file());
    let (code, out, err) = ended(&mut command);
    assert_eq!((code, out.as_str()), (Some(5), "none\ncaught\n"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn through_the_administrators_socket_a_program_is_asked_and_ended() {
    let site = Site::new().await;
    let (socket, port) = (site.path("run/admin"), free_port());
    let admin = format!("--admin-socket={socket}");
    let (code, _, err) = ended(&mut program(&["wait", &admin, "--max=0s"]));
    assert_eq!(code, Some(1));
    assert!(
        err.contains("not started after 0 s: nobody answers"),
        "{err}"
    );

    let mut flags = site.flags(&[&admin, "--port", &port.to_string()]);
    flags.push("--max-sigterm-delay=60s".to_owned());
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut running = Running::start(&flags);
    let (code, _, err) = ended(&mut program(&["wait", &admin]));
    assert_eq!(code, Some(0), "{err}");
    let mode = |path: &str| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(&site.path("run"))), (0o600, 0o700));
    assert_eq!(ended(&mut program(&["healthcheck", &admin])).0, Some(0));
    let elsewhere = format!("--admin-port={}", free_port());
    assert_eq!(ended(&mut program(&["shutdown", &elsewhere])).0, Some(1));
    assert_eq!(ended(&mut program(&["top"])).0, Some(64));

    let mut app = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert_eq!(first_words(&mut app).await, GREETING);
    let (code, out, err) = ended(&mut program(&["top", &admin]));
    assert_eq!(code, Some(0), "{err}");
    let last = out.lines().last().unwrap();
    assert!(
        last.starts_with("demo:eu:db1  127.0.0.1:") && last.contains("9 B   open"),
        "{out}"
    );
    let (_, out, _) = ended(&mut program(&["top", "--json", &admin]));
    let overview: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(overview["sessions"][0]["bytes_down"], GREETING.len());
    let (code, _, err) = ended(&mut program(&["shutdown", &admin]));
    assert_eq!(code, Some(0), "{err}");
    let (code, _, err) = ended(&mut program(&["healthcheck", &admin]));
    assert_eq!(code, Some(1));
    assert!(err.contains("not ready: stopping"), "{err}");
    app.shutdown().await.unwrap();
    drop(app);
    let code = tokio::task::block_in_place(|| running.0.wait().unwrap().code());
    assert_eq!(code, Some(0), "asked to stop, and drained");
    assert!(!Path::new(&socket).exists());
}

/// Reads messages until each of the wanted beginnings of a line has come, in any order: the program merges what waits.
/// Returns all lines.
fn told(manager: &UnixDatagram, wanted: &[&str]) -> Vec<String> {
    let until = Instant::now() + PATIENCE;
    let mut lines: Vec<String> = Vec::new();
    let mut buffer = [0; 4096];
    while !wanted
        .iter()
        .all(|wanted| lines.iter().any(|line| line.starts_with(wanted)))
    {
        let left = until.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        manager.set_read_timeout(Some(left)).unwrap();
        let length = tokio::task::block_in_place(|| manager.recv(&mut buffer));
        let length = length.unwrap_or_else(|_| panic!("no {wanted:?} in {lines:?}"));
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        lines.extend(text.lines().map(str::to_owned));
        assert!(Instant::now() < until, "no {wanted:?} in {lines:?}");
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_hears_ready_only_when_the_program_is_and_that_it_lives_and_stops() {
    let site = Site::new().await;
    site.world.ca.stop().await;
    let path = site.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let port = free_port().to_string();
    let flags = site.flags(&["--port", &port]);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut command = program(&flags);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "300000");
    let mut running = Running(
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let before = told(&manager, &["STATUS=0 of 1 instances can be served"]);
    assert!(
        before.contains(&"EXTEND_TIMEOUT_USEC=30000000".to_owned())
            && !before.contains(&"READY=1".to_owned()),
        "{before:?}"
    );
    assert!(
        before.iter().any(|line| line.contains("CA unreachable")),
        "{before:?}"
    );
    site.world.ca.restart().await;
    told(
        &manager,
        &[
            "READY=1",
            "STATUS=1 of 1 instances can be served, 0 sessions",
            "WATCHDOG=1",
        ],
    );
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    told(&manager, &["STOPPING=1"]);
    tokio::task::block_in_place(|| running.0.wait().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_support_bundle_holds_settings_findings_metrics_and_sessions_but_no_secret() {
    let site = Site::new().await;
    let (socket, port) = (site.path("admin"), free_port().to_string());
    let admin = format!("--admin-socket={socket}");
    let flags = site.flags(&[&admin, "--port", &port]);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let _running = Running::start(&flags);
    assert_eq!(ended(&mut program(&["wait", &admin])).0, Some(0));
    let mut app = TcpStream::connect(format!("127.0.0.1:{port}"))
        .await
        .unwrap();
    assert_eq!(first_words(&mut app).await, GREETING);

    let path = site.path("bundle.json");
    let key_file = site.world.ca.key_file();
    let tunnel_port = format!("--tunnel-port={}", site.world.agent.address.port());
    let mut command = program(&["support-bundle", "db1", &admin, &tunnel_port, "-o", &path]);
    command.env("CSQL_PROXY_JSON_CREDENTIALS", &key_file);
    let (code, _, err) = ended(&mut command);
    assert_eq!(code, Some(0), "{err}");
    let text = std::fs::read_to_string(&path).unwrap();
    let bundle: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bundle["settings"]["json-credentials"], "(given, not shown)");
    assert_eq!(bundle["settings"]["instance"][0], "db1");
    assert_eq!(bundle["doctor"][0]["instance"], "demo:eu:db1");
    assert_eq!(bundle["program"]["status"]["sessions"][0]["state"], "open");
    let metrics = bundle["program"]["metrics"].as_str().unwrap();
    assert!(
        metrics.contains("cloudsqlconn_open_connections"),
        "{metrics}"
    );
    let key: serde_json::Value = serde_json::from_str(&key_file).unwrap();
    let key = key["private_key"].as_str().unwrap().lines().nth(1).unwrap();
    for secret in ["PRIVATE KEY", &key[..40], "t0ken", "BEGIN CERTIFICATE"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (code, _, err) = ended(&mut command);
    assert_eq!(code, Some(1), "what is there is not overwritten: {err}");
}
