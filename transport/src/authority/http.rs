//! The only HTTP client: bounded answers, deadlines, the `Date` of each, and errors with a meaning.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, Url};

use super::error::{AuthorityError, Failure};
use super::https;
use super::skew::SkewMeter;
use crate::error::DialCause;
use crate::socket::Proxies;

/// Longest wait for a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an answer.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer, where its call does not say otherwise.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// Google's header for the project that pays.
const QUOTA_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

/// What the client is made of.
pub(super) struct HttpSettings<'a> {
    pub(super) endpoint: &'a str,
    /// Where tokens come from, if not from there.
    pub(super) token_uri: Option<&'a str>,
    pub(super) root_pem: Option<&'a str>,
    pub(super) user_agent: String,
    pub(super) quota_project: Option<String>,
    pub(super) proxies: Proxies,
    pub(super) skew: Arc<SkewMeter>,
}

/// The client. Cheap to clone.
#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    direct: Client,
    proxies: Arc<Proxies>,
    skew: Arc<SkewMeter>,
}

/// An answer of any status, read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl Http {
    pub(super) fn new(settings: HttpSettings<'_>) -> Result<Self, AuthorityError> {
        let endpoint = settings.endpoint;
        let wrong = |problem: String| AuthorityError {
            endpoint: endpoint.to_owned(),
            failure: Failure::Settings(problem),
            skew: None,
        };
        checked(endpoint).map_err(wrong)?;
        if let Some(token_uri) = settings.token_uri {
            checked(token_uri).map_err(wrong)?;
        }
        crate::tls::install_provider();
        let no_client = |_| {
            wrong(
                "the HTTPS client cannot be set up: give the CA's root with --ca-certificate, \
                 or install the package ca-certificates"
                    .to_owned(),
            )
        };
        let direct = plain_builder(&settings.user_agent)
            .no_proxy()
            .tls_certs_only([])
            .build()
            .map_err(no_client)?;
        let proxies = Arc::new(settings.proxies);
        let mut builder = through(plain_builder(&settings.user_agent), &proxies)
            .default_headers(headers(settings.quota_project).map_err(wrong)?);
        if let Some(pem) = settings.root_pem {
            let roots = Certificate::from_pem_bundle(pem.as_bytes())
                .ok()
                .filter(|roots| !roots.is_empty())
                .ok_or_else(|| wrong("the CA's root certificate is not PEM".to_owned()))?;
            builder = builder.tls_certs_only(roots);
        }
        let client = builder.build().map_err(no_client)?;
        let skew = settings.skew;
        Ok(Self {
            client,
            direct,
            proxies,
            skew,
        })
    }

    pub(super) fn get(&self, url: &str) -> RequestBuilder {
        self.client.get(url)
    }

    pub(super) fn post(&self, url: &str) -> RequestBuilder {
        self.client.post(url)
    }

    /// Sends what `request` makes. Made and sent once more when the connection turns out to be a dead one from before.
    pub(super) async fn send(
        &self,
        url: &str,
        max_body: usize,
        request: impl Fn() -> Result<RequestBuilder, AuthorityError>,
    ) -> Result<Answer, AuthorityError> {
        match self.attempt(request()?, max_body).await {
            Err(error) if is_stale(&error) => self.attempt(request()?, max_body).await,
            done => done,
        }
        .map_err(|error| self.error(url, self.on_the_way(url, &error)))
    }

    /// What failed; where a proxy stands on the way and no connection came about, which one.
    fn on_the_way(&self, url: &str, trouble: &Trouble) -> Failure {
        let url = Url::parse(url).ok();
        let proxy = url.as_ref().and_then(|url| self.proxies.of_https(url));
        match (proxy, trouble) {
            (Some(proxy), Trouble::Request(error)) if error.is_connect() => {
                https::through_proxy(failure(trouble), proxy, error)
            }
            _ => failure(trouble),
        }
    }

    /// Sends without a proxy and whatever the scheme: to the metadata server, which is on this machine's own link.
    pub(super) async fn send_direct(
        &self,
        url: &str,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Answer, AuthorityError> {
        let answer = self.attempt(request(&self.direct), MAX_BODY).await;
        answer.map_err(|error| self.error(url, failure(&error)))
    }

    async fn attempt(&self, request: RequestBuilder, max_body: usize) -> Result<Answer, Trouble> {
        let begun = self.skew.begin();
        let response = request.send().await.map_err(Trouble::Request)?;
        self.measure(begun, &response);
        let status = response.status();
        let body = read(response, max_body).await?;
        Ok(Answer { status, body })
    }

    fn measure(&self, begun: (SystemTime, Instant), response: &Response) {
        let date = response.headers().get(DATE);
        if let Some(date) = date.and_then(|date| date.to_str().ok()) {
            self.skew.answered(begun, date);
        }
    }

    /// An error about this URL, with what we know about the clocks.
    pub(super) fn error(&self, url: &str, failure: Failure) -> AuthorityError {
        AuthorityError {
            endpoint: origin(url),
            failure,
            skew: self.skew.skew(),
        }
    }
}

fn plain_builder(user_agent: &str) -> reqwest::ClientBuilder {
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(user_agent)
        .dns_resolver(Resolver)
}

/// The one decision about proxies, and never the HTTP client's own.
fn through(builder: reqwest::ClientBuilder, proxies: &Arc<Proxies>) -> reqwest::ClientBuilder {
    let builder = builder.no_proxy();
    if proxies.is_empty() {
        return builder;
    }
    let proxies = Arc::clone(proxies);
    builder.proxy(reqwest::Proxy::custom(move |url| {
        let proxy = proxies.of_https(url);
        proxy.map(|proxy| proxy.url().clone())
    }))
}

/// An attempt gave no answer.
#[derive(Debug)]
enum Trouble {
    Request(reqwest::Error),
    TooLong(usize),
}

async fn read(mut response: Response, max_body: usize) -> Result<Vec<u8>, Trouble> {
    let announced = response.content_length().map(usize::try_from);
    if announced.is_some_and(|length| length.is_ok_and(|length| length > max_body)) {
        return Err(Trouble::TooLong(max_body));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Trouble::Request)? {
        if body.len() + chunk.len() > max_body {
            return Err(Trouble::TooLong(max_body));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A kept connection whose other end went away fails after the connect and before the deadline.
fn is_stale(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Request(error) => error.is_request() && !error.is_connect() && !error.is_timeout(),
        Trouble::TooLong(_) => false,
    }
}

fn failure(trouble: &Trouble) -> Failure {
    let error = match trouble {
        Trouble::Request(error) => error,
        Trouble::TooLong(most) => {
            return Failure::Malformed(format!("longer than {most} bytes"));
        }
    };
    if let Some(failure) = https::certificate_problem(error) {
        return failure;
    }
    if https::find::<NameNotResolved>(error).is_some() {
        return Failure::NameNotResolved;
    }
    if error.is_timeout() {
        return Failure::Timeout;
    }
    match https::find::<std::io::Error>(error) {
        Some(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => Failure::Refused,
        Some(io) if io.kind() == std::io::ErrorKind::TimedOut => Failure::Timeout,
        Some(io) => match DialCause::of_any(io) {
            cause if cause.is_ours() => Failure::NotDialled(io.to_string(), cause),
            _ => Failure::Broken(io.to_string()),
        },
        None => Failure::Broken("it ended before the answer".to_owned()),
    }
}

/// Tokens do not travel in clear, except within the machine.
fn checked(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text} is no URL: {error}"))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(format!("{url} must be https: tokens travel there")),
        scheme => Err(format!("{url} has scheme {scheme}; expected https")),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn headers(quota_project: Option<String>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    if let Some(project) = quota_project {
        let value = HeaderValue::from_str(&project)
            .map_err(|_| "the quota project is no project".to_owned())?;
        headers.insert(QUOTA_PROJECT, value);
    }
    Ok(headers)
}

/// Scheme, host and port; nothing that could be a secret.
fn origin(url: &str) -> String {
    Url::parse(url).map_or_else(
        |_| "the CA's endpoint".to_owned(),
        |url| url.origin().ascii_serialization(),
    )
}

/// Resolves as the system does, and says so when it cannot.
struct Resolver;

/// The system knows no address for a name.
#[derive(Debug, thiserror::Error)]
#[error("the host name cannot be resolved")]
struct NameNotResolved(#[source] std::io::Error);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0))
                .await
                .map_err(NameNotResolved)?;
            let found: Vec<SocketAddr> = found.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
