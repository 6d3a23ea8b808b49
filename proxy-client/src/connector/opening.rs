//! The first words in the tunnel: our frame and its answer, or the database's own in Google's dialect.

use proto::Engine;
use proto::frame::{self, Answer, Hello};
use proto::machine::Inputs;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};
use transport::tls::{Alert, Dialect};

use crate::error::SessionError;

/// Bytes of one read: a greeting or an answer fits many times.
const READ: usize = 4096;

/// What the other side has said.
#[derive(Debug)]
pub(super) struct Opened {
    /// The database's first words, if it has said any.
    pub(super) rest: Inputs,
    /// For how many seconds the agent waits for the frame of a tunnel that is kept ready.
    pub(super) patience: Option<u32>,
}

/// Runs the opening. What the database has said already is handed on.
///
/// In TLS 1.3 the agent judges our certificate after the handshake is over for us, so a refusal shows only at the
/// first read. A MySQL server speaks first: waiting for it turns a refusal into an error instead of a closed socket.
pub(super) async fn run<S>(
    stream: &mut S,
    dialect: Dialect,
    engine: Engine,
    hello: &Hello,
    deadline: Instant,
) -> Result<Opened, SessionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let words = async {
        match (dialect, engine) {
            (Dialect::Framed, _) => framed(stream, hello).await,
            (Dialect::Bare, Engine::Mysql) => {
                let mut greeting = Vec::new();
                read(stream, &mut greeting).await?;
                Ok((greeting, None))
            }
            // The application speaks first: nothing to wait for.
            (Dialect::Bare, Engine::Postgres | Engine::Tcp) => Ok((Vec::new(), None)),
        }
    };
    let (database, patience) = timeout_at(deadline, words)
        .await
        .map_err(|_| SessionError::Deadline)??;
    Ok(Opened {
        rest: Inputs {
            application: Vec::new(),
            database,
        },
        patience,
    })
}

async fn framed<S>(stream: &mut S, hello: &Hello) -> Result<(Vec<u8>, Option<u32>), SessionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let bytes = frame::encode(hello)?;
    let written = async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    // A refused certificate may end the stream before our frame is out; the alert is still there to read.
    let written = written.await;
    let mut input = Vec::new();
    loop {
        match frame::decode(&mut input)? {
            Some(Answer::Ok { patience, .. }) => return Ok((input, patience)),
            Some(Answer::Refused(refusal)) => return Err(SessionError::Refused(refusal)),
            None => match (read(stream, &mut input).await, &written) {
                (Err(SessionError::Closed(None)), Err(error)) => {
                    return Err(ended(std::io::Error::from(error.kind())));
                }
                (read, _) => read?,
            },
        }
    }
}

async fn read<S>(stream: &mut S, input: &mut Vec<u8>) -> Result<(), SessionError>
where
    S: AsyncRead + Unpin,
{
    input.reserve(READ);
    match stream.read_buf(input).await {
        Ok(0) => Err(SessionError::Closed(None)),
        Ok(_) => Ok(()),
        Err(error) => Err(ended(error)),
    }
}

fn ended(error: std::io::Error) -> SessionError {
    match Alert::of(&error) {
        Some(alert) => SessionError::Alert(alert),
        None => SessionError::Closed(Some(error)),
    }
}

#[cfg(test)]
mod tests;
