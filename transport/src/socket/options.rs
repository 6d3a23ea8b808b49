//! Options of TCP sockets: how soon a peer that is gone is given up, and how bytes are sent.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tracing::debug;

/// Options of a TCP leg. `TCP_NODELAY` is always on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// Silence before the first probe.
    pub keepalive_time: Duration,
    /// Silence between probes.
    pub keepalive_interval: Duration,
    /// Probes without an answer until the connection is given up.
    pub keepalive_retries: u32,
    /// Longest time that sent bytes may wait for acknowledgement or for room at the peer (`TCP_USER_TIMEOUT`).
    ///
    /// The kernel does not tell a peer that is gone from one that reads slowly: it ends either. So there is none by
    /// default: keepalive finds a peer that is gone while nothing is under way, and the kernel's limit of
    /// retransmissions (`tcp_retries2`) when something is; neither harms a peer that answers. Never set on loopback.
    pub user_timeout: Option<Duration>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            keepalive_time: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(10),
            keepalive_retries: 3,
            user_timeout: None,
        }
    }
}

impl TcpOptions {
    /// These options with a user timeout.
    #[must_use]
    pub const fn with_user_timeout(self, user_timeout: Option<Duration>) -> Self {
        Self {
            user_timeout,
            ..self
        }
    }

    /// These options for a connection to that end.
    #[must_use]
    pub(crate) fn towards(self, end: SocketAddr) -> Self {
        let is_loopback = end.ip().to_canonical().is_loopback();
        self.with_user_timeout(self.user_timeout.filter(|_| !is_loopback))
    }
}

/// Sets the options of a TCP leg, or of a listener: on Linux its connections have them from it.
///
/// # Errors
/// When the kernel refuses one of them.
pub(crate) fn tune(socket: &impl AsFd, options: &TcpOptions) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(options.keepalive_time)
        .with_interval(options.keepalive_interval)
        .with_retries(options.keepalive_retries);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(options.user_timeout)
}

/// Whether a TCP leg has these options.
///
/// # Errors
/// When the kernel does not tell.
pub(crate) fn is_tuned(socket: &impl AsFd, options: &TcpOptions) -> io::Result<bool> {
    let socket = SockRef::from(socket);
    Ok(socket.tcp_nodelay()?
        && socket.keepalive()?
        && socket.tcp_keepalive_time()? == options.keepalive_time
        && socket.tcp_keepalive_interval()? == options.keepalive_interval
        && socket.tcp_keepalive_retries()? == options.keepalive_retries
        && socket.tcp_user_timeout()? == options.user_timeout)
}

/// Has a socket whose `end` is this machine itself send without pauses: a pacing congestion control (bbr) costs a third
/// of the throughput where nothing can be lost.
pub(crate) fn unpace(socket: &impl AsFd, end: SocketAddr) {
    if end.ip().to_canonical().is_loopback()
        && let Err(error) = SockRef::from(socket).set_tcp_congestion(b"reno")
    {
        debug!(%error, "loopback leg keeps the system's congestion control");
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use socket2::{Domain, Socket, Type};

    use super::pacing::{congestion, other_than_reno};
    use super::*;

    #[test]
    fn a_tuned_leg_has_every_option() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        tune(&stream, &TcpOptions::default()).unwrap();
        let socket = SockRef::from(&stream);
        assert!(stream.nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), 30);
        assert_eq!(socket.tcp_keepalive_interval().unwrap().as_secs(), 10);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        let timeout = socket.tcp_user_timeout().unwrap();
        assert_eq!(timeout, None, "a peer that reads slowly is not gone");
    }

    #[test]
    fn a_leg_that_lacks_any_option_is_not_tuned() {
        type Spoil = fn(&SockRef<'_>) -> io::Result<()>;
        let second = Duration::from_secs(1);
        let options = TcpOptions::default();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let spoilt: [Spoil; 3] = [
            |socket| socket.set_tcp_nodelay(false),
            |socket| socket.set_keepalive(false),
            |socket| socket.set_tcp_user_timeout(Some(Duration::from_secs(9))),
        ];
        for spoil in spoilt {
            tune(&socket, &options).unwrap();
            assert!(is_tuned(&socket, &options).unwrap());
            spoil(&SockRef::from(&socket)).unwrap();
            assert!(!is_tuned(&socket, &options).unwrap());
        }
        let others: [fn(&mut TcpOptions, Duration); 4] = [
            |others, second| others.keepalive_time += second,
            |others, second| others.keepalive_interval += second,
            |others, _| others.keepalive_retries += 1,
            |others, second| others.user_timeout = Some(second),
        ];
        tune(&socket, &options).unwrap();
        for change in others {
            let mut others = options;
            change(&mut others, second);
            assert!(!is_tuned(&socket, &others).unwrap(), "{others:?}");
        }
    }

    #[test]
    fn a_connection_within_this_machine_has_no_user_timeout() {
        let options = TcpOptions::default().with_user_timeout(Some(Duration::from_secs(7)));
        for (end, has_one) in [
            ("127.0.0.1:1", false),
            ("127.8.9.10:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("192.0.2.1:1", true),
            ("[2001:db8::1]:1", true),
        ] {
            let end = end.parse().unwrap();
            assert_eq!(
                options.towards(end).user_timeout.is_some(),
                has_one,
                "{end}"
            );
        }
    }

    #[test]
    fn only_what_stays_on_this_machine_is_not_paced() {
        for (end, is_unpaced) in [
            ("127.0.0.1:1", true),
            ("127.8.9.10:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.0.2.1:1", false),
            ("[::ffff:192.0.2.1]:1", false),
        ] {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let Some(other) = other_than_reno(&socket) else {
                return;
            };
            unpace(&socket, end.parse().unwrap());
            let expected = if is_unpaced { "reno" } else { &other };
            assert_eq!(congestion(&socket), expected, "{end}");
        }
    }
}

/// What tests of congestion controls need.
#[cfg(test)]
pub(crate) mod pacing {
    use super::*;

    /// Gives a socket a congestion control that is not reno, where the machine has one.
    pub(crate) fn other_than_reno(socket: &impl AsFd) -> Option<String> {
        let names = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_allowed_congestion_control");
        let names = names.unwrap_or_default();
        let other = names.split_whitespace().find(|name| *name != "reno")?;
        let socket = SockRef::from(socket);
        socket.set_tcp_congestion(other.as_bytes()).unwrap();
        Some(other.to_owned())
    }

    pub(crate) fn congestion(socket: &impl AsFd) -> String {
        let name = SockRef::from(socket).tcp_congestion().unwrap();
        let name = String::from_utf8(name).unwrap();
        name.trim_end_matches('\0').to_owned()
    }
}
