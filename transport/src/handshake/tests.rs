//! Tests of the driver, with a scripted machine that asks, answers and hands over.

use std::time::Duration;

use proto::Refusal;
use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use tokio::time::Instant;

use super::*;

const MAX: usize = 8;

/// Takes a line from the application, sends it to the database in capitals, takes a line back, and is done.
#[derive(Debug, Default)]
struct Lines {
    asked: Option<String>,
    sent: bool,
}

fn line(input: &mut Vec<u8>) -> Option<String> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    let line = input.drain(..=end).collect();
    Some(String::from_utf8(line).unwrap())
}

impl Machine for Lines {
    type Outcome = (String, String);

    fn step(&mut self, input: &mut Inputs) -> Result<Step<Self::Outcome>, Violation> {
        let Some(asked) = self.asked.clone() else {
            let Some(asked) = line(&mut input.application) else {
                return Ok(Step::NeedInput);
            };
            if asked.starts_with('!') {
                return Err(Violation("no shouting"));
            }
            self.asked = Some(asked.clone());
            return Ok(Step::Send(Face::Database, asked.to_uppercase().into()));
        };
        self.sent = true;
        match line(&mut input.database) {
            Some(answer) => Ok(Step::Done((asked, answer))),
            None => Ok(Step::NeedInput),
        }
    }

    fn wants(&self, face: Face) -> bool {
        match face {
            Face::Application => self.asked.is_none(),
            Face::Database => self.sent,
        }
    }

    fn max_input(&self) -> usize {
        MAX
    }

    fn farewell(&self, _refusal: &Refusal) -> Vec<u8> {
        Vec::new()
    }
}

struct Wires {
    far_app: DuplexStream,
    app: DuplexStream,
    far_db: DuplexStream,
    db: DuplexStream,
}

fn wires() -> Wires {
    let (far_app, app) = duplex(1024);
    let (far_db, db) = duplex(1024);
    Wires {
        far_app,
        app,
        far_db,
        db,
    }
}

type Driven = Result<((String, String), Inputs), HandshakeError>;

async fn run(app: &mut DuplexStream, db: &mut DuplexStream) -> Driven {
    let mut budget = Budget::of_each(Duration::from_secs(5));
    drive(&mut Lines::default(), app, db, &mut budget).await
}

#[tokio::test(start_paused = true)]
async fn bytes_cut_at_any_place_give_the_same_outcome_and_the_same_rest() {
    let (up, down) = (b"hi\nmore", b"yo\nand");
    for cut_up in 0..=up.len() {
        for cut_down in 0..=down.len() {
            let mut w = wires();
            let far = async {
                for part in [&up[..cut_up], &up[cut_up..]] {
                    w.far_app.write_all(part).await.unwrap();
                    tokio::task::yield_now().await;
                }
                let mut asked = [0; 3];
                w.far_db.read_exact(&mut asked).await.unwrap();
                assert_eq!(&asked, b"HI\n");
                for part in [&down[..cut_down], &down[cut_down..]] {
                    w.far_db.write_all(part).await.unwrap();
                    tokio::task::yield_now().await;
                }
            };
            let (driven, ()) = tokio::join!(run(&mut w.app, &mut w.db), far);
            let (outcome, mut rest) = driven.unwrap();
            assert_eq!(outcome, ("hi\n".into(), "yo\n".into()));
            // What the driver has not read yet is still in the pipe: nothing is lost between the two.
            drop((w.far_app, w.far_db));
            w.app.read_to_end(&mut rest.application).await.unwrap();
            w.db.read_to_end(&mut rest.database).await.unwrap();
            assert_eq!(rest.application, b"more");
            assert_eq!(rest.database, b"and");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_is_read_than_the_machine_allows() {
    let mut w = wires();
    w.far_app.write_all(b"hi\n4567890").await.unwrap();
    w.far_db.write_all(b"yo\n").await.unwrap();
    let (_, rest) = run(&mut w.app, &mut w.db).await.unwrap();
    assert_eq!(rest.application, b"45678", "read further than {MAX} bytes");
    let mut left = [0; 2];
    w.app.read_exact(&mut left).await.unwrap();
    assert_eq!(&left, b"90");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_does_not_end_within_the_limit_is_a_violation() {
    let mut w = wires();
    w.far_app.write_all(&[b'x'; 100]).await.unwrap();
    let error = run(&mut w.app, &mut w.db).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Violation(_)), "{error:?}");
    let mut left = [0; 100];
    let unread = w.app.read(&mut left).await.unwrap();
    assert_eq!(unread, 100 - MAX, "read further than it may");
}

#[tokio::test(start_paused = true)]
async fn a_violation_of_the_machine_ends_the_exchange() {
    let mut w = wires();
    w.far_app.write_all(b"!\n").await.unwrap();
    let error = run(&mut w.app, &mut w.db).await.unwrap_err();
    assert!(matches!(
        error,
        HandshakeError::Violation(Violation("no shouting"))
    ));
}

#[tokio::test(start_paused = true)]
async fn an_unwanted_face_is_not_read() {
    let mut w = wires();
    w.far_db.write_all(b"early\n").await.unwrap();
    let error = run(&mut w.app, &mut w.db).await.unwrap_err();
    let deadline = HandshakeError::Deadline(Face::Application);
    assert_eq!(format!("{error:?}"), format!("{deadline:?}"));
    let mut early = [0; 6];
    w.db.read_exact(&mut early).await.unwrap();
    assert_eq!(&early, b"early\n");
}

#[tokio::test(start_paused = true)]
async fn a_silent_and_a_dripping_face_are_cut_at_the_deadline() {
    for drips in [false, true] {
        let mut w = wires();
        let start = Instant::now();
        let drip = async {
            while drips && w.far_app.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(900)).await;
            }
            std::future::pending::<()>().await;
        };
        let error = tokio::select! {
            driven = run(&mut w.app, &mut w.db) => driven.unwrap_err(),
            () = drip => unreachable!(),
        };
        let deadline = HandshakeError::Deadline(Face::Application);
        assert_eq!(format!("{error:?}"), format!("{deadline:?}"));
        assert_eq!(start.elapsed().as_secs(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn the_face_that_closes_early_is_named() {
    let mut w = wires();
    drop(w.far_app);
    let error = run(&mut w.app, &mut w.db).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Closed(Face::Application)));

    let mut w = wires();
    w.far_app.write_all(b"hi\n").await.unwrap();
    w.far_db.shutdown().await.unwrap();
    let error = run(&mut w.app, &mut w.db).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Closed(Face::Database)));
}

#[tokio::test(start_paused = true)]
async fn a_face_that_cannot_be_written_to_is_named() {
    let mut w = wires();
    w.far_app.write_all(b"hi\n").await.unwrap();
    drop(w.far_db);
    let error = run(&mut w.app, &mut w.db).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Io(Face::Database, _)));
}

#[tokio::test(start_paused = true)]
async fn bytes_of_an_earlier_exchange_are_taken_first() {
    let mut w = wires();
    w.far_app.write_all(b"i\n").await.unwrap();
    w.far_db.write_all(b"yo\n").await.unwrap();
    let inputs = Inputs {
        application: b"h".to_vec(),
        database: Vec::new(),
    };
    let mut budget = Budget::of_each(Duration::from_secs(5));
    let mut machine = Lines::default();
    let driven = drive_from(inputs, &mut machine, &mut w.app, &mut w.db, &mut budget).await;
    assert_eq!(driven.unwrap().0.0, "hi\n");
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_face_that_has_the_word_runs_and_the_other_stands() {
    let second = Duration::from_secs(1);
    let mut budget = Budget {
        application: second * 3,
        database: second * 60,
    };
    let mut w = wires();
    let far = async {
        tokio::time::sleep(second * 2).await;
        w.far_app.write_all(b"hi\n").await.unwrap();
        tokio::time::sleep(second * 50).await;
        w.far_db.write_all(b"yo\n").await.unwrap();
    };
    let mut machine = Lines::default();
    let (driven, ()) = tokio::join!(drive(&mut machine, &mut w.app, &mut w.db, &mut budget), far);
    driven.unwrap();
    assert_eq!(budget.application, second);
    assert_eq!(budget.database, second * 10);
}

#[tokio::test(start_paused = true)]
async fn the_face_that_takes_too_long_is_named() {
    for (face, says) in [(Face::Application, &b""[..]), (Face::Database, b"hi\n")] {
        let mut w = wires();
        w.far_app.write_all(says).await.unwrap();
        let error = run(&mut w.app, &mut w.db).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Deadline(slow) if slow == face));
        assert_eq!(error.blame(), face.into());
    }
}

/// Like a login whose plugins talk: either face may speak at any time, and what one says goes to the other.
struct Talk;

impl Machine for Talk {
    type Outcome = ();

    fn step(&mut self, input: &mut Inputs) -> Result<Step<()>, Violation> {
        for (from, to) in [
            (&mut input.application, Face::Database),
            (&mut input.database, Face::Application),
        ] {
            match line(from) {
                Some(said) if said == "done\n" => return Ok(Step::Done(())),
                Some(said) => return Ok(Step::Send(to, said.into())),
                None => {}
            }
        }
        Ok(Step::NeedInput)
    }

    fn wants(&self, _face: Face) -> bool {
        true
    }

    fn max_input(&self) -> usize {
        MAX
    }

    fn farewell(&self, _refusal: &Refusal) -> Vec<u8> {
        Vec::new()
    }
}

#[tokio::test(start_paused = true)]
async fn where_both_may_speak_it_is_the_turn_of_the_one_that_was_spoken_to() {
    let second = Duration::from_secs(1);
    let mut budget = Budget::of_each(second * 100);
    let mut w = wires();
    let far = async {
        for (waits, speaks, says) in [
            (1, Face::Application, &b"pass\n"[..]),
            (20, Face::Database, b"code?\n"),
            (3, Face::Application, b"123\n"),
            (40, Face::Database, b"done\n"),
        ] {
            tokio::time::sleep(second * waits).await;
            match speaks {
                Face::Application => w.far_app.write_all(says).await.unwrap(),
                Face::Database => w.far_db.write_all(says).await.unwrap(),
            }
        }
    };
    let mut talk = Talk;
    let (driven, ()) = tokio::join!(drive(&mut talk, &mut w.app, &mut w.db, &mut budget), far);
    driven.unwrap();
    assert_eq!(budget.application, second * 96);
    assert_eq!(budget.database, second * 40);
}
