//! Client certificates on the direct listener.

use proxy_server::Settings;
use rustls::version::{TLS12, TLS13};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::ca::{APP, Ca, identity};
use crate::database::{Database, Manner};
use crate::direct::direct;
use crate::mysql::{Tls, connect, echo, error};
use crate::running::{Agent, PATIENCE, eventually};

async fn asking(ca: &Ca, database: &Database, mode: &str) -> Agent {
    Agent::start(Settings {
        mysql_listen_client_certificate: Some(mode.into()),
        ..direct(ca, &database.place)
    })
    .await
}

/// A certificate of that instance's and account's, with its key.
fn shown(ca: &Ca, label: &str, account: &str) -> Option<(String, String)> {
    let authorities = ca.authorities(label);
    Some(authorities.0.client_pem(&identity(label, account)))
}

#[tokio::test]
async fn who_shows_a_certificate_is_bound_by_its_grant() {
    let ca = Ca::start().await;
    ca.change(|says| says.grants[0].db_users = vec!["app".into()]);
    let database = Database::start(Manner::Mysql).await;
    for mode in ["optional", "required"] {
        let agent = asking(&ca, &database, mode).await;
        for version in [&TLS12, &TLS13] {
            let before = database.seen();
            let tls = || Tls::new(&ca, version, shown(&ca, "i", APP));
            let (mut stream, (_, answer)) = tls().log_in(&agent, "app").await;
            assert_eq!(answer[0], 0, "{mode} {version:?}");
            echo(&mut stream, b"\x01\0\0\0\x0e").await;
            let (_, (sequence, answer)) = tls().log_in(&agent, "root").await;
            let (number, text) = error(&answer);
            assert_eq!((sequence, number), (3, 1045));
            assert!(text.contains("does not allow this database user"), "{text}");
            assert_eq!(database.seen(), before + 2);
        }
    }
}

#[tokio::test]
async fn an_account_without_a_grant_is_told_so_inside_tls() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let agent = asking(&ca, &database, "required").await;
    let nobody = shown(&ca, "i", "nobody@p.iam.gserviceaccount.com");
    let (_, (_, answer)) = Tls::new(&ca, &TLS13, nobody).log_in(&agent, "app").await;
    let (number, text) = error(&answer);
    assert_eq!(number, 1045);
    assert!(
        text.contains("nobody@p.iam") && text.ends_with("[no-grant]"),
        "{text}"
    );
}

#[tokio::test]
async fn an_account_has_its_ceiling_here_too() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    let agent = Agent::start(Settings {
        mysql_listen_client_certificate: Some("required".into()),
        max_connections_per_account: Some(1),
        ..direct(&ca, &database.place)
    })
    .await;
    let tls = || Tls::new(&ca, &TLS13, shown(&ca, "i", APP));
    let (first, (_, answer)) = tls().log_in(&agent, "app").await;
    assert_eq!(answer[0], 0);
    let (_, (_, answer)) = tls().log_in(&agent, "app").await;
    assert_eq!(error(&answer).0, 1040);
    drop(first);
    eventually(async || {
        let (_, (_, answer)) = tls().log_in(&agent, "app").await;
        (answer[0] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn certificates_of_others_and_none_where_one_is_required_end_the_handshake() {
    let ca = Ca::start().await;
    let database = Database::start(Manner::Mysql).await;
    for (mode, certificate, kind) in [
        ("required", None, "login-tls"),
        ("required", shown(&ca, "j", APP), "login-tls"),
        ("optional", shown(&ca, "j", APP), "login-tls"),
    ] {
        let agent = asking(&ca, &database, mode).await;
        let (stream, _) = connect(&agent).await;
        let ended = match Tls::new(&ca, &TLS13, certificate).begin(stream).await {
            // In TLS 1.3 the client is done first, and hears of it when it reads.
            Ok(mut stream) => timeout(PATIENCE, stream.read_u8()).await.unwrap().err(),
            Err(error) => Some(error),
        };
        assert!(ended.is_some(), "{mode}");
        let name =
            format!("csql_server_sessions_refused_total{{kind=\"{kind}\",listener=\"direct\"}}");
        eventually(async || (agent.metric(&name).await == 1).then_some(())).await;
    }
}

#[tokio::test]
async fn where_certificates_are_optional_who_shows_none_is_let_in_as_nobody() {
    let ca = Ca::start().await;
    ca.change(|says| says.grants.clear());
    let database = Database::start(Manner::Mysql).await;
    let agent = asking(&ca, &database, "optional").await;
    let (_, (_, answer)) = Tls::plain(&ca).log_in(&agent, "app").await;
    assert_eq!(answer[0], 0);
}
