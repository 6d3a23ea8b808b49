//! Each broken rung is found, and nothing above it is believed.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use proto::admin::Status;
use proto::{Code, Refusal};
use proxy_client::doctor::{Report, Rung, State, examine};
use tokio::net::TcpListener;

use crate::agent::Manner;
use crate::ca::{Instance, Mood};
use crate::program::program;
use crate::time::Time;
use crate::world::{World, write_private};

/// MySQL's greeting.
fn greeting() -> Vec<u8> {
    let mut payload = b"\x0A9.4.0\0\x01\0\0\x0012345678\0\xFF\xF7\x21\x02\x00\xFF\xDF\x15".to_vec();
    payload.extend_from_slice(&[0; 10]);
    payload.extend_from_slice(b"123456789012\0caching_sha2_password\0");
    let length = u8::try_from(payload.len()).unwrap();
    [&[length, 0, 0, 0][..], &payload].concat()
}

impl World {
    async fn examined(&self) -> Report {
        let mut config = self.config(vec![self.instance("db1")]);
        config.dial_timeout = Duration::from_secs(2);
        let mut reports = examine(config, self.client_time.clock()).await;
        assert_eq!(reports.len(), 1);
        reports.remove(0)
    }
}

/// The broken rung with its code; all below holds and all above was not reached.
fn broken(report: &Report) -> (Rung, &str) {
    let at = report
        .rungs
        .iter()
        .position(|finding| finding.state == State::Broken);
    let at = at.unwrap_or_else(|| panic!("all well:\n{}", report.text()));
    let (below, above) = report.rungs.split_at(at);
    let holds = |state| matches!(state, State::Ok | State::Unknown | State::Warning);
    assert!(
        below.iter().all(|one| holds(one.state)),
        "{}",
        report.text()
    );
    assert!(
        above[1..].iter().all(|one| one.state == State::Unknown),
        "{}",
        report.text()
    );
    assert!(!report.healthy && above[0].fix.is_some());
    (above[0].rung, above[0].code.unwrap())
}

#[tokio::test]
async fn with_all_well_every_rung_holds_and_tells_what_was_seen() {
    let (mut world, _) = World::new().await;
    world.agent.manner(Manner::Saying(greeting()));
    let report = world.examined().await;
    let text = report.text();
    assert!(report.healthy, "{text}");
    assert!(
        report.rungs.iter().all(|one| one.state == State::Ok),
        "{text}"
    );
    for seen in [
        "demo:eu:db1",
        "within 1 s",
        "MySQL 9.4.0",
        "caching_sha2_password",
    ] {
        assert!(text.contains(seen), "{seen}: {text}");
    }
    world.client_time = Time::new();
    world.client_time.advance(600);
    let report = world.examined().await;
    assert_eq!(report.rungs[1].state, State::Warning, "{}", report.text());
    assert!(report.healthy, "the client reckons with the CA's time");
}

#[tokio::test]
async fn trouble_with_the_ca_is_found_on_its_rung() {
    let (mut world, _) = World::new().await;
    for (status, rung, code) in [
        (Status::Unauthenticated, Rung::Token, "unauthenticated"),
        (Status::PermissionDenied, Rung::Certificate, "no-grant"),
        (Status::NotFound, Rung::Certificate, "no-grant"),
        (Status::ResourceExhausted, Rung::Ca, "ca-unavailable"),
        (Status::Internal, Rung::Ca, "ca-unavailable"),
    ] {
        world.ca.mood(Mood::Failing(status, "the CA's own words"));
        let report = world.examined().await;
        assert_eq!(broken(&report), (rung, code));
    }
    world.client_time = Time::new();
    world.client_time.advance(600);
    world
        .ca
        .mood(Mood::Failing(Status::Unauthenticated, "too early"));
    assert_eq!(broken(&world.examined().await), (Rung::Clock, "clock-skew"));
    world.ca.stop().await;
    assert_eq!(
        broken(&world.examined().await),
        (Rung::Ca, "ca-unreachable")
    );
}

#[tokio::test]
async fn trouble_with_the_agent_and_behind_it_is_found_on_its_rung() {
    let (world, instance) = World::new().await;
    for (code, rung) in [
        (Code::NotServed, Rung::Policy),
        (Code::NoGrant, Rung::Policy),
        (Code::Limit, Rung::Policy),
        (Code::CertificateRefused, Rung::Tls),
        (Code::DatabaseUnreachable, Rung::Database),
        (Code::Authentication, Rung::Authentication),
    ] {
        let refusal = Refusal::new(code, "no", "ask");
        world.agent.manner(Manner::Refusing(refusal));
        assert_eq!(broken(&world.examined().await), (rung, code.as_str()));
    }
    let limit = Refusal::new(Code::Limit, "full", "wait").greeting(proto::Engine::Mysql);
    world.agent.manner(Manner::Saying(limit));
    let report = world.examined().await;
    assert_eq!(broken(&report), (Rung::Database, "database-refused"));
    world.agent.manner(Manner::Serving);
    let report = world.examined().await;
    assert_eq!(broken(&report), (Rung::Database, "protocol"), "no MySQL");
    let stranger = Instance::new("demo:eu:db1");
    world.agent.believes(&instance.name, &stranger.client_ca);
    assert_eq!(broken(&world.examined().await).0, Rung::Tls);
    world.agent.stop().await;
    let report = world.examined().await;
    assert_eq!(broken(&report), (Rung::Tcp, "agent-unreachable"));
}

#[tokio::test]
async fn a_database_that_keeps_silent_ends_the_climb_in_time() {
    let (world, _) = World::new().await;
    world.agent.manner(Manner::Silent);
    assert_eq!(
        broken(&world.examined().await),
        (Rung::Database, "deadline")
    );
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = world.config(vec![world.instance("db1")]);
    config.dial_timeout = Duration::from_millis(300);
    config.instances[0].tunnel_port = nobody.local_addr().unwrap().port();
    let reports = examine(config, world.client_time.clock()).await;
    assert_eq!(broken(&reports[0]).0, Rung::Tls, "accepts and says nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_others_may_read_is_a_rung_to_look_at_and_broken_to_who_is_strict() {
    let (world, _) = World::new().await;
    world.agent.manner(Manner::Saying(greeting()));
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.json");
    write_private(&key, &world.ca.key_file());
    let tunnel_port = format!("--tunnel-port={}", world.agent.address.port());
    let credentials = format!("--credentials-file={}", key.display());
    let doctor = |mode: u32, flags: &[&str]| {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let common = ["doctor", "--instance=db1", &tunnel_port, &credentials];
        let flags = [&common, flags].concat();
        let output = tokio::task::block_in_place(|| program(&flags).output().unwrap());
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text)
    };
    let fix = format!("chmod 600 {}", key.display());
    let (code, text) = doctor(0o644, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("look    key file") && text.contains("(mode 644)") && text.contains(&fix),
        "{text}"
    );
    let (code, text) = doctor(0o644, &["--strict-key-file"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("BROKEN  key file") && text.contains(&fix),
        "{text}"
    );
    let (code, text) = doctor(0o600, &["--strict-key-file"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("ok      key file"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_says_it_in_json_without_secrets_and_with_its_exit_code() {
    let (world, _) = World::new().await;
    world.agent.manner(Manner::Saying(greeting()));
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.json");
    write_private(&key, &world.ca.key_file());
    let tunnel_port = format!("--tunnel-port={}", world.agent.address.port());
    let credentials = format!("--credentials-file={}", key.display());
    let doctor = |flags: &[&str]| {
        let flags = [&["doctor", "--instance=db1", &tunnel_port], flags].concat();
        let output = tokio::task::block_in_place(|| program(&flags).output().unwrap());
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text)
    };
    let (code, text) = doctor(&[&credentials, "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let reports: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(reports[0]["healthy"], true);
    assert_eq!(
        reports[0]["rungs"].as_array().unwrap().len(),
        Rung::ALL.len()
    );
    assert!(
        !text.contains("t0ken") && !text.contains("PRIVATE KEY"),
        "{text}"
    );

    std::fs::write(
        &key,
        "{\"type\":\"service_account\",\n\"private_key\":\"SECRET",
    )
    .unwrap();
    let (code, text) = doctor(&[&credentials]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("BROKEN  key file")
            && text.contains("is cut off")
            && !text.contains("SECRET"),
        "{text}"
    );
    let (code, text) = doctor(&[&credentials, "--port=1", "--unix-socket=/x"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("BROKEN  settings"), "{text}");
}
