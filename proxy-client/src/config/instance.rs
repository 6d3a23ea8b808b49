//! One instance as it is written: a name, and parameters of its own behind a question mark.

use std::fmt;
use std::path::PathBuf;

use daemon::settings::{Complaints, nearest};
use proto::InstanceName;
use proto::instance::check_label;

use super::place::{Defaults, Place, Route, ip};

/// The parameters that an instance may have.
const PARAMETERS: [&str; 7] = [
    "address",
    "port",
    "unix-socket",
    "unix-socket-path",
    "private-ip",
    "auto-ip",
    "tunnel-port",
];

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceConfig {
    /// Which.
    pub wanted: Wanted,
    /// Where applications find it.
    pub place: Place,
    /// By which address its agent is reached.
    pub route: Route,
    /// On which port.
    pub tunnel_port: u16,
}

/// An instance's name as far as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `project:region:instance`.
    Full(InstanceName),
    /// The region is the CA's to tell.
    Short {
        /// The key file's project.
        project: String,
        /// The name within it.
        instance: String,
    },
}

impl Wanted {
    /// Whether the region is still to be told.
    pub const fn is_short(&self) -> bool {
        matches!(self, Self::Short { .. })
    }

    /// The project.
    pub fn project(&self) -> &str {
        match self {
            Self::Full(name) => name.project(),
            Self::Short { project, .. } => project,
        }
    }

    /// The name within the project.
    pub fn instance(&self) -> &str {
        match self {
            Self::Full(name) => name.instance(),
            Self::Short { instance, .. } => instance,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(name) => name.fmt(f),
            Self::Short { instance, .. } => f.write_str(instance),
        }
    }
}

impl InstanceConfig {
    /// Whether both are the same instance at the same place.
    pub(super) fn is_same_mount(&self, other: &Self) -> bool {
        let automatic = matches!(self.place, Place::Tcp { port: None, .. });
        self.wanted == other.wanted && self.place == other.place && !automatic
    }
}

/// Reads one instance.
pub(super) fn parse(
    text: &str,
    project: Option<&str>,
    defaults: &Defaults,
) -> Result<InstanceConfig, Complaints> {
    let key = format!("instance {text}");
    let (name, query) = text.split_once('?').unwrap_or((text, ""));
    let mut complaints = Complaints::default();
    let wanted = complaints.check(&key, wanted(name, project));
    let parameters = Parameters::parse(query, &key, &mut complaints);
    let place = parameters.place(defaults, &key, &mut complaints);
    let private_ip = parameters.flag("private-ip", &key, &mut complaints);
    let auto_ip = parameters.flag("auto-ip", &key, &mut complaints);
    let route = match (private_ip, auto_ip) {
        (None, None) => defaults.route,
        (private_ip, auto_ip) => Route::of(private_ip, auto_ip),
    };
    let tunnel_port = parameters
        .number("tunnel-port", &key, &mut complaints)
        .unwrap_or(defaults.tunnel_port);
    match wanted {
        Some(wanted) => complaints.or(InstanceConfig {
            wanted,
            place,
            route,
            tunnel_port,
        }),
        None => Err(complaints),
    }
}

fn wanted(name: &str, project: Option<&str>) -> Result<Wanted, String> {
    if name.contains(':') {
        return name
            .parse()
            .map(Wanted::Full)
            .map_err(|error: proto::instance::InvalidName| error.to_string());
    }
    check_label(name, "instance").map_err(|error| error.to_string())?;
    let project = project.ok_or(
        "a short name means an instance of the key file's project, and there is none: \
         give a key file with --credentials-file, or the full name project:region:instance",
    )?;
    Ok(Wanted::Short {
        project: project.to_owned(),
        instance: name.to_owned(),
    })
}

/// `port=3310&address=...`, each at most once.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(query: &str, key: &str, complaints: &mut Complaints) -> Self {
        let mut found: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(value) = percent_decoded(value) else {
                complaints.add(key, format!("{name} has a broken percent sign"));
                continue;
            };
            if !PARAMETERS.contains(&name) {
                complaints.add(key, unknown(name));
            } else if found.iter().any(|(known, _)| known == name) {
                complaints.add(key, format!("{name} is given twice"));
            } else {
                found.push((name.to_owned(), value));
            }
        }
        Self(found)
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str, key: &str, complaints: &mut Complaints) -> Option<u16> {
        let text = self.get(name)?;
        let number = text
            .parse::<u16>()
            .map_err(|_| format!("{name}: expected a number from 0 to 65535, found {text:?}"));
        complaints.check(key, number)
    }

    /// Google's words: true, t and nothing; false and f.
    fn flag(&self, name: &str, key: &str, complaints: &mut Complaints) -> Option<bool> {
        let text = self.get(name)?;
        match text.to_ascii_lowercase().as_str() {
            "" | "true" | "t" | "1" => Some(true),
            "false" | "f" | "0" => Some(false),
            _ => {
                complaints.add(
                    key,
                    format!("{name}: expected true or false, found {text:?}"),
                );
                None
            }
        }
    }

    fn place(&self, defaults: &Defaults, key: &str, complaints: &mut Complaints) -> Place {
        let port = self
            .number("port", key, complaints)
            .filter(|port| *port != 0);
        let address = self
            .get("address")
            .and_then(|text| complaints.check(key, ip(text)));
        let folder = self.get("unix-socket").map(PathBuf::from);
        let path = self.get("unix-socket-path").map(PathBuf::from);
        let is_tcp = port.is_some() || address.is_some();
        let kinds = [is_tcp, folder.is_some(), path.is_some()];
        if kinds.into_iter().filter(|given| *given).count() > 1 {
            complaints.add(
                key,
                "address and port, unix-socket and unix-socket-path exclude each other",
            );
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
}

fn unknown(name: &str) -> String {
    match nearest(name, PARAMETERS) {
        Some(meant) => format!("there is no parameter {name}; did you mean {meant}?"),
        None => format!(
            "there is no parameter {name}; there are {}",
            PARAMETERS.join(", ")
        ),
    }
}

/// Undoes percent encoding; `None` when a percent sign is not followed by two hexadecimal digits, or no text results.
fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
}
