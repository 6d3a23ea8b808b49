//! Traces for an OpenTelemetry collector: one a session, told when it has ended, over OTLP/HTTP as JSON.
//!
//! Whoever collects them is never waited for: what does not fit in the queue, or is not taken, is lost and counted.

mod otlp;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, Url};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::Clock;

/// Traces that wait for the collector.
const QUEUE: usize = 4096;
/// Most of one request.
const MOST: usize = 256;
/// How long the first of a request waits for more.
const LINGER: Duration = Duration::from_secs(1);
/// Longest time for what is left at the end.
const LAST: Duration = Duration::from_secs(3);
/// Longest request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// One warning in this time.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// Where collectors take traces.
const PATH: &str = "/v1/traces";

/// What is told of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Its name in the logs of both programs: their traces of it are one.
    pub session: String,
    /// How long ago it began.
    pub age: Duration,
    /// The leg of the other program's in which it was.
    pub within: Option<(&'static str, &'static str)>,
    /// Its legs.
    pub legs: Vec<Leg>,
    /// What else is known of it.
    pub attributes: Vec<(&'static str, String)>,
    /// Why it did not come about.
    pub error: Option<String>,
}

/// One leg of a session's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Its label.
    pub name: &'static str,
    /// How long after the session it began.
    pub after: Duration,
    /// How long it took.
    pub took: Duration,
}

/// Where traces go, and which.
pub struct TraceSettings {
    /// The collector's URL.
    pub endpoint: String,
    /// One session in so many is told of; the same ones by every program.
    pub one_in: NonZeroU32,
    /// Who tells.
    pub program: &'static str,
    /// In which version.
    pub version: &'static str,
    /// The time that is told.
    pub clock: Clock,
}

/// Traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The collector's URL is none.
    #[error("{0}")]
    Endpoint(String),
    /// There is no HTTP client.
    #[error(
        "the HTTPS client for traces cannot be set up: install the package ca-certificates, or name a collector by http://"
    )]
    Client(#[source] reqwest::Error),
}

/// Tells traces. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Traces {
    queue: Sender<Trace>,
    one_in: NonZeroU32,
    lost: Arc<AtomicU64>,
}

/// Where a collector with this URL takes traces.
///
/// # Errors
/// What is wrong with it.
pub fn address(endpoint: &str) -> Result<Url, TracesError> {
    let wrong = |problem: String| TracesError::Endpoint(problem);
    let mut url = Url::parse(endpoint).map_err(|error| wrong(format!("is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        let scheme = url.scheme();
        return Err(wrong(format!(
            "has scheme {scheme}: expected http or https"
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "holds a user or a password: a URL is no place for them".to_owned(),
        ));
    }
    let path = url.path().trim_end_matches('/');
    if !path.ends_with(PATH) {
        let path = format!("{path}{PATH}");
        url.set_path(&path);
    }
    Ok(url)
}

impl Traces {
    /// Sends what it is told, in a task of the tracker's, until `last`: then what is left, and no more.
    ///
    /// # Errors
    /// When it cannot begin.
    pub fn start(
        settings: TraceSettings,
        tasks: &TaskTracker,
        last: CancellationToken,
    ) -> Result<Self, TracesError> {
        let url = address(&settings.endpoint)?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let traces = Self {
            queue,
            one_in: settings.one_in,
            lost: Arc::default(),
        };
        let exporter = Exporter {
            client: client(&url, &settings).map_err(TracesError::Client)?,
            url,
            settings,
            lost: Arc::clone(&traces.lost),
            batch: Vec::new(),
            warned: None,
        };
        tasks.spawn(exporter.run(waiting, last));
        Ok(traces)
    }

    /// Whether this session is told of.
    pub fn is_wanted(&self, session: &str) -> bool {
        otlp::number(session).is_multiple_of(u64::from(self.one_in.get()))
    }

    /// A session has ended.
    pub fn tell(&self, trace: Trace) {
        if self.queue.try_send(trace).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn client(url: &Url, settings: &TraceSettings) -> reqwest::Result<Client> {
    crate::tls::install_provider();
    let builder = Client::builder()
        .no_proxy()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(format!("{}/{}", settings.program, settings.version));
    match url.scheme() {
        // No roots are needed, so none have to be there.
        "http" => builder.tls_certs_only([]).build(),
        _ => builder.build(),
    }
}

/// What brings them to the collector.
struct Exporter {
    client: Client,
    url: Url,
    settings: TraceSettings,
    lost: Arc<AtomicU64>,
    /// Those that are on their way.
    batch: Vec<Trace>,
    /// When it was last said that the collector does not take them; `None` while it does.
    warned: Option<Instant>,
}

impl Exporter {
    async fn run(mut self, mut waiting: Receiver<Trace>, last: CancellationToken) {
        let work = self.work(&mut waiting, LINGER);
        if last.run_until_cancelled(work).await.is_some() {
            return;
        }
        waiting.close();
        let rest = self.work(&mut waiting, Duration::ZERO);
        if tokio::time::timeout(LAST, rest).await.is_err() {
            debug!("the collector is not waited for any longer");
        }
    }

    /// Sends until nobody tells any more. What was taken from the queue is kept until it has been sent.
    async fn work(&mut self, waiting: &mut Receiver<Trace>, linger: Duration) {
        loop {
            if self.batch.is_empty() && waiting.recv_many(&mut self.batch, MOST).await == 0 {
                return;
            }
            if self.batch.len() < MOST {
                tokio::time::sleep(linger).await;
            }
            while self.batch.len() < MOST
                && let Ok(trace) = waiting.try_recv()
            {
                self.batch.push(trace);
            }
            self.send().await;
            self.batch.clear();
        }
    }

    async fn send(&mut self) {
        let (now, batch) = ((self.settings.clock)(), &self.batch);
        let body = otlp::encode(batch, self.settings.program, self.settings.version, now);
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let request = self
            .client
            .post(self.url.clone())
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(body);
        let problem = match request.send().await {
            Ok(answer) if answer.status().is_success() => {
                if self.warned.take().is_some() {
                    info!("traces are taken again");
                }
                return;
            }
            Ok(answer) => format!("it answers {}", answer.status()),
            Err(error) => crate::error::chain(&error.without_url()),
        };
        let lost = self.lost.fetch_add(count, Ordering::Relaxed);
        let lost = lost.saturating_add(count);
        if self.warned.is_none_or(|then| then.elapsed() >= WARN_EVERY) {
            self.warned = Some(Instant::now());
            warn!(collector = %self.url, problem, lost, "traces are not taken");
        }
    }
}

#[cfg(test)]
mod tests;
