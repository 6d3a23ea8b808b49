//! Where a database stands.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use daemon::text::clean;
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
    pub(super) async fn dial(
        &self,
        options: &TcpOptions,
        deadline: Instant,
    ) -> Result<Socket, DialError> {
        match self {
            Self::Unix(path) => dial_unix(path, deadline).await.map(Socket::Unix),
            Self::Tcp { host, port } | Self::Tls { host, port } => {
                dial_tcp(host, *port, options, deadline)
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

/// A text is not the place of a database. No sentence shows the text: there may be a password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidDatabase {
    #[error("a database is unix:/PATH, tcp:HOST:PORT or tls:HOST:PORT")]
    Shape,
    #[error("a Unix socket needs an absolute path: unix:/PATH")]
    RelativePath,
    #[error("a database has a port: say tcp:HOST:3306 for MySQL, tcp:HOST:5432 for PostgreSQL")]
    NoPort,
    #[error("a port is a number from 1 to 65535, as in tcp:HOST:3306")]
    Port,
    #[error("a database has a host: say tcp:127.0.0.1:PORT for this machine")]
    NoHost,
    #[error("an IPv6 address has brackets: say tcp:[ADDRESS]:PORT")]
    NoBrackets,
    #[error(
        "an application's URL is given: say tcp:HOST:PORT or tls:HOST:PORT alone; users, passwords and schemas are the \
         applications' business"
    )]
    Url,
}

impl FromStr for Database {
    type Err = InvalidDatabase;

    /// A path alone is a Unix socket, and HOST:PORT alone is TCP.
    fn from_str(text: &str) -> Result<Self, InvalidDatabase> {
        let text = clean(text);
        if text.starts_with('/') {
            return Ok(Self::Unix(text.into()));
        }
        let (kind, rest) = text.split_once(':').unwrap_or(("", text));
        if rest.contains("://") {
            return Err(InvalidDatabase::Url);
        }
        let address = rest.strip_prefix("//").unwrap_or(rest);
        match kind.to_ascii_lowercase().as_str() {
            "unix" if rest.starts_with('/') => {
                let path = rest.trim_start_matches('/');
                Ok(Self::Unix(format!("/{path}").into()))
            }
            "unix" => Err(InvalidDatabase::RelativePath),
            "tcp" => tcp(address).map(|(host, port)| Self::Tcp { host, port }),
            "tls" => tcp(address).map(|(host, port)| Self::Tls { host, port }),
            _ if rest.starts_with("//") => Err(InvalidDatabase::Url),
            _ => tcp(text).map(|(host, port)| Self::Tcp { host, port }),
        }
    }
}

fn tcp(address: &str) -> Result<(String, u16), InvalidDatabase> {
    if address.is_empty() {
        return Err(InvalidDatabase::Shape);
    }
    if address.contains('@') {
        return Err(InvalidDatabase::Url);
    }
    if address.parse::<Ipv6Addr>().is_ok() {
        return Err(InvalidDatabase::NoBrackets);
    }
    let no_port = match address.bytes().all(|byte| byte.is_ascii_digit()) {
        true => InvalidDatabase::NoHost,
        false => InvalidDatabase::NoPort,
    };
    let (host, port) = address.rsplit_once(':').ok_or(no_port)?;
    if address.ends_with(']') {
        return Err(InvalidDatabase::NoPort);
    }
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = bracketed.unwrap_or(host);
    if host.is_empty() {
        return Err(InvalidDatabase::NoHost);
    }
    if host.contains(':') && bracketed.is_none() {
        return Err(InvalidDatabase::NoBrackets);
    }
    if host.contains(['/', '?', ' ']) || host.contains(':') != bracketed.is_some() {
        return Err(InvalidDatabase::Shape);
    }
    let port = port.parse().ok().filter(|port| *port != 0);
    Ok((host.to_owned(), port.ok_or(InvalidDatabase::Port)?))
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
    fn a_place_is_taken_in_the_forms_that_have_one_meaning() {
        for (text, expected) in [
            ("/run/mysqld/mysqld.sock", "unix:/run/mysqld/mysqld.sock"),
            (
                "unix:///run/mysqld/mysqld.sock",
                "unix:/run/mysqld/mysqld.sock",
            ),
            (" unix:/run/db.sock\n", "unix:/run/db.sock"),
            ("'/run/db.sock'", "unix:/run/db.sock"),
            ("localhost:3306", "tcp:localhost:3306"),
            ("127.0.0.1:3306", "tcp:127.0.0.1:3306"),
            ("[::1]:3306", "tcp:[::1]:3306"),
            ("tcp://127.0.0.1:3306", "tcp:127.0.0.1:3306"),
            ("TCP:db:3306", "tcp:db:3306"),
            ("tls://db.example:3306", "tls:db.example:3306"),
        ] {
            assert_eq!(
                text.parse::<Database>().unwrap().to_string(),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_to_say() {
        for (text, expected) in [
            ("", InvalidDatabase::Shape),
            ("unix:", InvalidDatabase::RelativePath),
            ("unix:mysqld.sock", InvalidDatabase::RelativePath),
            ("tcp:", InvalidDatabase::Shape),
            ("tcp:host", InvalidDatabase::NoPort),
            ("mysqld.sock", InvalidDatabase::NoPort),
            ("localhost", InvalidDatabase::NoPort),
            ("127.0.0.1", InvalidDatabase::NoPort),
            ("[::1]", InvalidDatabase::NoPort),
            ("tcp:[::1]", InvalidDatabase::NoPort),
            ("3306", InvalidDatabase::NoHost),
            ("tcp:3306", InvalidDatabase::NoHost),
            (":3306", InvalidDatabase::NoHost),
            ("tcp::3306", InvalidDatabase::NoHost),
            ("tcp:host:0", InvalidDatabase::Port),
            ("tcp:host:65536", InvalidDatabase::Port),
            ("host:mysql", InvalidDatabase::Port),
            ("::1", InvalidDatabase::NoBrackets),
            ("::1:x", InvalidDatabase::NoBrackets),
            ("tcp:::1:3306", InvalidDatabase::NoBrackets),
            ("tcp:[host]:3306", InvalidDatabase::Shape),
            ("tls:host", InvalidDatabase::NoPort),
            ("tcp:user:secret@host:3306", InvalidDatabase::Url),
            ("user@host:3306", InvalidDatabase::Url),
            ("mysql://root:secret@db:3306/app", InvalidDatabase::Url),
            ("postgres://db", InvalidDatabase::Url),
            ("jdbc:mysql://db:3306/app", InvalidDatabase::Url),
        ] {
            assert_eq!(text.parse::<Database>(), Err(expected), "{text:?}");
        }
        let text = InvalidDatabase::Shape.to_string();
        for place in ["unix:/PATH", "tcp:HOST:PORT", "tls:HOST:PORT"] {
            assert!(text.contains(place), "{text}");
        }
    }
}
