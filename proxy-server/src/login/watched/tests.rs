//! Streams that come in any pieces, read with any room: what passes, and where it stops, are the follower's own.

use std::collections::VecDeque;
use std::task::Waker;

use proptest::collection::vec;
use proptest::prelude::*;
use proto::machine::Inputs;
use proto::mysql::InDoubt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_util::sync::CancellationToken;
use transport::tunnel::{Limits, copy};

use super::*;

const QUERY: &[u8] = &[2, 0, 0, 0, 0x03, b'x'];
const CHANGE_USER: &[u8] = &[3, 0, 0, 0, 0x11, b'r', 0];
const PING: &[u8] = &[1, 0, 0, 0, 0x0E];

fn strict() -> Option<Commands> {
    Some(Commands::new(InDoubt::Stop, true))
}

async fn read(watched: &mut Watched<'_, DuplexStream>) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 64];
    let length = watched.read(&mut buffer).await?;
    Ok(buffer[..length].to_vec())
}

/// The command at which reading has stopped.
fn command<S>(watched: &mut Watched<'_, S>) -> Option<Vec<u8>> {
    match watched.stopped()? {
        Stopped::ChangeOfUser(command, _) => Some(command),
        Stopped::OutOfStep(..) => None,
    }
}

#[tokio::test]
async fn reading_stops_in_front_of_a_change_of_user_and_goes_on_behind_it() {
    let (mut app, mut agent) = duplex(64);
    let mut watched = Watched::new(&mut agent, strict(), QUERY.to_vec());
    app.write_all(&[QUERY, CHANGE_USER].concat()).await.unwrap();
    assert_eq!(read(&mut watched).await.unwrap(), QUERY);
    assert_eq!(read(&mut watched).await.unwrap(), QUERY);
    assert!(watched.stopped().is_none(), "the reader is not there yet");
    assert!(read(&mut watched).await.is_err());
    assert_eq!(command(&mut watched).unwrap(), CHANGE_USER);
    watched.go_on(strict(), QUERY.to_vec());
    app.write_all(QUERY).await.unwrap();
    assert_eq!(read(&mut watched).await.unwrap(), QUERY);
    assert_eq!(read(&mut watched).await.unwrap(), QUERY);
}

#[tokio::test]
async fn bytes_that_come_one_by_one_are_held_until_the_command_is_known() {
    let (mut app, mut agent) = duplex(1);
    let mut watched = Watched::new(&mut agent, strict(), Vec::new());
    let writer = async {
        for byte in [QUERY, CHANGE_USER].concat() {
            app.write_all(&[byte]).await.unwrap();
        }
    };
    let reader = async {
        let mut passed = Vec::new();
        while let Ok(bytes) = read(&mut watched).await {
            passed.extend(bytes);
        }
        passed
    };
    let (passed, ()) = tokio::join!(reader, async {
        tokio::time::timeout(std::time::Duration::from_secs(5), writer)
            .await
            .ok();
    });
    assert_eq!(passed, QUERY);
    assert!(CHANGE_USER.starts_with(&command(&mut watched).unwrap()));
}

#[tokio::test]
async fn an_end_within_a_header_is_passed_on() {
    let (mut app, mut agent) = duplex(64);
    app.write_all(&QUERY[..3]).await.unwrap();
    drop(app);
    let mut watched = Watched::new(&mut agent, strict(), Vec::new());
    assert_eq!(read(&mut watched).await.unwrap(), &QUERY[..3]);
    assert!(read(&mut watched).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_session_that_is_not_followed_passes_whatever_it_says() {
    let (mut app, mut agent) = duplex(64);
    app.write_all(CHANGE_USER).await.unwrap();
    let mut watched = Watched::new(&mut agent, None, Vec::new());
    assert_eq!(read(&mut watched).await.unwrap(), CHANGE_USER);
}

/// Gives out bytes in pieces. A piece of nothing is a moment at which nothing is there, and behind the last piece is
/// the end, or an error that comes together with bytes.
struct Pieces {
    rest: Vec<u8>,
    sizes: VecDeque<usize>,
    fails: bool,
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let size = self.sizes.pop_front().unwrap_or(usize::MAX);
        if size == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let given = size.min(buf.remaining()).min(self.rest.len());
        let given: Vec<u8> = self.rest.drain(..given).collect();
        buf.put_slice(&given);
        match self.fails && self.rest.is_empty() {
            true => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            false => Poll::Ready(Ok(())),
        }
    }
}

/// Reads with buffers of these sizes, over and over, until the end, an error, or the stop.
fn passed(watched: &mut Watched<'_, Pieces>, rooms: &[usize]) -> (Vec<u8>, io::Result<()>) {
    let (mut passed, mut cx) = (Vec::new(), Context::from_waker(Waker::noop()));
    for room in rooms.iter().cycle() {
        let mut buffer = vec![0; room + 3];
        let mut buf = ReadBuf::new(&mut buffer);
        // Something of the caller's own is in front.
        buf.put_slice(b"own");
        let polled = Pin::new(&mut *watched).poll_read(&mut cx, &mut buf);
        assert_eq!(&buf.filled()[..3], b"own");
        let new = &buf.filled()[3..];
        passed.extend_from_slice(new);
        match polled {
            Poll::Ready(Err(error)) => return (passed, Err(error)),
            Poll::Ready(Ok(())) if new.is_empty() && *room > 0 => return (passed, Ok(())),
            Poll::Ready(Ok(())) => {}
            Poll::Pending => assert!(new.is_empty()),
        }
    }
    (passed, Ok(()))
}

fn packet(length: u8, number: u8, first: u8) -> Vec<u8> {
    let mut bytes = vec![length, 0, 0, number];
    bytes.extend(std::iter::repeat_n(first, usize::from(length)));
    bytes
}

fn packets() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![6 => Just(0), 2 => 0..4_u8, 1 => any::<u8>()];
    let first = prop_oneof![1 => Just(0x11), 4 => Just(3), 1 => Just(0x12), 1 => any::<u8>()];
    let packet =
        (0..9_u8, number, first).prop_map(|(length, number, first)| packet(length, number, first));
    vec(packet, 0..30).prop_map(|packets| packets.concat())
}

proptest! {
    #[test]
    fn what_passes_depends_on_neither_pieces_nor_room(
        whole in packets(),
        early in 0..60_usize,
        sizes in vec(0..12_usize, 0..60),
        rooms in vec(prop_oneof![4 => 0..8_usize, 1 => 8..200_usize], 1..12),
        in_doubt in prop_oneof![Just(InDoubt::Stop), Just(InDoubt::Pass)],
        fails: bool,
    ) {
        prop_assume!(rooms.iter().any(|room| *room > 0));
        let (early, rest) = whole.split_at(early.min(whole.len()));
        let mut stream = Pieces { rest: rest.to_vec(), sizes: sizes.into(), fails };
        let commands = Commands::new(in_doubt, true);
        let expected = commands.clone().look(&whole);
        let mut watched = Watched::new(&mut stream, Some(commands), early.to_vec());
        let (passed, end) = passed(&mut watched, &rooms);
        match watched.stopped() {
            None => {
                prop_assert!(whole.starts_with(&passed));
                prop_assert_eq!(end.is_err(), fails);
                // Where the stream fails, the header that was held back goes with it, and nothing is behind it.
                let least = if fails { 0 } else { whole.len() };
                prop_assert!(passed.len() >= least);
                if passed.len() > expected.pass {
                    prop_assert!(expected.stop.is_none());
                }
            }
            Some(Stopped::OutOfStep(number, _)) => {
                prop_assert_eq!(expected.stop, Some(Stop::OutOfStep(number)));
                prop_assert_eq!(passed.len(), expected.pass);
            }
            Some(Stopped::ChangeOfUser(command, _)) => {
                prop_assert_eq!(expected.stop, Some(Stop::ChangeOfUser));
                prop_assert_eq!(&passed[..], &whole[..expected.pass]);
                prop_assert!(whole[expected.pass..].starts_with(&command));
                prop_assert!(command.len() >= START);
            }
        }
    }
}

/// The buffer of the copy loop.
const BUFFER: usize = 128 * 1024;

#[tokio::test]
async fn a_change_of_user_across_any_edge_of_the_copy_buffer_is_found() {
    let (limits, cancel) = (Limits::default(), CancellationToken::new());
    for edge in [1, 2] {
        for offset in 0..=CHANGE_USER.len() {
            let before = edge * BUFFER - offset;
            // Pings, and a query in front that makes their number come out even.
            let pad = u8::try_from(before % PING.len() + 5).unwrap();
            let mut said = [
                &[pad - 4, 0, 0, 0, 3][..],
                &vec![b'x'; usize::from(pad) - 5],
            ]
            .concat();
            while said.len() < before {
                said.extend_from_slice(PING);
            }
            assert_eq!(said.len(), before);
            said.extend_from_slice(CHANGE_USER);
            said.extend_from_slice(QUERY);
            for early in [0, 5, said.len()] {
                let (early, rest) = said.split_at(early);
                let mut stream = tokio::io::join(rest, tokio::io::sink());
                let mut app = Watched::new(&mut stream, strict(), early.to_vec());
                let (mut database, mut far) = duplex(2 * said.len());
                let copied = copy(&mut app, &mut database, Inputs::default(), &limits, &cancel);
                let ended = copied.await;
                assert_eq!(ended.up, before as u64, "{offset} before edge {edge}");
                let command = command(&mut app).unwrap();
                assert!(command.len() >= START && said[before..].starts_with(&command));
                drop(database);
                let mut heard = Vec::new();
                far.read_to_end(&mut heard).await.unwrap();
                assert!(heard == said[..before]);
            }
        }
    }
}

#[tokio::test]
async fn what_is_written_goes_through_as_it_is() {
    let (mut app, mut agent) = duplex(64);
    let mut watched = Watched::new(&mut agent, strict(), Vec::new());
    assert!(watched.is_write_vectored());
    let slices = [io::IoSlice::new(b"one "), io::IoSlice::new(b"two ")];
    assert_eq!(watched.write_vectored(&slices).await.unwrap(), 8);
    watched.write_all(b"three").await.unwrap();
    watched.flush().await.unwrap();
    watched.shutdown().await.unwrap();
    let mut heard = Vec::new();
    app.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"one two three");
}
