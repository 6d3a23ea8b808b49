//! Causes of a failed dial, by the kernel's error number.

use std::io;
use std::net::SocketAddr;

use proto::Code;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::Blame;

/// The cause of a failed dial.
///
/// Of several addresses the greatest cause counts: exhaustion concerns all of them, and an answer from afar says more
/// than a family of addresses that this machine does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DialCause {
    /// A number that is not listed here.
    Other,
    /// EAFNOSUPPORT, and EADDRNOTAVAIL for IPv6: this machine has no address of that family.
    NoLocalAddress,
    /// ENETUNREACH.
    NoRoute,
    /// EACCES and EPERM of TCP: a local firewall, or a security module.
    Forbidden,
    /// EHOSTUNREACH: a router on the way, or the last one, gave up.
    HostUnreachable,
    /// ETIMEDOUT.
    Silent,
    /// ECONNRESET.
    Reset,
    /// ECONNREFUSED.
    Refused,
    /// ENOENT of a Unix socket.
    NoSocket,
    /// EACCES and EPERM of a Unix socket.
    NoPermission,
    /// EAGAIN of a Unix socket: its queue of connections is full.
    QueueFull,
    /// EADDRNOTAVAIL: all ephemeral ports to that address are in use.
    NoPort,
    /// ENOMEM and ENOBUFS.
    NoMemory,
    /// ENFILE: the limit of the machine.
    MachineDescriptors,
    /// EMFILE: the limit of the process.
    ProcessDescriptors,
}

impl DialCause {
    /// The cause of a failed TCP connection to this address.
    pub fn of_tcp(address: SocketAddr, error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            // An IPv4 address lacks only where the network is down, and that is ENETUNREACH.
            Some(Errno::ADDRNOTAVAIL) if address.is_ipv4() => Self::NoPort,
            Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT) => Self::NoLocalAddress,
            Some(Errno::ACCESS | Errno::PERM) => Self::Forbidden,
            _ => Self::of_any(error),
        }
    }

    /// The cause of a failed connection to a Unix socket.
    pub fn of_unix(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::NOENT) => Self::NoSocket,
            Some(Errno::ACCESS | Errno::PERM) => Self::NoPermission,
            Some(Errno::AGAIN) => Self::QueueFull,
            _ => Self::of_any(error),
        }
    }

    /// The cause where neither address nor path is known.
    pub(crate) fn of_any(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::MFILE) => Self::ProcessDescriptors,
            Some(Errno::NFILE) => Self::MachineDescriptors,
            Some(Errno::NOMEM | Errno::NOBUFS) => Self::NoMemory,
            Some(Errno::NETUNREACH | Errno::NETDOWN) => Self::NoRoute,
            Some(Errno::HOSTUNREACH | Errno::HOSTDOWN) => Self::HostUnreachable,
            Some(Errno::TIMEDOUT) => Self::Silent,
            Some(Errno::CONNRESET) => Self::Reset,
            Some(Errno::CONNREFUSED) => Self::Refused,
            _ => Self::Other,
        }
    }

    /// Whether something ran out on the machine that dials.
    pub const fn is_exhaustion(self) -> bool {
        matches!(
            self,
            Self::NoPort | Self::NoMemory | Self::MachineDescriptors | Self::ProcessDescriptors
        )
    }

    /// Whether the fault lies at the machine that dials.
    pub const fn is_ours(self) -> bool {
        self.is_exhaustion()
            || matches!(
                self,
                Self::NoLocalAddress | Self::NoRoute | Self::Forbidden | Self::NoPermission
            )
    }

    /// Whose fault; `otherwise` where it is not that of the machine that dials.
    pub const fn blame(self, otherwise: Blame) -> Blame {
        if self.is_ours() {
            Blame::Ours
        } else {
            otherwise
        }
    }

    /// The code to refuse with: `limit` for exhaustion, `otherwise` for the rest.
    pub const fn code(self, otherwise: Code) -> Code {
        if self.is_exhaustion() {
            Code::Limit
        } else {
            otherwise
        }
    }

    /// What happened, behind the name of what was dialled, in words of the dialling program and its machine.
    pub fn describe(self, program: &str, machine: &str) -> String {
        match self {
            Self::Other => "cannot be reached".to_owned(),
            Self::NoLocalAddress => {
                format!("was not dialled: {machine} has no address of its family")
            }
            Self::NoRoute => format!("cannot be reached: {machine} has no route to its network"),
            Self::Forbidden => {
                format!("was not dialled: a firewall or security module of {machine} forbids it")
            }
            Self::HostUnreachable => {
                "cannot be reached: the network finds no way to its host".to_owned()
            }
            Self::Silent => "did not answer".to_owned(),
            Self::Reset => "reset the connection".to_owned(),
            Self::Refused => "does not accept connections".to_owned(),
            Self::NoSocket => "does not exist".to_owned(),
            Self::NoPermission => {
                format!("was not dialled: the user of {program} has no permission")
            }
            Self::QueueFull => "has a full queue of connections".to_owned(),
            Self::NoPort => format!("was not dialled: {machine} has no ephemeral port left"),
            Self::NoMemory => format!("was not dialled: {machine} has no memory left for sockets"),
            Self::MachineDescriptors => {
                format!("was not dialled: {machine} has no file descriptor left")
            }
            Self::ProcessDescriptors => {
                format!("was not dialled: {program} has no file descriptor left")
            }
        }
    }

    /// What to do about it.
    pub fn remedy(self, program: &str, machine: &str) -> String {
        match self {
            Self::ProcessDescriptors => format!(
                "raise the limit of {program} ({}), LimitNOFILE= or ulimit -n, or lower its --max-connections",
                descriptor_limit()
            ),
            Self::MachineDescriptors => {
                format!("raise fs.file-max of {machine}, or end what holds its files")
            }
            Self::NoMemory => format!("free memory of {machine}, and see its net.ipv4.tcp_mem"),
            Self::NoPort => format!(
                "widen net.ipv4.ip_local_port_range of {machine}; `ss -tan` shows what holds the ports"
            ),
            Self::NoLocalAddress => {
                format!("give {machine} an address of that family, or dial another address")
            }
            Self::NoRoute => format!("check the network of {machine}: `ip route get ADDRESS`"),
            Self::Forbidden => format!(
                "check the outgoing rules of {machine} (`nft list ruleset`), SELinux and AppArmor"
            ),
            Self::NoPermission => {
                format!("let the user of {program} at the socket and at its folders")
            }
            Self::NoSocket => "check that it runs, and the path".to_owned(),
            Self::QueueFull => "try again; it accepts slower than connections come".to_owned(),
            Self::HostUnreachable => {
                "check that the host is up, and the routers and firewalls between".to_owned()
            }
            Self::Silent => "check the network and firewalls between".to_owned(),
            Self::Other | Self::Reset | Self::Refused => {
                "check that it runs, and that no firewall is between".to_owned()
            }
        }
    }
}

/// The process's own limit of file descriptors, in words.
fn descriptor_limit() -> String {
    match getrlimit(Resource::Nofile).current {
        Some(limit) => format!("now {limit}"),
        None => "none of its own".to_owned(),
    }
}

#[cfg(test)]
mod tests;
