//! Dialling: names with several addresses are tried side by side, under one deadline.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{TcpOptions, tune};
use crate::error::{DialError, Tried, before};

/// Head start of one address over the next (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// Resolves a host and connects to the first of its addresses that accepts.
///
/// An address gets a head start of 250 ms over the next, and none when it fails at once.
///
/// # Errors
/// [`DialError`] names the host, and each address with its answer.
pub async fn dial_tcp(
    host: &str,
    port: u16,
    options: &TcpOptions,
    deadline: Instant,
) -> Result<TcpStream, DialError> {
    let target = target(host, port);
    let dialled = before(deadline, async {
        let addresses = resolve(host, port).await?;
        race(interleave(addresses), &target).await
    });
    let stream = match dialled.await {
        Some(stream) => stream?,
        None => return Err(DialError::Deadline { target }),
    };
    let unreachable = |source| match stream.peer_addr() {
        Ok(addr) => DialError::Unreachable {
            target: target.clone(),
            tried: Tried(vec![(addr, source)]),
        },
        Err(_) => DialError::Resolve {
            host: host.to_owned(),
            source,
        },
    };
    tune(&stream, options).map_err(unreachable)?;
    Ok(stream)
}

/// Connects to a Unix socket.
///
/// # Errors
/// [`DialError`] names the path.
pub async fn dial_unix(path: &Path, deadline: Instant) -> Result<UnixStream, DialError> {
    match before(deadline, UnixStream::connect(path)).await {
        Some(Ok(stream)) => Ok(stream),
        Some(Err(source)) => Err(DialError::Unix {
            path: path.to_owned(),
            source,
        }),
        None => Err(DialError::Deadline {
            target: path.display().to_string(),
        }),
    }
}

/// Host and port as people write them.
fn target(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if let Ok(ip) = bare.unwrap_or(host).parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = tokio::net::lookup_host((host, port)).await;
    let addresses: Vec<SocketAddr> = found
        .map_err(|source| DialError::Resolve {
            host: host.to_owned(),
            source,
        })?
        .collect();
    if addresses.is_empty() {
        return Err(DialError::NoAddress {
            host: host.to_owned(),
        });
    }
    Ok(addresses)
}

/// The resolver's order, families taking turns (RFC 8305 section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|addr| addr.is_ipv6() == first_is_v6);
    let mut mixed = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        match (first.next(), second.next()) {
            (None, None) => return mixed,
            (a, b) => mixed.extend(a.into_iter().chain(b)),
        }
    }
}

/// The first connection that stands; the attempts that lost are dropped with the set.
async fn race(addresses: Vec<SocketAddr>, target: &str) -> Result<TcpStream, DialError> {
    let mut waiting = addresses.into_iter();
    let mut attempts: JoinSet<(SocketAddr, io::Result<TcpStream>)> = JoinSet::new();
    let mut tried = Vec::new();
    loop {
        let more = match waiting.next() {
            Some(addr) => {
                attempts.spawn(async move { (addr, TcpStream::connect(addr).await) });
                true
            }
            None => false,
        };
        let head_start = Instant::now() + STAGGER;
        loop {
            let joined = if more {
                match before(head_start, attempts.join_next()).await {
                    Some(joined) => joined,
                    None => break,
                }
            } else {
                attempts.join_next().await
            };
            match joined {
                Some(Ok((_, Ok(stream)))) => return Ok(stream),
                Some(Ok((addr, Err(error)))) => {
                    tried.push((addr, error));
                    if more {
                        break;
                    }
                }
                Some(Err(_)) => {}
                None if more => break,
                None => {
                    return Err(DialError::Unreachable {
                        target: target.to_owned(),
                        tried: Tried(tried),
                    });
                }
            }
        }
    }
}
