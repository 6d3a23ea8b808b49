//! Refusals on streams in memory.

use proto::Code;
use tokio::io::duplex;

use tokio::time::Instant;

use super::*;

const A_MINUTE: Duration = Duration::from_secs(60);

fn refusal() -> Refusal {
    Refusal::new(Code::NoGrant, "no grant", "ask for one")
}

/// What an application hears that says this first.
async fn heard(engine: Engine, says: &[u8]) -> Vec<u8> {
    let (mut ours, mut app) = duplex(1024);
    let application = async {
        app.write_all(says).await.unwrap();
        let mut heard = Vec::new();
        app.read_to_end(&mut heard).await.unwrap();
        drop(app);
        heard
    };
    let refusal = refusal();
    tokio::join!(application, tell(&mut ours, &refusal, engine)).0
}

#[tokio::test]
async fn each_engine_is_refused_in_its_own_protocol() {
    assert_eq!(
        heard(Engine::Mysql, b"").await,
        refusal().greeting(Engine::Mysql)
    );
    assert_eq!(heard(Engine::Tcp, b"anything").await, b"");
}

#[tokio::test(start_paused = true)]
async fn a_request_for_encryption_is_answered_before_postgresqls_error() {
    let error = refusal().greeting(Engine::Postgres);
    let startup = [0, 0, 0, 9, 0, 3, 0, 0, 0];
    assert_eq!(heard(Engine::Postgres, &startup).await, error);
    let request = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F];
    let with_no = [b"N".as_slice(), &error].concat();
    assert_eq!(heard(Engine::Postgres, &request).await, with_no);
}

#[tokio::test(start_paused = true)]
async fn an_application_that_neither_listens_nor_leaves_is_left() {
    let (mut ours, _app) = duplex(4);
    let begun = Instant::now();
    tell(&mut ours, &refusal(), Engine::Mysql).await;
    assert!(begun.elapsed() <= TELL_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn the_same_refusal_is_told_once_a_minute_with_its_count() {
    let repeats = Repeats::default();
    assert_eq!(repeats.is_worth_telling(&refusal()), Some(0));
    for _ in 0..7 {
        assert_eq!(repeats.is_worth_telling(&refusal()), None);
    }
    tokio::time::advance(A_MINUTE).await;
    assert_eq!(repeats.is_worth_telling(&refusal()), Some(7));
    let other = Refusal::new(Code::Limit, "full", "wait");
    assert_eq!(repeats.is_worth_telling(&other), Some(0));
}

#[tokio::test(start_paused = true)]
async fn refusals_that_take_turns_or_differ_in_numbers_only_are_told_once_each() {
    let repeats = Repeats::default();
    let late = |seconds: u64| {
        let reason = format!("the certificate ended {seconds} s ago");
        Refusal::new(Code::CaUnreachable, reason, "wait")
    };
    assert_eq!(repeats.is_worth_telling(&late(1)), Some(0));
    assert_eq!(repeats.is_worth_telling(&refusal()), Some(0));
    for seconds in 2..9 {
        assert_eq!(repeats.is_worth_telling(&late(seconds)), None);
        assert_eq!(repeats.is_worth_telling(&refusal()), None);
    }
    let same_reason = Refusal::new(Code::Limit, "no grant", "wait");
    assert_eq!(repeats.is_worth_telling(&same_reason), Some(0));
    tokio::time::advance(A_MINUTE).await;
    assert_eq!(repeats.is_worth_telling(&late(70)), Some(7));
}

#[tokio::test(start_paused = true)]
async fn what_was_told_elsewhere_is_told_here_only_when_it_lasts() {
    let repeats = Repeats::default();
    for _ in 0..3 {
        assert_eq!(repeats.is_worth_telling_again(&refusal()), None);
    }
    tokio::time::advance(A_MINUTE).await;
    assert_eq!(repeats.is_worth_telling_again(&refusal()), Some(3));
}
