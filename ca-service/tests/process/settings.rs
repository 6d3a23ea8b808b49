//! Settings, exit codes and signals of `serve`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use super::program::{Site, ca, client, text};

fn serve(site: &Site, flags: &[&str]) -> (i32, String) {
    let free = ["--listen=127.0.0.1:0"];
    let listens = flags.iter().any(|flag| flag.starts_with("--listen"));
    let listen = if listens { &[][..] } else { &free[..] };
    site.fails(&[&["serve"], listen, flags].concat())
}

#[test]
fn all_complaints_about_settings_are_told_at_once() {
    let site = Site::new();
    let (code, told) = serve(
        &site,
        &[
            "--listen=0.0.0.0:0",
            "--insecure-http",
            "--certificate-ttl=299s",
            "--server-certificate-ttl=25h",
            "--leeway=61s",
            "--store=postgres://x",
            "--max-connections=0",
        ],
    );
    assert_eq!(code, 64);
    for key in [
        "insecure-http",
        "certificate-ttl",
        "server-certificate-ttl",
        "leeway",
        "store",
        "max-connections",
    ] {
        assert!(told.contains(&format!("  {key}: ")), "{key}: {told}");
    }
}

#[test]
fn a_settings_file_is_laid_under_flags_and_environment_and_unknown_keys_are_refused() {
    let site = Site::new();
    let file = site.path("ca.toml");
    let flag = format!("--config-file={}", file.display());
    fs::write(&file, "certificate-ttl = \"1s\"\nlisen = \"x\"\n").unwrap();
    let (code, told) = serve(&site, &[&flag]);
    assert_eq!(code, 64);
    assert!(told.contains("lisen") && told.contains("listen"), "{told}");
    fs::write(&file, "certificate-ttl = \"1s\"\nleeway = \"99s\"\n").unwrap();
    let (_, told) = serve(&site, &[&flag, "--certificate-ttl=600s"]);
    assert!(
        !told.contains("certificate-ttl") && told.contains("leeway"),
        "{told}"
    );
    let output = ca()
        .args(["serve", "--config-file"])
        .arg(&file)
        .arg("--data")
        .arg(site.data())
        .env("CSQL_CA_LEEWAY", "30s")
        .output()
        .unwrap();
    let told = text(&output.stderr);
    assert!(
        told.contains("certificate-ttl") && !told.contains("leeway"),
        "{told}"
    );
    assert_eq!(
        ca().arg("serve").output().unwrap().status.code(),
        Some(64),
        "no data directory"
    );
}

#[test]
fn what_others_could_read_or_what_is_missing_stops_the_start() {
    let site = Site::new();
    let kek = site.data().join("kek");
    let chmod = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod(&kek, 0o644);
    let (code, told) = serve(&site, &[]);
    assert!(code == 1 && told.contains("chmod 600"), "{told}");
    chmod(&kek, 0o600);
    chmod(&site.data(), 0o755);
    let (code, told) = serve(&site, &[]);
    assert!(code == 1 && told.contains("chmod 700"), "{told}");
    assert!(site.fails(&["instances", "list"]).1.contains("chmod 700"));
    chmod(&site.data(), 0o700);
    let other = Site::new();
    fs::copy(other.data().join("kek"), &kek).unwrap();
    let (code, told) = serve(&site, &[]);
    assert!(
        code == 1 && told.contains("not the one of this store"),
        "{told}"
    );
    fs::remove_file(&kek).unwrap();
    let (code, told) = serve(&site, &[]);
    assert!(code == 1 && told.contains("kek"), "{told}");
    let (code, told) = serve(&Site::empty(), &[]);
    assert!(code == 64 && told.contains("cloudsql-ca init"), "{told}");
}

#[test]
fn help_and_version_are_no_failures_and_a_taken_port_is_named() {
    for flag in ["--help", "--version"] {
        assert_eq!(ca().arg(flag).output().unwrap().status.code(), Some(0));
    }
    let help = text(&ca().args(["serve", "--help"]).output().unwrap().stdout);
    assert!(help.contains("CSQL_CA_CERTIFICATE_TTL"), "{help}");
    let site = Site::new();
    let running = site.serve(&[]);
    let (code, told) = serve(&site, &["--listen", &running.address]);
    assert_eq!(code, 1);
    assert!(told.contains(&running.address), "{told}");
}

#[test]
fn a_signal_drains_and_ends_with_success() {
    for signal in [Signal::TERM, Signal::INT] {
        let site = Site::new();
        let running = site.serve(&[]);
        running.signal(signal);
        assert_eq!(running.wait().code(), Some(0), "{}", site.log());
    }
}

#[tokio::test]
async fn probes_are_answered_on_the_health_listener_too() {
    let site = Site::new();
    let running = site.serve(&["--health-listen=127.0.0.1:0"]);
    let health = {
        // The port that it got is in the log.
        let mut found = None;
        super::program::wait_for("the health listener's line", || {
            let log = site.log();
            let line = log.lines().find(|line| line.contains("answering probes"));
            let address = line.and_then(|line| line.split("address=").nth(1));
            found = address.map(|address| address.trim().to_owned());
            found.is_some()
        });
        found.unwrap()
    };
    for path in ["livez", "readyz", "metrics"] {
        let url = format!("http://{health}/{path}");
        assert_eq!(
            client().get(url).send().await.unwrap().status(),
            200,
            "{path}"
        );
        assert_eq!(
            client()
                .get(running.url(&format!("/{path}")))
                .send()
                .await
                .unwrap()
                .status(),
            200
        );
    }
}
