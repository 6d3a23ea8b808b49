//! The opening frame of our own dialect: read before the database is dialled, answered after.

use proto::frame::{self, Answer, Hello};
use proto::machine::Violation;
use proto::{Code, Refusal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// Why there is no opening frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PreambleError {
    #[error("no opening frame within the deadline")]
    Deadline,
    #[error("the peer closed before its opening frame was complete")]
    Closed,
    #[error("the opening frame cannot be read")]
    Io(#[source] std::io::Error),
    #[error("the opening frame is wrong")]
    Violation(#[from] Violation),
}

impl PreambleError {
    /// What the peer is told; nothing when it has gone or never spoke our dialect.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let (code, reason) = match self {
            Self::Closed | Self::Io(_) => return None,
            Self::Deadline => (Code::Deadline, "no opening frame arrived in time"),
            Self::Violation(violation) => (Code::Protocol, violation.0),
        };
        Some(Refusal::new(
            code,
            reason,
            "use a client of the same release as the agent",
        ))
    }
}

/// Reads the frame and not a byte more: what follows belongs to the database. `first` was read before.
pub(crate) async fn read<S>(
    stream: &mut S,
    first: Option<u8>,
    deadline: Instant,
) -> Result<Hello, PreambleError>
where
    S: AsyncRead + Unpin,
{
    let mut input = Vec::with_capacity(1024);
    input.extend(first);
    loop {
        if let Some(hello) = frame::decode(&mut input)? {
            return Ok(hello);
        }
        let mut missing = stream.take(missing(&input));
        let read = timeout_at(deadline, missing.read_buf(&mut input))
            .await
            .map_err(|_| PreambleError::Deadline)?
            .map_err(PreambleError::Io)?;
        if read == 0 {
            return Err(PreambleError::Closed);
        }
    }
}

/// How many bytes the frame needs still; its announced length has been checked by [`frame::decode`].
fn missing(input: &[u8]) -> u64 {
    const HEADER: usize = 4;
    let length = input
        .first_chunk::<HEADER>()
        .map_or(0, |header| u64::from(u32::from_be_bytes(*header)));
    let read = u64::try_from(input.len()).unwrap_or(u64::MAX);
    length.saturating_add(4).saturating_sub(read)
}

/// Writes the answer.
pub(crate) async fn answer<S>(
    stream: &mut S,
    answer: &Answer,
    deadline: Instant,
) -> Result<(), PreambleError>
where
    S: AsyncWrite + Unpin,
{
    let bytes = frame::encode(answer)?;
    let write = async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    timeout_at(deadline, write)
        .await
        .map_err(|_| PreambleError::Deadline)?
        .map_err(PreambleError::Io)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proto::frame::{Transport, VERSION};
    use tokio::io::duplex;

    use super::*;

    fn hello() -> Hello {
        Hello {
            version: VERSION,
            capabilities: vec![],
            session_id: "s".into(),
            instance: "p:r:i".into(),
            transport: Transport::Tcp,
            peer: None,
            uid: None,
            client: String::new(),
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_in_pieces_is_read_and_what_follows_stays_in_the_stream() {
        let (mut client, mut agent) = duplex(3);
        let mut bytes = frame::encode(&hello()).unwrap();
        bytes.extend_from_slice(b"rest");
        let send = async {
            client.write_all(&bytes).await.unwrap();
            drop(client);
        };
        let receive = async {
            let hello = read(&mut agent, None, soon()).await.unwrap();
            let mut rest = Vec::new();
            agent.read_to_end(&mut rest).await.unwrap();
            (hello, rest)
        };
        let ((), (received, rest)) = tokio::join!(send, receive);
        assert_eq!(received, hello());
        assert_eq!(rest, b"rest");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_and_a_dripping_peer_are_cut_at_the_deadline() {
        for drip in [false, true] {
            let (mut client, mut agent) = duplex(64);
            let send = async {
                while drip && client.write_all(&[0]).await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(4)).await;
                }
                std::future::pending::<()>().await;
            };
            let started = Instant::now();
            let error = tokio::select! {
                outcome = read(&mut agent, None, soon()) => outcome.unwrap_err(),
                () = send => panic!("the peer never ends"),
            };
            assert_eq!(
                error.refusal().map(|refusal| refusal.code),
                Some(Code::Deadline)
            );
            assert_eq!(started.elapsed().as_secs(), 10);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_giant_length_and_junk_are_refused_and_a_close_is_nobodys_business() {
        for (bytes, code) in [
            (&[0xFF, 0xFF, 0xFF, 0xFF][..], Some(Code::Protocol)),
            (&[0, 0, 0, 2, b'h', b'i'][..], Some(Code::Protocol)),
            (&[0, 0, 0, 9, b'{'][..], None),
            (&[][..], None),
        ] {
            let (mut client, mut agent) = duplex(64);
            client.write_all(bytes).await.unwrap();
            drop(client);
            let error = read(&mut agent, None, soon()).await.unwrap_err();
            assert_eq!(error.refusal().map(|refusal| refusal.code), code);
        }
    }
}
