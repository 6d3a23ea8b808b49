//! Saying no so that the application sees why: in its own protocol, and without a reset that would lose it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proto::machine::{Inputs, Machine as _};
use proto::postgres::Opening;
use proto::{Code, Engine, Refusal};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use tracing::debug;

/// Longest time that a refusal may take.
const TELL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the application may take to read it and close.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// Most bytes that are read and thrown away meanwhile.
const MAX_DRAIN: u64 = 64 * 1024;
/// The same refusal is logged again after this time.
const REPEAT_AFTER: Duration = Duration::from_secs(60);
/// Kinds of refusals that are remembered; beyond, they are told each time.
const MAX_KINDS: usize = 32;

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
    let deadline = Instant::now() + DRAIN_TIMEOUT;
    let mut nobody = tokio::io::empty();
    let outcome = transport::handshake::drive(&mut opening, app, &mut nobody, deadline).await;
    match outcome.map(|((), rest): ((), Inputs)| rest) {
        Ok(_) => {}
        Err(error) => debug!(%error, "the application's opening was not followed to its end"),
    }
    Ok(farewell)
}

/// Refusals that come again and again are logged once a minute, however they take turns.
#[derive(Default)]
pub(super) struct Repeats(Mutex<HashMap<Kind, Told>>);

/// What makes two refusals the same: all but the numbers in their reasons, which may be times, ports or amounts.
type Kind = (Code, String);

struct Told {
    at: Instant,
    repeated: u64,
}

impl Repeats {
    /// How many times it was kept quiet since it was last told; `None` to keep it quiet this time too.
    pub(super) fn is_worth_telling(&self, refusal: &Refusal) -> Option<u64> {
        self.note(refusal, Some(0))
    }

    /// The same of what somebody else has told the first time.
    pub(super) fn is_worth_telling_again(&self, refusal: &Refusal) -> Option<u64> {
        self.note(refusal, None)
    }

    fn note(&self, refusal: &Refusal, first: Option<u64>) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |told: &Told| told.at.elapsed() < REPEAT_AFTER;
        let now = Instant::now();
        let kind = kind(refusal);
        if let Some(told) = kinds.get_mut(&kind) {
            if is_recent(told) {
                told.repeated = told.repeated.saturating_add(1);
                return None;
            }
            let repeated = std::mem::take(&mut told.repeated);
            told.at = now;
            return Some(repeated);
        }
        if kinds.len() >= MAX_KINDS {
            kinds.retain(|_, told| is_recent(told));
        }
        if kinds.len() < MAX_KINDS {
            let repeated = u64::from(first.is_none());
            kinds.insert(kind, Told { at: now, repeated });
        }
        first
    }
}

fn kind(refusal: &Refusal) -> Kind {
    let mut reason = refusal.reason.clone();
    reason.retain(|letter| !letter.is_ascii_digit());
    (refusal.code, reason)
}

#[cfg(test)]
mod tests;
