//! Flags that are seen at work only.

use std::process::{Command, Stdio};

use proxy_client::config::Http;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ports::free_port;
use crate::world::World;

fn run(flags: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudsql-proxy"));
    let output = command
        .env_clear()
        .args(flags)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn all_wrong_flags_are_told_at_once_with_what_may_be_meant() {
    let (code, _, text) = run(&[
        "p:r:a",
        "--prot=1",
        "--max-connections",
        "many",
        "--unix-sockets=/x",
    ]);
    assert_eq!(code, Some(64));
    for expected in [
        "'--prot'",
        "'--port'",
        "'many'",
        "'--unix-sockets'",
        "'--unix-socket'",
    ] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
    assert_eq!(text.matches("For more information").count(), 1, "{text}");
}

#[test]
fn wrong_flags_variables_keys_of_the_file_and_what_does_not_go_together_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    let text = "prot = 1\nmax-sigterm-delay = \"soon\"\ninstance = [\"p:r:a?colour=red\"]\n";
    std::fs::write(&file, text).unwrap();
    let file = format!("--config-file={}", file.display());
    let of_file = [
        "settings.toml: prot: there is no such key; did you mean port?",
        "settings.toml: max-sigterm-delay: expected a duration",
        "colour",
        "address: cannot be given together with unix-socket",
    ];
    let given = [
        &file,
        "--token=t",
        "--address=127.0.0.1",
        "--unix-socket=/x",
    ];
    let wrong = ["--max-connections=many", "--adress=::1"];
    let flags = ["'many'", "'--adress'", "'--address'"];
    for sub_command in [None, Some("run"), Some("doctor")] {
        let rest: &[&str] = if sub_command == Some("run") {
            &["--", "true"]
        } else {
            &[]
        };
        let begin = sub_command.as_slice();
        let (code, out, text) = run(&[begin, &given, rest].concat());
        let told = out + &text;
        assert!(code.is_some_and(|code| code != 0), "{told}");
        for expected in of_file {
            assert!(
                told.contains(expected),
                "{sub_command:?}: {expected} is missing:\n{told}"
            );
        }
        let (code, _, text) = run(&[begin, &given, &wrong, rest].concat());
        assert_eq!(code, Some(64), "{text}");
        for expected in of_file.into_iter().chain(flags) {
            assert!(
                text.contains(expected),
                "{sub_command:?}: {expected} is missing:\n{text}"
            );
        }
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudsql-proxy"));
    let variable = command
        .env_clear()
        .env("CSQL_PROXY_MAX_CONNECTIONS", "many");
    let output = variable.args(given).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{text}");
    for expected in of_file.into_iter().chain(["'many'"]) {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
    assert_eq!(text.matches("'many'").count(), 1, "{text}");
}

#[test]
fn flags_of_version_1_are_explained_with_what_says_the_same_now() {
    for (flags, expected) in [
        (&["-instances=p:r:a=tcp:3306"][..], "p:r:a?port=3306"),
        (
            &["--instances=p:r:a=tcp:0.0.0.0:3306,p:r:b"],
            "p:r:a?address=0.0.0.0&port=3306 p:r:b",
        ),
        (
            &["-instances", "p:r:a=tcp:3306"],
            "parameters behind a question mark",
        ),
        (&["-dir=/cloudsql", "p:r:a"], "is now --unix-socket=DIR"),
        (&["-dir", "/cloudsql"], "is now --unix-socket=DIR"),
        (
            &["-credential_file=/k.json"],
            "is now --credentials-file=FILE",
        ),
        (
            &["-ip_address_types=PRIVATE"],
            "is now --private-ip for PRIVATE",
        ),
        (
            &["-enable_iam_login"],
            "use the database user's own password",
        ),
        (&["-max_connections=5"], "is written --max-connections"),
        (&["-token=secret"], "is written --token"),
        (&["-structured-logs"], "is written --structured-logs"),
        (&["--structured_logs"], "is written --structured-logs"),
        (&["-unix-socket=/x"], "is written --unix-socket"),
        (
            &["run", "-port=1", "--", "true", "-port=2"],
            "is written --port",
        ),
        (&["p:r:a=tcp:3306", "--token=t"], "say p:r:a?port=3306"),
    ] {
        let (code, _, text) = run(flags);
        assert_eq!(code, Some(64), "{flags:?}: {text}");
        assert!(text.contains(expected), "{flags:?}: {text}");
        assert!(!text.contains("secret"), "{flags:?}: {text}");
        assert_eq!(
            text.matches("error: ").count().max(1),
            1,
            "{flags:?}: {text}"
        );
    }
    let (code, out, _) = run(&["-h"]);
    assert_eq!((code, out.contains("--instance")), (Some(0), true));
}

/// What the program says with a token, an instance that is wrong, and these variables.
fn with_variables(variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudsql-proxy"));
    command.env_clear().envs(variables.iter().copied());
    let output = command
        .args(["p:r:a?colour=red", "--token=t"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8(text).unwrap()
}

#[test]
fn what_kubernetes_sets_for_a_service_is_ignored_with_the_setting_that_stops_it() {
    let url = "tcp://10.0.0.7:3306";
    let text = with_variables(&[
        ("CSQL_PROXY_PORT", url),
        ("CSQL_PROXY_HTTP_PORT", url),
        ("CSQL_PROXY_SERVICE_HOST", "10.0.0.7"),
        ("CSQL_PROXY_SERVICE_PORT", "3306"),
        ("CSQL_PROXY_PORT_3306_TCP", url),
        ("CSQL_PROXY_PORT_3306_TCP_ADDR", "10.0.0.7"),
    ]);
    assert_eq!(text.matches("enableServiceLinks").count(), 2, "{text}");
    assert!(text.contains("CSQL_PROXY_PORT is ignored"), "{text}");
    assert!(
        text.contains("colour") && !text.contains("invalid value"),
        "{text}"
    );
}

#[test]
fn a_misspelt_variable_is_told_with_what_may_be_meant() {
    let text = with_variables(&[("CSQL_PROXY_ALLOW_FRM", "10.0.0.0/8")]);
    let refused =
        "CSQL_PROXY_ALLOW_FRM: is no variable of this program; did you mean CSQL_PROXY_ALLOW_FROM?";
    assert!(text.contains(refused), "{text}");
    let text = with_variables(&[("CSQL_PROXY_PROT", "1"), ("CSQL_PROXY_IMAGE_VERSION", "1")]);
    assert!(text.contains("CSQL_PROXY_PROT is no variable"), "{text}");
    assert!(text.contains("did you mean CSQL_PROXY_PORT?"), "{text}");
    assert!(
        text.contains("CSQL_PROXY_IMAGE_VERSION is no variable"),
        "{text}"
    );
    let known = [
        ("CSQL_PROXY_INSTANCE_CONNECTION_NAME_0", "p:r:x"),
        ("CSQL_PROXY_QUIET", "1"),
    ];
    assert!(!with_variables(&known).contains("is no variable"));
}

#[test]
fn variables_are_read_through_what_surrounds_them() {
    let text = with_variables(&[
        ("CSQL_PROXY_PORT", "5000\n"),
        ("CSQL_PROXY_HEALTH_CHECK", "yes"),
        ("CSQL_PROXY_QUIET", " off"),
        ("CSQL_PROXY_HTTP_PORT", "'9090'"),
        ("CSQL_PROXY_MAX_CONNECTIONS", " \n"),
    ]);
    assert!(
        text.contains("colour") && !text.contains("invalid value"),
        "{text}"
    );
}

#[test]
fn a_log_level_that_is_misspelt_is_refused() {
    let (code, _, text) = run(&["p:r:a", "--token=t", "--log-level=inof"]);
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("did you mean info?"), "{text}");
}

#[test]
fn a_file_that_cannot_be_read_is_the_only_complaint_beside_wrong_flags() {
    let (code, _, text) = run(&["--config-file=/nonexistent.toml", "--max-connections=many"]);
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("/nonexistent.toml: cannot be read"), "{text}");
    assert!(
        text.contains("'many'") && !text.contains("give at least one"),
        "{text}"
    );
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_set() {
    let variables = [
        "PORT",
        "ADDRESS",
        "PRIVATE_IP",
        "FUSE",
        "INSTANCE_CONNECTION_NAME",
        "MAX_SIGTERM_DELAY",
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudsql-proxy"));
    command.env_clear().args(["p:r", "--token=t"]);
    for name in variables {
        command.env(format!("CSQL_PROXY_{name}"), "");
    }
    let told = |command: &mut Command| String::from_utf8(command.output().unwrap().stderr).unwrap();
    // That alone is wrong which is wrong on purpose, so that nothing starts.
    let text = told(&mut command);
    assert!(text.contains("instance p:r:"), "{text}");
    assert_eq!(
        text.lines().filter(|line| line.starts_with("  ")).count(),
        1,
        "{text}"
    );
    let text = told(command.env("CSQL_PROXY_PORT", "many"));
    assert!(text.contains("invalid value 'many' for '--port"), "{text}");
}

#[test]
fn what_is_left_out_ends_with_64_and_its_reason() {
    let (code, _, text) = run(&["p:r:a", "--token=t", "--fuse", "/mnt", "-i"]);
    assert_eq!(code, Some(64));
    assert!(
        text.contains("fuse: is Google's and not supported here"),
        "{text}"
    );
    assert!(
        text.contains("auto-iam-authn: is Google's and not supported here"),
        "{text}"
    );
}

#[test]
fn the_version_has_googles_letter() {
    for flag in ["-v", "-V", "--version"] {
        let (code, text, _) = run(&[flag]);
        assert_eq!(code, Some(0));
        assert!(text.starts_with("cloudsql-proxy "), "{flag}: {text}");
    }
}

#[test]
fn a_failed_connection_test_ends_with_1() {
    let port = free_port();
    let endpoint = format!("--sqladmin-api-endpoint=http://127.0.0.1:{port}");
    let (code, _, text) = run(&[
        "p:r:a?port=1",
        "--token=t",
        "--run-connection-test",
        &endpoint,
    ]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("the connection test failed: [p:r:a]"),
        "{text}"
    );
    assert!(text.contains("[ca-unreachable]"), "{text}");
}

/// What the program says on both outputs until it has started.
fn said(flags: &[&str]) -> String {
    use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
    let mut errors = tempfile::tempfile().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudsql-proxy"));
    let mut child = command
        .env_clear()
        // Nothing is asked of the CA: there is none.
        .args(flags)
        .arg("--lazy-refresh")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors.try_clone().unwrap())
        .spawn()
        .unwrap();
    let mut text = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        text.push_str(&line);
        if line.contains("has started successfully") {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    errors.rewind().unwrap();
    errors.read_to_string(&mut text).unwrap();
    assert!(text.contains("has started successfully"), "{text}");
    text
}

#[test]
fn a_wildcard_is_had_by_asking_for_it_and_warned_of_unless_callers_are_named() {
    const WARNING: &str = "name who may with --allow-from";
    let port = free_port();
    let wildcard = format!("p:r:a?address=0.0.0.0&port={port}");
    let loopback = format!("p:r:a?address=127.0.0.1&port={port}");
    let common = ["--token=t", "--sqladmin-api-endpoint=http://127.0.0.1:1"];
    let open = said(&[&[wildcard.as_str()], &common[..]].concat());
    assert!(open.contains(WARNING), "{open}");
    assert!(
        open.contains(&format!("Listening on 0.0.0.0:{port}")),
        "{open}"
    );
    let named = said(
        &[
            &[wildcard.as_str(), "--allow-from=127.0.0.0/8"],
            &common[..],
        ]
        .concat(),
    );
    assert!(!named.contains(WARNING), "{named}");
    let closed = said(&[&[loopback.as_str()], &common[..]].concat());
    assert!(!closed.contains(WARNING), "{closed}");
}

#[test]
fn a_port_for_health_that_nobody_asked_for_is_said_to_wait() {
    let port = free_port();
    let instance = format!("p:r:a?port={port}");
    let common = ["--token=t", "--sqladmin-api-endpoint=http://127.0.0.1:1"];
    let told = said(&[&[instance.as_str(), "--http-port=1"], &common[..]].concat());
    assert!(
        told.contains("wait for --health-check or --prometheus"),
        "{told}"
    );
    let told = said(&[&[instance.as_str()], &common[..]].concat());
    assert!(!told.contains("wait for --health-check"), "{told}");
}

#[tokio::test]
async fn metrics_are_below_the_namespace_that_is_given() {
    let (world, _) = World::new().await;
    let port = free_port();
    let mut config = world.config(vec![world.instance("demo:eu:db1")]);
    config.metrics_namespace = Some("team".into());
    config.http = Some(Http {
        host: "127.0.0.1".into(),
        port,
        metrics: true,
    });
    let client = world.client_of(config).await;
    client.assert_works().await;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(
        text.contains("\nteam_cloudsqlconn_open_connections{"),
        "{text}"
    );
    assert!(!text.contains("\ncloudsqlconn_"), "{text}");
}
