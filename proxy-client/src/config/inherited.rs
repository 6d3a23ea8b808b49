//! Listeners that the service manager opened for us (`sd_listen_fds(3)`): each bears an instance's name.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use daemon::environment::Environment;
use daemon::settings::Complaints;
use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

use super::instance::InstanceConfig;

/// The process that the listeners are for.
const PID: &str = "LISTEN_PID";
/// How many they are.
const COUNT: &str = "LISTEN_FDS";
/// Their names, with colons between them.
const NAMES: &str = "LISTEN_FDNAMES";

/// Listeners by the instance's place in the order of the settings.
pub type Inherited = BTreeMap<usize, Handed>;

/// A listener that was handed over.
#[derive(Debug)]
pub enum Handed {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl Handed {
    /// Whether all of the machine's addresses lead here, those that strangers reach included.
    pub fn is_wildcard(&self) -> bool {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .is_ok_and(|address| address.ip().is_unspecified()),
            Self::Unix(_) => false,
        }
    }

    fn is_listening(&self) -> bool {
        let socket = match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        };
        socket_acceptconn(socket).unwrap_or_default()
    }
}

/// Takes the listeners that are for this process; there is nothing to take a second time.
///
/// Call it while the program has one thread: it takes the variables out of the environment.
pub(super) fn take(
    environment: &Environment,
    instances: &[InstanceConfig],
) -> Result<Inherited, Complaints> {
    let names = names(environment)?;
    let assigned = assign(&names, instances);
    if names.is_empty() {
        return Ok(Inherited::new());
    }
    let mut sockets = ListenFd::from_env();
    let mut complaints = Complaints::default();
    let mut inherited = Inherited::new();
    for (at, instance) in assigned?.into_iter().enumerate() {
        match socket(&mut sockets, at) {
            Some(handed) => {
                inherited.insert(instance, handed);
            }
            None => complaints.add(
                names.get(at).map_or(NAMES, String::as_str),
                "is handed over as something that is no listening stream socket: \
                 its unit is to say ListenStream= and not Accept=yes",
            ),
        }
    }
    complaints.or(inherited)
}

fn socket(sockets: &mut ListenFd, at: usize) -> Option<Handed> {
    let tcp = sockets.take_tcp_listener(at).ok().flatten();
    let handed = match tcp {
        Some(listener) => Handed::Tcp(listener),
        None => Handed::Unix(sockets.take_unix_listener(at).ok().flatten()?),
    };
    handed.is_listening().then_some(handed)
}

/// The names of what is handed over to this process.
fn names(environment: &Environment) -> Result<Vec<String>, Complaints> {
    let is_ours = environment
        .get(PID)
        .is_some_and(|pid| pid == std::process::id().to_string());
    let Some(count) = environment.get(COUNT).filter(|_| is_ours) else {
        return Ok(Vec::new());
    };
    let names = environment.get(NAMES).unwrap_or_default();
    let names: Vec<String> = names.split(':').map(str::to_owned).collect();
    match count.parse() {
        Ok(0) => Ok(Vec::new()),
        Ok(count) if count == names.len() => Ok(names),
        _ => {
            let problem = format!(
                "expected as many names as {COUNT}={count} says, found {}",
                names.len()
            );
            Err(Complaints::one(NAMES, problem))
        }
    }
}

/// Which instance each name means.
fn assign(names: &[String], instances: &[InstanceConfig]) -> Result<Vec<usize>, Complaints> {
    let mut complaints = Complaints::default();
    let mut assigned = Vec::new();
    for name in names {
        let key = format!("{NAMES} {name:?}");
        let fits = |(at, one): (usize, &InstanceConfig)| is_name_of(name, one).then_some(at);
        let fitting: Vec<usize> = instances.iter().enumerate().filter_map(fits).collect();
        match fitting.as_slice() {
            [at] if assigned.contains(at) => {
                complaints.add(key, "is handed over twice: one listener to each instance");
            }
            [at] => assigned.push(*at),
            [] => complaints.add(
                key,
                "is the name of no instance here: give the socket's unit FileDescriptorName=INSTANCE \
                 or FileDescriptorName=PROJECT.REGION.INSTANCE",
            ),
            _ => complaints.add(
                key,
                "fits several instances: write PROJECT.REGION.INSTANCE, and each instance once",
            ),
        }
    }
    complaints.or(assigned)
}

/// Names of descriptors have no colons: there are points in their place.
fn is_name_of(name: &str, instance: &InstanceConfig) -> bool {
    let wanted = &instance.wanted;
    name == wanted.instance() || name == wanted.to_string().replace(':', ".")
}

#[cfg(test)]
mod tests;
