//! The one driver of `proto`'s machines: it reads what they want, writes what they send, and keeps the time.

mod budget;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use proto::machine::{Face, Inputs, Machine, Step, Violation};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use zeroize::Zeroizing;

pub use crate::error::HandshakeError;
pub use budget::Budget;

/// Most bytes of one read: opening exchanges are small.
const CHUNK: usize = 4096;

/// Drives a machine to its end between an application and a database.
///
/// Only wanted faces are read, and never further than the machine's `max_input`. What was read and not taken is
/// returned with the outcome: it belongs to what follows. Each face has a time of its own, which runs while the exchange
/// waits for it.
///
/// # Errors
/// [`HandshakeError`]; the machine can then still say farewell.
pub async fn drive<M, A, D>(
    machine: &mut M,
    app: &mut A,
    db: &mut D,
    budget: &mut Budget,
) -> Result<(M::Outcome, Inputs), HandshakeError>
where
    M: Machine,
    A: AsyncRead + AsyncWrite + Unpin,
    D: AsyncRead + AsyncWrite + Unpin,
{
    drive_from(Inputs::default(), machine, app, db, budget).await
}

/// [`drive`], beginning with bytes that an earlier exchange has left.
///
/// # Errors
/// As [`drive`].
pub async fn drive_from<M, A, D>(
    mut inputs: Inputs,
    machine: &mut M,
    app: &mut A,
    db: &mut D,
    budget: &mut Budget,
) -> Result<(M::Outcome, Inputs), HandshakeError>
where
    M: Machine,
    A: AsyncRead + AsyncWrite + Unpin,
    D: AsyncRead + AsyncWrite + Unpin,
{
    // Where both may speak, it is the turn of the one that was spoken to last.
    let mut turn = Face::Application;
    loop {
        match machine.step(&mut inputs)? {
            Step::Done(outcome) => return Ok((outcome, inputs)),
            Step::Send(face, bytes) => {
                let sent = async {
                    match face {
                        Face::Application => send(app, bytes, face).await,
                        Face::Database => send(db, bytes, face).await,
                    }
                };
                budget.within(face, sent).await??;
                turn = face;
            }
            Step::NeedInput => {
                let face = match (machine.wants(turn), machine.wants(turn.other())) {
                    (false, true) => turn.other(),
                    _ => turn,
                };
                let read = read(machine, &mut inputs, app, db);
                budget.within(face, read).await??;
            }
        }
    }
}

/// Writes and wipes: it may have been a password.
async fn send<W>(writer: &mut W, bytes: Vec<u8>, face: Face) -> Result<(), HandshakeError>
where
    W: AsyncWrite + Unpin,
{
    let bytes = Zeroizing::new(bytes);
    let sent = async {
        writer.write_all(&bytes).await?;
        writer.flush().await
    };
    sent.await.map_err(|error| HandshakeError::Io(face, error))
}

/// Reads once from whichever wanted face has bytes first.
async fn read<M, A, D>(
    machine: &M,
    inputs: &mut Inputs,
    app: &mut A,
    db: &mut D,
) -> Result<(), HandshakeError>
where
    M: Machine,
    A: AsyncRead + Unpin,
    D: AsyncRead + Unpin,
{
    let wants = |face| machine.wants(face);
    if !wants(Face::Application) && !wants(Face::Database) {
        return Err(Violation("the exchange waits for nobody").into());
    }
    let max = machine.max_input();
    poll_fn(|cx| {
        if wants(Face::Application) {
            let read = fill(app, &mut inputs.application, max, Face::Application, cx);
            if read.is_ready() {
                return read;
            }
        }
        if wants(Face::Database) {
            return fill(db, &mut inputs.database, max, Face::Database, cx);
        }
        Poll::Pending
    })
    .await
}

fn fill<R: AsyncRead + Unpin>(
    reader: &mut R,
    input: &mut Vec<u8>,
    max: usize,
    face: Face,
    cx: &mut Context<'_>,
) -> Poll<Result<(), HandshakeError>> {
    let before = input.len();
    let room = max.saturating_sub(before).min(CHUNK);
    if room == 0 {
        let violation = Violation("a message is longer than the opening exchange allows");
        return Poll::Ready(Err(violation.into()));
    }
    // Straight into the input, which the machines wipe as they take from it: no copy of a password stays behind.
    input.resize(before.saturating_add(room), 0);
    let mut buf = ReadBuf::new(input.get_mut(before..).unwrap_or_default());
    let polled = Pin::new(reader).poll_read(cx, &mut buf);
    let read = buf.filled().len();
    input.truncate(before.saturating_add(read));
    match polled {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Ok(())) if read == 0 => Poll::Ready(Err(HandshakeError::Closed(face))),
        Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Poll::Ready(Err(HandshakeError::Closed(face)))
        }
        Poll::Ready(Err(error)) => Poll::Ready(Err(HandshakeError::Io(face, error))),
    }
}

#[cfg(test)]
mod tests;
