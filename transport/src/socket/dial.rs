//! Dialling: names with several addresses are tried side by side, under one deadline.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use super::{Names, TcpOptions, first, tune, unpace};
use crate::deadline::before;
use crate::error::{DialError, Tried};

/// Head start of one address over the next (RFC 8305 section 5).
pub(super) const STAGGER: Duration = Duration::from_millis(250);

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
    dial_named(&Names::default(), host, port, options, deadline).await
}

/// The same, with names resolved by whom the caller says.
pub(super) async fn dial_named(
    names: &Names,
    host: &str,
    port: u16,
    options: &TcpOptions,
    deadline: Instant,
) -> Result<TcpStream, DialError> {
    let target = target(host, port);
    let dialled = before(deadline, async {
        let addresses = resolve(names, host, port).await?;
        race(addresses, options, &target).await
    });
    match dialled.await {
        Some(dialled) => dialled,
        None => Err(DialError::Deadline { target }),
    }
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
pub(super) fn target(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// All addresses of a host, in the resolver's order.
pub(super) async fn resolve(
    names: &Names,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, DialError> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if let Ok(ip) = bare.unwrap_or(host).parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = names.addresses(host, port).await;
    let addresses = found.map_err(|source| DialError::Resolve {
        host: host.to_owned(),
        source,
    })?;
    if addresses.is_empty() {
        return Err(DialError::NoAddress {
            host: host.to_owned(),
        });
    }
    Ok(interleave(addresses))
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

/// The first connection that stands.
async fn race(
    addresses: Vec<SocketAddr>,
    options: &TcpOptions,
    target: &str,
) -> Result<TcpStream, DialError> {
    let attempts = addresses.into_iter().map(|addr| {
        let options = *options;
        async move {
            let connected = connect(addr, &options).await;
            connected.map_err(|error| (addr, error))
        }
    });
    let connected = first(attempts.collect(), STAGGER).await;
    connected.map_err(
        |tried: Vec<(SocketAddr, io::Error)>| DialError::Unreachable {
            target: target.to_owned(),
            tried: Tried(tried),
        },
    )
}

async fn connect(addr: SocketAddr, options: &TcpOptions) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    tune(&stream, &options.towards(addr))?;
    unpace(&stream, addr);
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::super::is_tuned;
    use super::super::pacing::congestion;
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    /// A port that nobody listens on: the socket is bound, so nobody else gets it.
    fn refusing() -> (TcpSocket, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = socket.local_addr().unwrap();
        (socket, addr)
    }

    /// A port that never answers: its backlog is full, so the kernel drops what comes.
    async fn hanging() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = socket.local_addr().unwrap();
        let listener = socket.listen(0).unwrap();
        let mut held = Vec::new();
        loop {
            let hangs = Instant::now() + Duration::from_millis(200);
            match before(hangs, TcpStream::connect(addr)).await {
                Some(stream) => held.push(stream.unwrap()),
                None => return (listener, held, addr),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_refuses_costs_nothing() {
        let (_bound, dead) = refusing();
        let live = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = live.local_addr().unwrap();
        let start = Instant::now();
        let stream = race(vec![dead, addr], &TcpOptions::default(), "db")
            .await
            .unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
        let took = start.elapsed();
        assert!(took < STAGGER, "{took:?}");
    }

    #[tokio::test]
    async fn an_address_that_hangs_costs_its_head_start() {
        let (_listener, _held, dead) = hanging().await;
        let live = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = live.local_addr().unwrap();
        tokio::time::pause();
        let start = Instant::now();
        let stream = race(vec![dead, addr], &TcpOptions::default(), "db")
            .await
            .unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
        let took = start.elapsed();
        assert!(took >= STAGGER, "the first address had no head start");
        assert!(took < STAGGER * 2, "{took:?}");
    }

    #[tokio::test]
    async fn a_host_that_hangs_is_given_up_at_the_deadline() {
        let (_listener, _held, dead) = hanging().await;
        let deadline = Instant::now() + Duration::from_millis(50);
        let options = TcpOptions::default();
        let error = dial_tcp("127.0.0.1", dead.port(), &options, deadline).await;
        assert!(
            matches!(error, Err(DialError::Deadline { .. })),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn all_addresses_are_named_when_none_accepts() {
        let ((_a, first), (_b, second)) = (refusing(), refusing());
        let options = TcpOptions::default();
        let error = race(vec![first, second], &options, "db:3307").await;
        let error = error.unwrap_err();
        let text = error.to_string();
        for part in ["db:3307", &first.to_string(), &second.to_string()] {
            assert!(text.contains(part), "{text}");
        }
        assert!(
            error
                .refusal(proto::Code::AgentUnreachable)
                .reason
                .contains("refused")
        );
    }

    #[tokio::test]
    async fn a_dialled_leg_is_tuned_and_brackets_are_taken_off() {
        let live = TcpListener::bind("[::1]:0").await.unwrap();
        let port = live.local_addr().unwrap().port();
        let options = TcpOptions {
            keepalive_retries: 7,
            ..TcpOptions::default()
        };
        for host in ["[::1]", "::1"] {
            let stream = dial_tcp(host, port, &options, soon()).await.unwrap();
            assert!(is_tuned(&stream, &options).unwrap());
            assert_eq!(congestion(&stream), "reno");
        }
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_named() {
        let options = TcpOptions::default();
        let error = dial_tcp("no such name", 1, &options, soon())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), "dial-resolve");
        assert!(error.to_string().contains("no such name"));
    }

    #[tokio::test]
    async fn a_unix_socket_that_is_not_there_is_named() {
        let error = dial_unix(Path::new("/nonexistent/db.sock"), soon()).await;
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("/nonexistent/db.sock")
        );
    }

    #[test]
    fn families_take_turns_in_the_resolvers_order() {
        let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 1);
        let mixed = interleave(vec![
            at("::1"),
            at("::2"),
            at("::3"),
            at("1.1.1.1"),
            at("2.2.2.2"),
        ]);
        let expected = ["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"].map(at);
        assert_eq!(mixed, expected);
    }
}
