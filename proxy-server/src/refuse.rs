//! Saying no so that the peer reads it: in the dialect it speaks, and with a close that does not wipe the words away.

use std::time::Duration;

use proto::frame::{self, Answer};
use proto::{Engine, Refusal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How long the peer may take to read the words and to close.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most bytes of the peer's that are thrown away while it does.
const MAX_DRAINED: u64 = 64 * 1024;

/// The words of a refusal, by what the peer waits for.
pub(crate) enum Words {
    /// Our own client waits for the answer to its frame.
    Framed,
    /// A bare client waits for the database's first bytes.
    Bare(Engine),
}

impl Words {
    /// The bytes.
    pub(crate) fn of(&self, refusal: &Refusal) -> Vec<u8> {
        match self {
            Self::Framed => frame::encode(&Answer::Refused(refusal.clone())).unwrap_or_default(),
            Self::Bare(engine) => refusal.greeting(*engine),
        }
    }
}

/// Writes the last bytes of a connection and closes it.
///
/// A socket closed with unread input sends a reset, and a reset makes the peer's kernel forget what it has not read yet.
/// So: write, end our direction, and read until the peer ends its own, for a short while.
pub(crate) async fn say_and_close<S>(stream: &mut S, words: &[u8])
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let talk = async {
        stream.write_all(words).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(MAX_DRAINED), &mut tokio::io::sink()).await
    };
    match timeout(PATIENCE, talk).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the peer went before the refusal was told"),
        Err(_) => tracing::debug!("the peer did not close after the refusal"),
    }
}

#[cfg(test)]
mod tests {
    use proto::Code;
    use tokio::io::duplex;

    use super::*;

    #[test]
    fn each_dialect_gets_its_own_words() {
        let refusal = Refusal::new(Code::NoGrant, "no", "ask");
        let mut framed = Words::Framed.of(&refusal);
        assert_eq!(
            frame::decode(&mut framed),
            Ok(Some(Answer::Refused(refusal.clone())))
        );
        let mysql = Words::Bare(Engine::Mysql).of(&refusal);
        assert_eq!(mysql[3..7], [0, 0xFF, 0x15, 0x04]);
        assert_eq!(Words::Bare(Engine::Postgres).of(&refusal)[0], b'E');
        assert!(Words::Bare(Engine::Tcp).of(&refusal).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_keeps_talking_reads_the_words_and_does_not_hold_us() {
        let (mut peer, mut agent) = duplex(1 << 20);
        peer.write_all(&[7; 200_000]).await.unwrap();
        say_and_close(&mut agent, b"no").await;
        drop(agent);
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"no");

        let (peer, mut agent) = duplex(64);
        let started = tokio::time::Instant::now();
        say_and_close(&mut agent, b"no").await;
        assert_eq!(started.elapsed(), PATIENCE);
        drop(peer);
    }
}
