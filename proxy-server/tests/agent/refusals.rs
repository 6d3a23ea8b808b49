//! Every reason to say no, as it reaches a client of ours and one of Google's.

use proto::frame::Hello;
use proto::{Code, Engine};
use tokio::io::AsyncWriteExt as _;
use transport::tls::Offer;

use crate::ca::{APP, Ca, grant};
use crate::client::{Client, rest, take};
use crate::database::{Database, Manner, login_as};
use crate::running::{Agent, eventually, settings, world};

/// What a MySQL driver makes of the first bytes: error number and text.
fn error_packet(bytes: &[u8]) -> (u16, String) {
    let length = usize::from(bytes[0]) | usize::from(bytes[1]) << 8;
    assert_eq!(length + 4, bytes.len(), "one whole packet");
    assert_eq!(
        (bytes[3], bytes[4]),
        (0, 0xFF),
        "an ERR as the first packet"
    );
    let number = u16::from_le_bytes([bytes[5], bytes[6]]);
    (number, String::from_utf8(bytes[7..].to_vec()).unwrap())
}

/// The refusal as both kinds of clients get it.
async fn refused(ca: &Ca, agent: &Agent, code: Code) {
    let refusal = Client::of(ca, agent, Offer::Ours).open().await.unwrap_err();
    assert_eq!(refusal.code, code, "{refusal}");
    let mut bare = Client::of(ca, agent, Offer::BareOnly).open_bare().await;
    let (number, text) = error_packet(&rest(&mut bare).await);
    assert_eq!(number, code.numbers().mysql);
    assert!(text.ends_with(&format!("[{code}]")), "{text}");
    let text = text.strip_prefix("#08S01 ").unwrap_or(&text);
    assert_eq!(text, refusal.to_string());
    let name = format!("csql_server_sessions_refused_total{{kind=\"{code}\",listener=\"tunnel\"}}");
    eventually(async || (agent.metric(&name).await == 2).then_some(())).await;
}

#[tokio::test]
async fn an_account_without_a_grant_is_told_so_and_the_database_never_hears_of_it() {
    let database = Database::start(Manner::Mysql).await;
    let ca = Ca::start().await;
    ca.change(|says| says.grants = vec![grant("other@p.iam.gserviceaccount.com")]);
    let agent = Agent::start(settings(&ca, &database.place)).await;
    refused(&ca, &agent, Code::NoGrant).await;
    assert_eq!(database.seen(), 0);
}

#[tokio::test]
async fn a_database_that_is_down_is_named_as_such_without_its_address() {
    let place = Database::nowhere();
    let (ca, agent) = world(&place).await;
    refused(&ca, &agent, Code::DatabaseUnreachable).await;
    let refusal = Client::of(&ca, &agent, Offer::Ours)
        .open()
        .await
        .unwrap_err();
    assert!(!refusal.to_string().contains("127.0.0.1"), "{refusal}");
    assert!(refusal.hint.contains("--database"), "{refusal}");
}

#[tokio::test]
async fn a_unix_socket_that_is_not_there_is_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("unix:{}/mysqld.sock", folder.path().display());
    let (ca, agent) = world(&place).await;
    refused(&ca, &agent, Code::DatabaseUnreachable).await;
}

#[tokio::test]
async fn another_instance_in_the_frame_than_in_the_certificate_is_refused() {
    let database = Database::start(Manner::Echo).await;
    let (ca, agent) = world(&database.place).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let hello = Hello {
        instance: "p:r:other".into(),
        ..client.hello()
    };
    let refusal = client.open_with(&hello).await.unwrap_err();
    assert_eq!(refusal.code, Code::Protocol);
    assert!(!refusal.to_string().contains("p:r:other"), "{refusal}");
    assert_eq!(database.seen(), 0);
}

#[tokio::test]
async fn a_frame_that_is_none_is_refused() {
    let database = Database::start(Manner::Echo).await;
    let (ca, agent) = world(&database.place).await;
    let (mut stream, _) = Client::of(&ca, &agent, Offer::Ours)
        .connect()
        .await
        .unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let answer = crate::client::answer(&mut stream).await;
    let proto::frame::Answer::Refused(refusal) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(refusal.code, Code::Protocol);
    assert_eq!(database.seen(), 0);
}

#[tokio::test]
async fn a_database_user_that_the_grant_does_not_name_is_refused_before_the_database_sees_it() {
    let database = Database::start(Manner::Mysql).await;
    let ca = Ca::start().await;
    ca.change(|says| says.grants[0].db_users = vec!["app".into()]);
    let agent = Agent::start(settings(&ca, &database.place)).await;
    for (user, allowed) in [("app", true), ("root", false)] {
        let mut stream = Client::of(&ca, &agent, Offer::Ours).open().await.unwrap();
        let greeting = take(&mut stream, crate::database::greeting().len()).await;
        assert_eq!(greeting[3], 0);
        stream.write_all(&login_as(user)).await.unwrap();
        if allowed {
            assert_eq!(take(&mut stream, 11).await, crate::database::OK);
            // COM_CHANGE_USER to root: it never reaches the database, which would repeat it.
            let command = b"\x0a\0\0\0\x11root\0\0\0\x2d\0";
            stream.write_all(command).await.unwrap();
            let words = rest(&mut stream).await;
            assert_eq!(words[3..7], [1, 0xFF, 0x15, 0x04]);
            assert!(String::from_utf8_lossy(&words).ends_with("[no-grant]"));
        } else {
            let words = rest(&mut stream).await;
            assert_eq!(words[3..7], [2, 0xFF, 0x15, 0x04]);
            assert!(String::from_utf8_lossy(&words).ends_with("[no-grant]"));
        }
    }
}

#[tokio::test]
async fn what_the_database_says_against_a_login_reaches_the_application() {
    for (manner, number) in [(Manner::MysqlDenies, 2), (Manner::MysqlFull, 0)] {
        let database = Database::start(manner).await;
        let (ca, agent) = world(&database.place).await;
        for bare in [false, true] {
            let mut stream = if bare {
                Client::of(&ca, &agent, Offer::BareOnly).open_bare().await
            } else {
                Client::of(&ca, &agent, Offer::Ours).open().await.unwrap()
            };
            if manner == Manner::MysqlDenies {
                take(&mut stream, crate::database::greeting().len()).await;
                stream.write_all(&login_as("app")).await.unwrap();
            }
            let words = rest(&mut stream).await;
            assert_eq!(words[3..5], [number, 0xFF], "{manner:?}");
        }
    }
}

#[tokio::test]
async fn a_database_that_ends_during_the_login_is_blamed_for_it() {
    let database = Database::start(Manner::Closes).await;
    let (ca, agent) = world(&database.place).await;
    let mut stream = Client::of(&ca, &agent, Offer::Ours).open().await.unwrap();
    let (number, text) = error_packet(&rest(&mut stream).await);
    assert_eq!(number, 1158);
    assert!(text.ends_with("[database-unreachable]"), "{text}");
}

#[tokio::test]
async fn a_withdrawn_grant_refuses_new_sessions_within_two_seconds_and_leaves_the_others() {
    let database = Database::start(Manner::Mysql).await;
    let (ca, agent) = world(&database.place).await;
    let client = Client::of(&ca, &agent, Offer::Ours);
    let mut before = client.open().await.unwrap();
    take(&mut before, crate::database::greeting().len()).await;
    before.write_all(&login_as("app")).await.unwrap();
    take(&mut before, 11).await;

    ca.change(|says| says.grants.clear());
    let withdrawn = tokio::time::Instant::now();
    let refusal = eventually(async || client.open().await.err()).await;
    assert_eq!(refusal.code, Code::NoGrant);
    assert!(withdrawn.elapsed().as_secs() < 2);
    crate::client::echo(&mut before, b"goes on").await;

    ca.change(|says| says.grants = vec![grant(APP)]);
    eventually(async || client.open().await.ok()).await;
}

#[tokio::test]
async fn a_postgres_client_reads_its_refusal_as_an_error_response() {
    let ca = Ca::start().await;
    ca.change(|says| {
        says.version = "POSTGRES_17";
        says.grants.clear();
    });
    let agent = Agent::start(settings(&ca, &Database::nowhere())).await;
    let mut bare = Client::of(&ca, &agent, Offer::BareOnly).open_bare().await;
    let words = rest(&mut bare).await;
    assert_eq!(words[0], b'E');
    let expected = Code::NoGrant.numbers().postgres_state;
    assert!(String::from_utf8_lossy(&words).contains(&format!("\0C{expected}\0")));
    assert!(
        proto::Refusal::new(Code::NoGrant, "", "")
            .greeting(Engine::Tcp)
            .is_empty()
    );
}
