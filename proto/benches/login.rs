//! The machine that follows a MySQL login, fed with openings captured between a real client and a real server.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use proto::frame::Transport;
use proto::machine::{Face, Inputs, Machine as _, Step};
use proto::mysql::{DatabaseLeg, InnerTls, Login, LoginOptions, Outcome};

/// The file's name without its ending, and its content; `proto/testdata/README.md` says how each was taken.
const CAPTURES: [(&str, &[u8]); 2] = [
    (
        "full",
        include_bytes!("../testdata/mysql97_full_tcp.cap").as_slice(),
    ),
    (
        "fast",
        include_bytes!("../testdata/mysql97_fast_tcp.cap").as_slice(),
    ),
];

/// Who spoke, and what.
type Turn<'a> = (Face, &'a [u8]);

/// The turns of a capture, but for the command behind the login.
fn turns(capture: &[u8]) -> Option<Vec<Turn<'_>>> {
    let (mut turns, mut rest) = (Vec::new(), capture);
    while let Some((face, tail)) = rest.split_first() {
        let (length, tail) = tail.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (bytes, tail) = tail.split_at_checked(length)?;
        let face = if *face == b'A' {
            Face::Application
        } else {
            Face::Database
        };
        turns.push((face, bytes));
        rest = tail;
    }
    turns.pop();
    Some(turns)
}

fn login() -> Login {
    Login::new(LoginOptions {
        application: Transport::Tcp,
        database: DatabaseLeg::Plain,
        rsa_key: None,
        allowed_users: vec!["app".to_owned()],
        allowed_schemas: Vec::new(),
        inner_tls: InnerTls::Off,
    })
}

/// Plays a whole login; gives back whether it succeeded, and how many bytes were passed on.
fn play(mut login: Login, turns: &[Turn<'_>]) -> Option<(bool, usize)> {
    let (mut inputs, mut passed) = (Inputs::default(), 0);
    for (face, bytes) in turns {
        inputs.of(*face).extend_from_slice(bytes);
        loop {
            match login.step(&mut inputs).ok()? {
                Step::NeedInput => break,
                Step::Send(_, bytes) => passed += bytes.len(),
                Step::Done(outcome) => {
                    return Some((matches!(outcome, Outcome::LoggedIn(_)), passed));
                }
            }
        }
    }
    None
}

fn logins(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mysql login");
    for (name, capture) in CAPTURES {
        let turns = turns(capture).unwrap_or_default();
        assert_eq!(
            play(login(), &turns).map(|(in_, _)| in_),
            Some(true),
            "the capture {name} is no login any more"
        );
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                login,
                |login| play(login, black_box(&turns)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, logins);
criterion_main!(benches);
