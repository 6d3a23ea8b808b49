//! The parameters of one instance, behind its question mark.

use std::path::PathBuf;
use std::str::FromStr;

use daemon::settings::{BOOLEAN, Complaints, Known, Query, boolean};
use transport::accept::{Callers, UnixOptions};

use super::guard;
use super::place::{ConnectTo, Defaults, Place, Route};
use crate::settings::{LEFT_OUT, LeftOutFlag, is_left_out};

/// The parameters that an instance may have: Google's, then ours.
const PARAMETERS: [&str; 17] = [
    "address",
    "port",
    "unix-socket",
    "unix-socket-path",
    "private-ip",
    "psc",
    "auto-iam-authn",
    "sql-data",
    "connect-tunnel",
    "auto-ip",
    "tunnel-port",
    "connect-to",
    "socket-mode",
    "socket-group",
    "allow-uid",
    "allow-gid",
    "allow-from",
];

/// Those, and which of them may be given more than once or without a value.
pub(super) const KNOWN: Known<'_> = Known {
    all: &PARAMETERS,
    lists: &["allow-uid", "allow-gid", "allow-from"],
    switches: &[
        "private-ip",
        "psc",
        "auto-iam-authn",
        "sql-data",
        "connect-tunnel",
        "auto-ip",
    ],
};

/// `port=3310&address=...`, and all that is wrong with it.
pub(super) struct Parameters {
    found: Vec<(String, String)>,
    key: String,
    complaints: Complaints,
}

impl Parameters {
    /// Takes names and values; `key` is what complaints are about.
    pub(super) fn of(query: Query, key: String) -> Self {
        let mut parameters = Self {
            found: query.found,
            key,
            complaints: Complaints::default(),
        };
        for problem in query.problems {
            parameters.complain(problem);
        }
        parameters.refuse_left_out();
        parameters
    }

    /// All that is wrong.
    pub(super) fn complaints(self) -> Complaints {
        self.complaints
    }

    fn complain(&mut self, problem: String) {
        self.complaints.add(&self.key, problem);
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.found.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn check<T>(&mut self, name: &str, value: Result<T, String>) -> Option<T> {
        let value = value.map_err(|problem| format!("{name}: {problem}"));
        self.complaints.check(&self.key, value)
    }

    /// The flags of these names are left out too; false asks for nothing.
    fn refuse_left_out(&mut self) {
        for LeftOutFlag { name, reason, .. } in LEFT_OUT {
            if PARAMETERS.contains(&name) && self.flag(name) == Some(true) {
                self.complain(format!("{name} {}", is_left_out(reason)));
            }
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Option<u16> {
        let text = self.get(name)?;
        let number = text
            .parse::<u16>()
            .map_err(|_| format!("expected a number from 0 to 65535, found {text:?}"));
        self.check(name, number)
    }

    /// A switch; without a value it is on.
    fn flag(&mut self, name: &str) -> Option<bool> {
        let flag = match self.get(name)? {
            "" => Ok(true),
            text => boolean(text).ok_or_else(|| format!("{BOOLEAN}, found {text:?}")),
        };
        self.check(name, flag)
    }

    fn list<T: FromStr>(&mut self, name: &str, expected: &str) -> Vec<T> {
        let (known, mut list) = (std::mem::take(&mut self.found), Vec::new());
        for (_, text) in known.iter().filter(|(known, _)| known == name) {
            let value = text
                .parse()
                .map_err(|_| format!("expected {expected}, found {text:?}"));
            list.extend(self.check(name, value));
        }
        self.found = known;
        list
    }

    /// By which address the agent is reached.
    pub(super) fn route(&mut self, defaults: &Defaults) -> Route {
        let given = ["private-ip", "psc", "auto-ip"].map(|name| self.flag(name));
        if given.iter().filter(|flag| **flag == Some(true)).count() > 1 {
            self.complain("private-ip, psc and auto-ip exclude each other".to_owned());
        }
        match given {
            [None, None, None] => defaults.route,
            [private_ip, psc, auto_ip] => Route::of(private_ip, psc, auto_ip),
        }
    }

    /// Where the agent is, whatever the CA says.
    pub(super) fn connect_to(&mut self, defaults: &Defaults) -> Option<ConnectTo> {
        match self.get("connect-to").map(str::parse) {
            Some(parsed) => self.check("connect-to", parsed),
            None => defaults.connect_to.clone(),
        }
    }

    /// Where applications find the instance.
    pub(super) fn place(&mut self, defaults: &Defaults) -> Place {
        let port = self.number("port").filter(|port| *port != 0);
        let address = self.get("address").map(str::parse);
        let address = address.and_then(|address| self.check("address", address));
        let folder = self.path("unix-socket");
        let path = self.path("unix-socket-path");
        let is_tcp = self.get("port").is_some() || self.get("address").is_some();
        let kinds = [is_tcp, folder.is_some(), path.is_some()];
        if kinds.into_iter().filter(|given| *given).count() > 1 {
            let problem = "address and port, unix-socket and unix-socket-path exclude each other";
            self.complain(problem.to_owned());
        }
        match (path, folder) {
            (Some(path), _) => Place::UnixPath(path),
            (None, Some(folder)) => Place::UnixFolder(folder),
            (None, None) => match &defaults.unix_socket {
                Some(folder) if !is_tcp => Place::UnixFolder(folder.clone()),
                _ => Place::Tcp {
                    address: address.unwrap_or(defaults.address),
                    port,
                },
            },
        }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// How a Unix socket is guarded.
    pub(super) fn socket(&mut self, defaults: &Defaults) -> UnixOptions {
        let mode = self.get("socket-mode").map(guard::mode_of);
        let group = self.get("socket-group").map(guard::group_of);
        let mode = mode.and_then(|mode| self.check("socket-mode", mode));
        let group = group.and_then(|group| self.check("socket-group", group));
        UnixOptions {
            mode: mode.unwrap_or(defaults.socket.mode),
            group: group.or(defaults.socket.group),
            ..defaults.socket
        }
    }

    /// Who may use the listener: the instance's own lists where it has them.
    pub(super) fn callers(&mut self, defaults: &Defaults) -> Callers {
        let uids = self.list("allow-uid", "a user's number");
        let gids = self.list("allow-gid", "a group's number");
        let networks = self.list("allow-from", "a network such as 10.0.0.0/8");
        let users = if uids.is_empty() && gids.is_empty() {
            (defaults.callers.uids.clone(), defaults.callers.gids.clone())
        } else {
            (uids, gids)
        };
        Callers {
            uids: users.0,
            gids: users.1,
            networks: if networks.is_empty() {
                defaults.callers.networks.clone()
            } else {
                networks
            },
        }
    }
}
