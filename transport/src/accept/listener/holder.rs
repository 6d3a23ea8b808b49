//! Who has the port that we want, as far as `/proc` tells: another user's process shows its user only.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The tables of the two families.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// The state of a listening socket in them.
const LISTENING: &str = "0A";

/// The same error of a bind to `addr`; where the port is taken, with who has it.
pub fn name_holder(addr: SocketAddr, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::AddrInUse {
        return error;
    }
    match Holder::of(addr) {
        Some(holder) => io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("the port is taken by {holder}"),
        ),
        None => error,
    }
}

/// Who listens.
#[derive(Debug, PartialEq, Eq)]
enum Holder {
    /// We do.
    Ourselves,
    /// A process that we may look at.
    Process { id: u32, name: String },
    /// One that we may not.
    User(u32),
}

impl Holder {
    fn of(addr: SocketAddr) -> Option<Self> {
        let tables = TABLES
            .iter()
            .filter_map(|path| fs::read_to_string(path).ok());
        let entry = tables.flat_map(|table| entries(&table, addr)).next()?;
        let Some(id) = process_with(entry.inode) else {
            return Some(Self::User(entry.user));
        };
        Some(Self::process(id))
    }

    fn process(id: u32) -> Self {
        if id == std::process::id() {
            return Self::Ourselves;
        }
        let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        // Whoever runs it chose the name.
        let name = name.trim_end().escape_debug().to_string();
        Self::Process { id, name }
    }
}

/// A process in words. The kernel gives no number to who is in another container.
pub(super) fn process(id: Option<u32>) -> String {
    match id.filter(|id| *id != 0) {
        Some(id) => Holder::process(id).to_string(),
        None => "another process".to_owned(),
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ourselves => f.write_str("this program itself"),
            Self::Process { id, name } => write!(f, "process {id} ({name})"),
            Self::User(user) => write!(f, "a process of the user with number {user}"),
        }
    }
}

/// A line of a table.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    user: u32,
    inode: u64,
}

/// The listening sockets of a table that stand in the way of one at `addr`.
fn entries(table: &str, addr: SocketAddr) -> Vec<Entry> {
    let stands_in_the_way = |local: SocketAddr| {
        let (theirs, ours) = (local.ip().to_canonical(), addr.ip().to_canonical());
        local.port() == addr.port()
            && (theirs == ours || theirs.is_unspecified() || ours.is_unspecified())
    };
    let entry = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let field = |at: usize| fields.get(at).copied();
        let listens = field(3)? == LISTENING && stands_in_the_way(local(field(1)?)?);
        listens.then_some(Entry {
            user: field(7)?.parse().ok()?,
            inode: field(9)?.parse().ok()?,
        })
    };
    table.lines().filter_map(entry).collect()
}

/// `0100007F:0CEA`: words of the machine's own byte order, and a port.
fn local(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    for at in (0..ip.len()).step_by(8) {
        let word = u32::from_str_radix(ip.get(at..at.saturating_add(8))?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(bytes) => IpAddr::V4(Ipv4Addr::from(bytes)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(SocketAddr::new(ip, port))
}

/// The process that has this socket, among those that we may look at.
fn process_with(inode: u64) -> Option<u32> {
    let socket = format!("socket:[{inode}]");
    let ids = fs::read_dir("/proc").ok()?.flatten();
    let mut ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.find(|id| {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{id}/fd")) else {
            return false;
        };
        descriptors
            .flatten()
            .any(|one| fs::read_link(one.path()).is_ok_and(|target| target == Path::new(&socket)))
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;
    use std::process::{Command, Stdio};

    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   112        0 31337 1 0 100 0 0 10 0
   1: 0100007F:0CEA 0100007F:D431 01 00000000:00000000 00:00000000 00000000   112        0 31338 1 0 20 4 30 10 -1
   2: 00000000:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   105        0 31339 1 0 100 0 0 10 0
   3: nonsense
";
    const TABLE6: &str = "   0: 00000000000000000000000001000000:0CEA 0:0 0A 0:0 00:0 0 7 0 41 1 0
   1: 00000000000000000000000000000000:01BB 0:0 0A 0:0 00:0 0 8 0 42 1 0
";

    #[test]
    #[cfg(target_endian = "little")]
    fn only_listeners_that_stand_in_the_way_are_found_in_the_tables() {
        let found = |table: &str, addr: &str| -> Vec<u64> {
            let entries = entries(table, addr.parse().unwrap());
            entries.iter().map(|entry| entry.inode).collect()
        };
        assert_eq!(found(TABLE, "127.0.0.1:3306"), [31337]);
        assert_eq!(found(TABLE, "0.0.0.0:3306"), [31337]);
        assert_eq!(found(TABLE, "127.0.0.2:3306"), [0_u64; 0]);
        assert_eq!(found(TABLE, "127.0.0.1:3307"), [0_u64; 0]);
        assert_eq!(found(TABLE, "10.0.0.1:5432"), [31339]);
        assert_eq!(found(TABLE6, "[::1]:3306"), [41]);
        assert_eq!(found(TABLE6, "[::2]:3306"), [0_u64; 0]);
        assert_eq!(found(TABLE6, "127.0.0.1:443"), [42]);
        assert_eq!(
            entries(TABLE, "127.0.0.1:3306".parse().unwrap())[0].user,
            112
        );
        assert_eq!(found("", "127.0.0.1:1"), [0_u64; 0]);
    }

    #[test]
    fn who_has_a_port_is_named_with_its_number() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        assert_eq!(Holder::of(addr), Some(Holder::Ourselves));
        // Its standard input keeps the port, and nothing else does.
        let mut sleeper = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .spawn()
            .unwrap();
        let in_use = io::Error::from(io::ErrorKind::AddrInUse);
        let told = name_holder(addr, in_use).to_string();
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        let expected = format!("the port is taken by process {} (sleep)", sleeper.id());
        assert_eq!(told, expected);
        assert_eq!(Holder::of(addr), None);
        assert_eq!(process_with(u64::MAX), None);
    }

    #[test]
    fn what_is_not_about_a_taken_port_is_told_as_it_is() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let addr = "127.0.0.1:80".parse().unwrap();
        assert_eq!(
            name_holder(addr, denied).kind(),
            io::ErrorKind::PermissionDenied
        );
        let user = Holder::User(105).to_string();
        assert_eq!(user, "a process of the user with number 105");
        assert_eq!(process(None), "another process");
        assert_eq!(process(Some(0)), "another process");
        assert!(process(Some(1)).starts_with("process 1 ("));
    }
}
