//! Proxies on the way out, chosen as `ALL_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say: SOCKS5 and HTTP CONNECT.

mod exempt;
mod open;

use std::fmt;
use std::str::FromStr;

use reqwest::Url;
use tokio::net::TcpStream;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::dial::{STAGGER, dial_named, resolve};
use super::{Names, TcpOptions, dial_tcp, first};
use crate::deadline::before;
use crate::error::{DialCause, DialError};
pub use exempt::Exempt;

/// Why such a proxy is refused for tunnels.
const TLS_TO_A_PROXY: &str =
    "https:// proxies are for HTTPS_PROXY alone: expected socks5://, socks5h:// or http://";

/// Which way out is taken to whom. Without any proxy: the direct one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For everything (`ALL_PROXY`).
    pub all: Option<Proxy>,
    /// For HTTPS, before the one for everything (`HTTPS_PROXY`).
    pub https: Option<Proxy>,
    /// Who is reached directly (`NO_PROXY`), beside this machine itself.
    pub exempt: Exempt,
}

impl Proxies {
    /// What the environment's variables say, whose names are capitals or small letters.
    ///
    /// # Errors
    /// Each variable that says something wrong, with the problem, in which no password is told.
    pub fn read<'a>(
        variable: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Self, Vec<(&'static str, String)>> {
        let mut wrong = Vec::new();
        let get = |name: &str| variable(name).or_else(|| variable(&name.to_ascii_lowercase()));
        let mut proxy = |name: &'static str| {
            let parsed = get(name)?.parse::<Proxy>();
            parsed.map_err(|problem| wrong.push((name, problem))).ok()
        };
        let (all, https) = (proxy("ALL_PROXY"), proxy("HTTPS_PROXY"));
        if all.as_ref().is_some_and(|all| all.scheme == Scheme::Https) {
            wrong.push(("ALL_PROXY", TLS_TO_A_PROXY.to_owned()));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        // Without a proxy the list is for other programs.
        let list = get("NO_PROXY").filter(|_| all.is_some() || https.is_some());
        let exempt = Exempt::parse(list.unwrap_or_default());
        let exempt = exempt.map_err(|problem| vec![("NO_PROXY", problem)])?;
        Ok(Self { all, https, exempt })
    }

    /// The proxy on the way to an agent.
    pub fn of_tunnel(&self, host: &str, port: u16) -> Option<&Proxy> {
        self.all
            .as_ref()
            .filter(|_| !self.exempt.covers(host, port))
    }

    /// The proxy on the way to the CA.
    pub(crate) fn of_https(&self, url: &Url) -> Option<&Proxy> {
        let proxy = self.https.as_ref().or(self.all.as_ref());
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        proxy.filter(|_| !self.exempt.covers(host, port))
    }

    /// Whether there is one at all.
    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_none() && self.https.is_none()
    }
}

/// One proxy. Its user and password are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    scheme: Scheme,
    url: Url,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    /// SOCKS5, names resolved here.
    Socks5,
    /// SOCKS5, names resolved by the proxy.
    Socks5h,
    /// HTTP CONNECT.
    Http,
    /// HTTP CONNECT within TLS: on the way to the CA alone.
    Https,
}

/// A user and a password, as the proxy is told them.
struct Login {
    user: Zeroizing<String>,
    password: Zeroizing<String>,
}

impl Proxy {
    /// With the password: for the HTTP client alone.
    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    fn port(&self) -> u16 {
        let default = match self.scheme {
            Scheme::Socks5 | Scheme::Socks5h => 1080,
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        self.url.port().unwrap_or(default)
    }

    fn login(&self) -> Option<Login> {
        let password = self.url.password().unwrap_or_default();
        let is_given = !self.url.username().is_empty() || !password.is_empty();
        is_given.then(|| Login {
            user: decoded(self.url.username()),
            password: decoded(password),
        })
    }
}

impl FromStr for Proxy {
    type Err = String;

    /// A URL; without a scheme, HTTP. What is wrong is told without the text: there may be a password in it.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = Zeroizing::new(if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        });
        let url = Url::parse(&text).map_err(|error| format!("is no proxy's URL: {error}"))?;
        let scheme = match url.scheme() {
            "socks5" => Scheme::Socks5,
            "socks5h" => Scheme::Socks5h,
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => {
                return Err(format!(
                    "names a proxy of kind {other}: expected socks5://, socks5h:// or http://"
                ));
            }
        };
        let proxy = Self { scheme, url };
        if proxy.host().is_empty() {
            return Err("names no proxy's host".to_owned());
        }
        let is_long = |login: Login| login.user.len().max(login.password.len()) > 255;
        if proxy.login().is_some_and(is_long) {
            return Err("has a user or a password beyond 255 bytes".to_owned());
        }
        Ok(proxy)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = (self.url.scheme(), self.host(), self.port());
        write!(f, "{scheme}://{host}:{port}")
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Undoes percent encoding; a percent sign without digits stands for itself.
fn decoded(text: &str) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = after
            .get(..2)
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(digits.unwrap_or(b'%'));
        rest = digits.and_then(|_| after.get(2..)).unwrap_or(after);
    }
    bytes.extend_from_slice(rest.as_bytes());
    Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())
}

/// The failure of a way through a proxy.
struct Said {
    said: String,
    /// The cause, where the proxy itself could not be dialled.
    cause: Option<DialCause>,
}

impl Said {
    fn of(error: &DialError) -> Self {
        Self {
            said: crate::error::chain(error),
            cause: error.cause(),
        }
    }
}

impl From<String> for Said {
    fn from(said: String) -> Self {
        Self { said, cause: None }
    }
}

/// Connects to a host, through a proxy where one stands on the way. Where names are resolved here, all addresses of the
/// host are asked for, each with a head start over the next.
///
/// # Errors
/// [`DialError`] names the host and each address with its answer, or the proxy and what it said.
pub async fn dial_through(
    (proxies, names): (&Proxies, &Names),
    host: &str,
    port: u16,
    options: &TcpOptions,
    deadline: Instant,
) -> Result<TcpStream, DialError> {
    let Some(proxy) = proxies.of_tunnel(host, port) else {
        return dial_named(names, host, port, options, deadline).await;
    };
    let failed = |Said { said, cause }| DialError::Proxy {
        proxy: proxy.to_string(),
        target: super::dial::target(host, port),
        said,
        cause,
    };
    let hosts = match proxy.scheme {
        Scheme::Socks5 => {
            let found = before(deadline, resolve(names, host, port)).await;
            let found =
                found.ok_or_else(|| failed(format!("{host} did not resolve in time").into()))?;
            let found = found.map_err(|error| failed(Said::of(&error)))?;
            found.iter().map(|addr| addr.ip().to_string()).collect()
        }
        Scheme::Socks5h | Scheme::Http | Scheme::Https => vec![host.to_owned()],
    };
    let attempts = hosts.iter().map(|host| {
        let (proxy, host, options) = (proxy.clone(), host.clone(), *options);
        async move { attempt(&proxy, &host, port, &options, deadline).await }
    });
    match first(attempts.collect(), STAGGER).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(said)) => Err(failed(said)),
        Err(said) => Err(failed(said.join("; ").into())),
    }
}

/// One way through the proxy. What it says of the host is the outer error; what is the proxy's own trouble is the same
/// for every host, and ends the attempts: it is the inner one.
async fn attempt(
    proxy: &Proxy,
    host: &str,
    port: u16,
    options: &TcpOptions,
    deadline: Instant,
) -> Result<Result<TcpStream, Said>, String> {
    let dialled = dial_tcp(proxy.host(), proxy.port(), options, deadline).await;
    let mut stream = match dialled {
        Ok(stream) => stream,
        Err(error) => return Ok(Err(Said::of(&error))),
    };
    let opened = before(deadline, open::run(&mut stream, proxy, host, port)).await;
    match opened {
        Some(Ok(())) => Ok(Ok(stream)),
        Some(Err(open::Refused::Host(said))) => Err(said),
        Some(Err(open::Refused::Proxy(said))) => Ok(Err(said.into())),
        None => Ok(Err("it did not answer in time".to_owned().into())),
    }
}

#[cfg(test)]
mod tests;
