//! Saying no so that the application sees why: in its own protocol, and without a reset that would lose it.

use std::time::Duration;

use daemon::log::LogThrottle;
use proto::machine::{Inputs, Machine as _};
use proto::postgres::Opening;
use proto::{Code, Engine, Refusal};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tracing::debug;
use transport::handshake::Budget;

/// Longest time that a refusal may take.
const TELL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the application may take to read it and close.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// Most bytes that are read and thrown away meanwhile.
const MAX_DRAIN: u64 = 64 * 1024;

/// Tells an application no and closes its connection.
pub(super) async fn tell<S>(app: &mut S, refusal: &Refusal, engine: Engine)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let told = timeout(TELL_TIMEOUT, async {
        let bytes = match engine {
            Engine::Mysql | Engine::Tcp => refusal.greeting(engine),
            Engine::Postgres => postgres(app, refusal).await?,
        };
        app.write_all(&bytes).await?;
        app.shutdown().await?;
        // A connection that is closed with bytes unread is reset, and a reset can overtake what we said.
        let (mut rest, mut nowhere) = (app.take(MAX_DRAIN), tokio::io::sink());
        let drained = tokio::io::copy(&mut rest, &mut nowhere);
        match timeout(DRAIN_TIMEOUT, drained).await {
            Ok(drained) => drained.map(|_| ()),
            Err(_) => Ok(()),
        }
    });
    match told.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "the application left before it was told"),
        Err(_) => debug!("the application did not listen"),
    }
}

/// PostgreSQL's clients speak first, and one that asked for encryption takes an error for an answer to that.
async fn postgres<S>(app: &mut S, refusal: &Refusal) -> std::io::Result<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut opening = Opening::default();
    let farewell = opening.farewell(refusal);
    let mut time = Budget::of_each(DRAIN_TIMEOUT);
    let mut nobody = tokio::io::empty();
    let outcome = transport::handshake::drive(&mut opening, app, &mut nobody, &mut time).await;
    match outcome.map(|((), rest): ((), Inputs)| rest) {
        Ok(_) => {}
        Err(error) => debug!(%error, "the application's opening was not followed to its end"),
    }
    Ok(farewell)
}

/// Which refusals have been logged of late.
#[derive(Default)]
pub(super) struct Repeats(LogThrottle<Kind>);

/// All that tells two refusals apart: the numbers in their reasons do not, for they may be times, ports or amounts.
type Kind = (Code, String);

impl Repeats {
    /// Number of times it was suppressed since it was last logged; `None` to suppress it this time too.
    pub(super) fn is_worth_telling(&self, refusal: &Refusal) -> Option<u64> {
        self.0.due(kind(refusal))
    }

    /// The same of a refusal that was logged elsewhere the first time.
    pub(super) fn is_worth_telling_again(&self, refusal: &Refusal) -> Option<u64> {
        self.0.due_again(kind(refusal))
    }
}

fn kind(refusal: &Refusal) -> Kind {
    let mut reason = refusal.reason.clone();
    reason.retain(|letter| !letter.is_ascii_digit());
    (refusal.code, reason)
}

#[cfg(test)]
mod tests;
