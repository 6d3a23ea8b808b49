//! Where a database stands.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use proto::mysql::DatabaseLeg;
use tokio::time::Instant;
use transport::error::DialError;
use transport::socket::{Socket, TcpOptions, dial_tcp, dial_unix};

/// Where a database listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    /// A Unix socket: the preferred leg.
    Unix(PathBuf),
    /// TCP. Bytes travel in the clear, so it is loopback unless the operator insists.
    Tcp {
        /// A host name or an IP address.
        host: String,
        /// The port.
        port: u16,
    },
    /// TCP, and TLS of our own.
    Tls {
        /// A host name or an IP address.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Database {
    /// Whether bytes to it leave this machine in the clear.
    pub(crate) fn is_remote(&self) -> bool {
        match self {
            Self::Unix(_) | Self::Tls { .. } => false,
            Self::Tcp { host, .. } => {
                host != "localhost"
                    && !host
                        .parse::<IpAddr>()
                        .is_ok_and(|address| address.is_loopback())
            }
        }
    }

    /// How it judges the transport.
    pub(crate) const fn leg(&self) -> DatabaseLeg {
        match self {
            Self::Unix(_) => DatabaseLeg::Unix,
            Self::Tcp { .. } => DatabaseLeg::Plain,
            Self::Tls { .. } => DatabaseLeg::Tls,
        }
    }

    /// Connects to it. TLS is the login's business: it begins in the middle of it.
    pub(super) async fn dial(&self, deadline: Instant) -> Result<Socket, DialError> {
        match self {
            Self::Unix(path) => dial_unix(path, deadline).await.map(Socket::Unix),
            Self::Tcp { host, port } | Self::Tls { host, port } => {
                dial_tcp(host, *port, &TcpOptions::default(), deadline)
                    .await
                    .map(Socket::Tcp)
            }
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, host, port) = match self {
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } => ("tcp", host, port),
            Self::Tls { host, port } => ("tls", host, port),
        };
        if host.contains(':') {
            write!(f, "{kind}:[{host}]:{port}")
        } else {
            write!(f, "{kind}:{host}:{port}")
        }
    }
}

/// A text is not the place of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidDatabase {
    #[error("a database is unix:/PATH, tcp:HOST:PORT or tls:HOST:PORT")]
    Shape,
    #[error("a Unix socket needs an absolute path: unix:/PATH")]
    RelativePath,
}

impl FromStr for Database {
    type Err = InvalidDatabase;

    fn from_str(text: &str) -> Result<Self, InvalidDatabase> {
        match text.split_once(':').ok_or(InvalidDatabase::Shape)? {
            ("unix", path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            ("unix", _) => Err(InvalidDatabase::RelativePath),
            ("tcp", address) => tcp(address)
                .map(|(host, port)| Self::Tcp { host, port })
                .ok_or(InvalidDatabase::Shape),
            ("tls", address) => tcp(address)
                .map(|(host, port)| Self::Tls { host, port })
                .ok_or(InvalidDatabase::Shape),
            _ => Err(InvalidDatabase::Shape),
        }
    }
}

fn tcp(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = bracketed.unwrap_or(host);
    if host.is_empty() || host.contains(':') != bracketed.is_some() {
        return None;
    }
    Some((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_as_it_was_written() {
        for text in [
            "unix:/run/mysqld/mysqld.sock",
            "tcp:127.0.0.1:3306",
            "tcp:localhost:5432",
            "tcp:[::1]:3306",
            "tls:db.example:3306",
            "tls:[2001:db8::1]:3306",
        ] {
            let database: Database = text.parse().unwrap();
            assert_eq!(database.to_string(), text);
            assert!(!database.is_remote());
        }
    }

    #[test]
    fn what_leaves_the_machine_is_remote() {
        for text in [
            "tcp:db.example:3306",
            "tcp:10.0.0.5:3306",
            "tcp:[2001:db8::1]:1",
            "tcp:localhost.example:1",
            "tcp:0.0.0.0:1",
        ] {
            assert!(text.parse::<Database>().unwrap().is_remote(), "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_and_the_supported_ones_are_named() {
        for (text, expected) in [
            ("", InvalidDatabase::Shape),
            ("/run/mysqld.sock", InvalidDatabase::Shape),
            ("unix:", InvalidDatabase::RelativePath),
            ("unix:mysqld.sock", InvalidDatabase::RelativePath),
            ("tcp:", InvalidDatabase::Shape),
            ("tcp:host", InvalidDatabase::Shape),
            ("tcp::3306", InvalidDatabase::Shape),
            ("tcp:host:0", InvalidDatabase::Shape),
            ("tcp:host:65536", InvalidDatabase::Shape),
            ("tcp:::1:3306", InvalidDatabase::Shape),
            ("tcp:[host]:3306", InvalidDatabase::Shape),
            ("tls:host", InvalidDatabase::Shape),
        ] {
            assert_eq!(text.parse::<Database>(), Err(expected), "{text:?}");
        }
        let text = InvalidDatabase::Shape.to_string();
        for place in ["unix:/PATH", "tcp:HOST:PORT", "tls:HOST:PORT"] {
            assert!(text.contains(place), "{text}");
        }
    }
}
