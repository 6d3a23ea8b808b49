//! The opening on a stream in memory.

use std::time::Duration;

use proto::frame::{Transport, VERSION};
use proto::{Code, Refusal};
use tokio::io::duplex;

use super::*;

fn hello() -> Hello {
    Hello {
        version: VERSION,
        capabilities: Vec::new(),
        session_id: "s1".into(),
        instance: "p:r:i".into(),
        transport: Transport::Tcp,
        peer: None,
        uid: None,
        client: "test".into(),
    }
}

/// The opening against an agent that says these bytes, at most `chunk` at once, and then hangs up.
async fn opened(
    dialect: Dialect,
    engine: Engine,
    says: &[u8],
    chunk: usize,
) -> Result<Inputs, SessionError> {
    let (mut ours, mut agents) = duplex(chunk);
    let deadline = Instant::now() + Duration::from_secs(5);
    let agent = async {
        if dialect == Dialect::Framed {
            let mut input = Vec::new();
            while frame::decode::<Hello>(&mut input).unwrap().is_none() {
                agents.read_buf(&mut input).await.unwrap();
            }
        }
        agents.write_all(says).await.ok();
        drop(agents);
    };
    let hello = hello();
    let ours = async {
        let outcome = run(&mut ours, dialect, engine, &hello, deadline).await;
        // Bytes that were not taken must not block the agent.
        drop(ours);
        outcome.map(|opened| opened.rest)
    };
    tokio::join!(ours, agent).0
}

#[tokio::test]
async fn the_answer_may_come_in_any_pieces_and_what_follows_is_kept() {
    let mut says = frame::encode(&Answer::Ok {
        version: VERSION,
        patience: None,
    })
    .unwrap();
    says.extend_from_slice(b"greeting");
    for chunk in 1..says.len() {
        let rest = opened(Dialect::Framed, Engine::Mysql, &says, chunk)
            .await
            .unwrap();
        assert!(b"greeting".starts_with(&rest.database), "{chunk}");
    }
    let whole = opened(Dialect::Framed, Engine::Mysql, &says, 1000)
        .await
        .unwrap();
    assert_eq!(whole.database, b"greeting");
}

#[tokio::test]
async fn a_refusal_and_a_broken_frame_and_silence_are_told_apart() {
    let refusal = Refusal::new(Code::Limit, "full", "wait");
    let says = frame::encode(&Answer::Refused(refusal.clone())).unwrap();
    let refused = opened(Dialect::Framed, Engine::Mysql, &says, 1000).await;
    assert!(matches!(refused, Err(SessionError::Refused(found)) if found == refusal));
    let broken = opened(Dialect::Framed, Engine::Mysql, b"HTTP/1.1 400 Bad", 1000).await;
    assert!(matches!(broken, Err(SessionError::Violation(_))));
    let silent = opened(Dialect::Framed, Engine::Mysql, b"", 1000).await;
    assert!(matches!(silent, Err(SessionError::Closed(None))));
}

#[tokio::test]
async fn in_googles_dialect_mysqls_first_word_is_waited_for_and_others_are_not() {
    let rest = opened(Dialect::Bare, Engine::Mysql, b"greeting", 1000)
        .await
        .unwrap();
    assert_eq!(rest.database, b"greeting");
    let ended = opened(Dialect::Bare, Engine::Mysql, b"", 1000).await;
    assert!(matches!(ended, Err(SessionError::Closed(None))));
    for engine in [Engine::Postgres, Engine::Tcp] {
        let rest = opened(Dialect::Bare, engine, b"", 1000).await.unwrap();
        assert_eq!(rest, Inputs::default());
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_never_answers_is_given_up_at_the_deadline() {
    let (mut ours, _agents) = duplex(1000);
    let deadline = Instant::now() + Duration::from_secs(30);
    let outcome = run(
        &mut ours,
        Dialect::Framed,
        Engine::Mysql,
        &hello(),
        deadline,
    )
    .await;
    assert!(matches!(outcome, Err(SessionError::Deadline)));
}
