//! What each fuzz target does with its bytes. The tests replay the seeds through the same functions.

use std::sync::OnceLock;

use proto::frame::{Answer, Hello, Transport, decode};
use proto::machine::{Face, Inputs, Machine, Step};
use proto::mysql::{
    ChangeUser, Commands, DatabaseLeg, InDoubt, InnerTls, LoggedIn, Login, LoginOptions, Outcome,
    Refused, Refusing, RsaKey,
};
use proto::postgres::Opening;
use proto::{AccountName, Code, Identity, InstanceName, Refusal};

/// Any target: what it does with some bytes.
pub(crate) type Body = fn(&[u8]);

/// All targets, by the names of their programs and of their seeds' folders.
pub(crate) const ALL: [(&str, Body); 7] = [
    ("frame", frame),
    ("names", names),
    ("mysql_login", mysql_login),
    ("mysql_change_user", mysql_change_user),
    ("mysql_refusing", mysql_refusing),
    ("mysql_commands", mysql_commands),
    ("postgres_opening", postgres_opening),
];

/// The opening frame of `csql/1`, in whatever pieces.
pub(crate) fn frame(bytes: &[u8]) {
    drop(decode::<Hello>(&mut bytes.to_vec()));
    drop(decode::<Answer>(&mut bytes.to_vec()));
}

/// Names and certificate identities: what parses must read back as it was.
pub(crate) fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(name) = text.parse::<InstanceName>() {
        assert_eq!(name.to_string(), text);
    }
    if let Ok(name) = text.parse::<AccountName>() {
        assert_eq!(name.to_string(), text);
    }
    if let Ok(identity) = text.parse::<Identity>() {
        assert_eq!(identity.to_string(), text);
    }
}

/// A MySQL login: two bytes of options, and then turns as captures have them, so that captures are seeds.
pub(crate) fn mysql_login(bytes: &[u8]) {
    let Some((setup, turns)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let options = options(*setup);
    // What a database says before its TLS is told from what it says inside by the moment alone.
    let comparable = options.database != DatabaseLeg::Tls;
    let whole = play(&mut Login::new(options.clone()), turns, usize::MAX);
    let one_by_one = play(&mut Login::new(options), turns, 1);
    if comparable {
        assert_same(&one_by_one, &whole);
    }
}

/// A change of user in the middle of a session: as [`mysql_login`].
pub(crate) fn mysql_change_user(bytes: &[u8]) {
    let Some((setup, turns)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let options = options(*setup);
    let before = LoggedIn {
        user: "app".to_owned(),
        schema: None,
        plugin: "caching_sha2_password".to_owned(),
        connection_id: 1,
        application: options.application,
        compressed: false,
        local_files: false,
    };
    let machine = || ChangeUser::new(options.clone(), before.clone());
    let whole = play(&mut machine(), turns, usize::MAX);
    assert_same(&play(&mut machine(), turns, 1), &whole);
}

/// An application that is told why it is refused: one byte of options, and then what it says, whole and byte by byte.
pub(crate) fn mysql_refusing(bytes: &[u8]) {
    let Some((setup, said)) = bytes.split_first() else {
        return;
    };
    assert_eq!(refused(*setup, said, usize::MAX), refused(*setup, said, 1));
}

fn refused(setup: u8, said: &[u8], piece: usize) -> (usize, usize, bool) {
    let refusal = Refusal::new(Code::DatabaseUnreachable, "it is down", "start it");
    let version = (setup & 1 != 0).then(|| b"11.8.6-MariaDB".to_vec());
    let mut machine = Refusing::new(refusal, version, [setup; 20], setup & 2 != 0);
    let mut inputs = Inputs::default();
    let (mut sent, mut pauses) = (0, 0);
    for bytes in said.chunks(piece.min(said.len()).max(1)) {
        inputs.application.extend_from_slice(bytes);
        loop {
            match machine.step(&mut inputs) {
                Ok(Step::Send(face, bytes)) => {
                    assert_eq!(face, Face::Application);
                    sent += bytes.len();
                }
                Ok(Step::NeedInput) => break,
                Ok(Step::Done(Refused::StartTls)) => pauses += 1,
                Ok(Step::Done(Refused::Told)) => return (sent, pauses, true),
                Err(_) => return (sent, pauses, false),
            }
        }
    }
    (sent, pauses, true)
}

/// The watch for a change of user: what is found must not depend on how the stream is cut.
pub(crate) fn mysql_commands(bytes: &[u8]) {
    for in_doubt in [InDoubt::Stop, InDoubt::Pass] {
        let whole = Commands::new(in_doubt, true).look(bytes);
        let (mut commands, mut passed, mut held) = (Commands::new(in_doubt, true), 0, Vec::new());
        let mut stop = None;
        for piece in bytes.chunks(3) {
            held.extend_from_slice(piece);
            let seen = commands.look(&held);
            passed += seen.pass;
            held.drain(..seen.pass);
            stop = seen.stop;
            if stop.is_some() {
                break;
            }
        }
        assert_eq!((passed, stop), (whole.pass, whole.stop));
    }
    no_change_passes(bytes);
}

/// Where users are restricted nothing passes that a database may take for a change of user, whatever stands before it.
fn no_change_passes(bytes: &[u8]) {
    let seen = Commands::new(InDoubt::Stop, true).look(bytes);
    let mut rest = bytes.get(..seen.pass).unwrap_or_default();
    while let Some((&[a, b, c, number], payload)) = rest.split_first_chunk() {
        let length = u32::from_le_bytes([a, b, c, 0]);
        assert!(length == 0 || number != 0 || payload.first() != Some(&0x11));
        rest = payload.get(length as usize..).unwrap_or_default();
    }
}

/// PostgreSQL's opening.
pub(crate) fn postgres_opening(bytes: &[u8]) {
    let mut opening = Opening::default();
    let mut inputs = Inputs {
        application: bytes.to_vec(),
        database: vec![],
    };
    while let Ok(Step::Send(..)) = opening.step(&mut inputs) {}
}

fn options([legs, rules]: [u8; 2]) -> LoginOptions {
    static KEY: OnceLock<Option<RsaKey>> = OnceLock::new();
    LoginOptions {
        application: match legs & 3 {
            0 => Transport::Tcp,
            1 => Transport::Unix,
            _ => Transport::Tls,
        },
        database: match legs & 12 {
            0 => DatabaseLeg::Plain,
            4 => DatabaseLeg::Unix,
            _ => DatabaseLeg::Tls,
        },
        rsa_key: (rules & 1 != 0)
            .then(|| KEY.get_or_init(|| RsaKey::generate().ok()).clone())
            .flatten(),
        allowed_users: if rules & 2 == 0 {
            vec![]
        } else {
            vec!["app".to_owned()]
        },
        allowed_schemas: if rules & 4 == 0 {
            vec![]
        } else {
            vec!["appdb".to_owned()]
        },
        inner_tls: match rules & 24 {
            0 => InnerTls::Off,
            8 => InnerTls::Require,
            _ => InnerTls::Allow,
        },
    }
}

/// What came of it: who was sent how many bytes, in order, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Played {
    sent: Vec<(Face, usize)>,
    end: Option<Outcome>,
    violated: bool,
}

/// Cutting must not change what came of it. Where both sides speak out of turn, which is heard first does hang on it.
fn assert_same(one_by_one: &Played, whole: &Played) {
    if !one_by_one.violated && !whole.violated {
        assert_eq!(one_by_one, whole, "bytes that come one by one");
    }
}

/// Plays turns: a face, a length, bytes. They are given to the machine in pieces of so many bytes.
fn play<M: Machine<Outcome = Outcome>>(machine: &mut M, mut turns: &[u8], piece: usize) -> Played {
    let mut played = Played {
        sent: Vec::new(),
        end: None,
        violated: false,
    };
    let mut inputs = Inputs::default();
    while let Some((&[who, a, b, c, d], rest)) = turns.split_first_chunk::<5>() {
        let face = if who & 1 == 0 {
            Face::Database
        } else {
            Face::Application
        };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let (turn, rest) = rest.split_at(length.min(rest.len()));
        turns = rest;
        for bytes in turn.chunks(piece.min(turn.len()).max(1)) {
            inputs.of(face).extend_from_slice(bytes);
            loop {
                match machine.step(&mut inputs) {
                    Ok(Step::Send(face, bytes)) => played.sent.push((face, bytes.len())),
                    Ok(Step::NeedInput) => break,
                    // Inside TLS the application goes on where it was.
                    Ok(Step::Done(Outcome::StartTls)) if played.end.is_none() => {
                        played.end = Some(Outcome::StartTls);
                    }
                    // And so does the database, whose turn it is not yet.
                    Ok(Step::Done(outcome @ Outcome::StartDatabaseTls))
                        if played.end.as_ref() != Some(&outcome) =>
                    {
                        played.end = Some(outcome);
                    }
                    Ok(Step::Done(outcome)) => {
                        played.end = Some(outcome);
                        return played;
                    }
                    Err(_) => {
                        played.violated = true;
                        return played;
                    }
                }
            }
        }
    }
    played
}
