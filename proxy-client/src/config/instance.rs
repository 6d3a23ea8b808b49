//! One instance as it is written: a name, and parameters of its own behind a question mark.

use std::fmt;

use daemon::settings::{Complaints, Query};
use proto::InstanceName;
use proto::instance::check_label;
use transport::accept::{Callers, UnixOptions};

use super::parameters::{KNOWN, Parameters};
use super::place::{ConnectTo, Defaults, Place, Route};
use crate::settings::of_version_1;

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
    /// Where the agent is, whatever the CA says.
    pub connect_to: Option<ConnectTo>,
    /// How its Unix socket is guarded.
    pub socket: UnixOptions,
    /// Who may use its listener.
    pub callers: Callers,
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
    /// A domain whose TXT record says `project:region:instance`. It is looked up before the CA is asked.
    Domain(String),
}

impl Wanted {
    /// Whether something of the full name is still to be told.
    pub const fn is_short(&self) -> bool {
        matches!(self, Self::Short { .. } | Self::Domain(_))
    }

    /// The project; a domain has none.
    pub fn project(&self) -> &str {
        match self {
            Self::Full(name) => name.project(),
            Self::Short { project, .. } => project,
            Self::Domain(_) => "",
        }
    }

    /// The name within the project, or the domain.
    pub fn instance(&self) -> &str {
        match self {
            Self::Full(name) => name.instance(),
            Self::Short { instance, .. } => instance,
            Self::Domain(domain) => domain,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(name) => name.fmt(f),
            Self::Short { instance, .. } => f.write_str(instance),
            Self::Domain(domain) => f.write_str(domain),
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
    let query = Query::parse(text, KNOWN);
    let mut complaints = Complaints::default();
    let wanted = complaints.check(&key, wanted(&query.name, project));
    let mut parameters = Parameters::of(query, key);
    let place = parameters.place(defaults);
    let route = parameters.route(defaults);
    let tunnel_port = parameters.number("tunnel-port");
    let connect_to = parameters.connect_to(defaults);
    let socket = parameters.socket(defaults);
    let callers = parameters.callers(defaults);
    if let Place::UnixPath(path) = &place {
        parameters.check(
            "unix-socket-path",
            socket.check(path).map_err(|error| error.to_string()),
        );
    }
    complaints.extend(parameters.complaints());
    match wanted {
        Some(wanted) => complaints.or(InstanceConfig {
            wanted,
            place,
            route,
            tunnel_port: tunnel_port.unwrap_or(defaults.tunnel_port),
            connect_to,
            socket,
            callers,
        }),
        None => Err(complaints),
    }
}

fn wanted(name: &str, project: Option<&str>) -> Result<Wanted, String> {
    if name.contains('=') {
        let now = of_version_1(name);
        return Err(format!(
            "is written as in version 1 of Google's proxy: say {now}"
        ));
    }
    if name.contains(':') {
        return name
            .parse()
            .map(Wanted::Full)
            .map_err(|error: proto::instance::InvalidName| error.to_string());
    }
    if name.contains('.') && !name.contains('/') {
        return domain(name).map(Wanted::Domain);
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

/// A domain as Google's connectors take it: small letters, two labels or more, the last of which begins with a letter.
fn domain(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let is_inner =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| is_inner(byte) || byte == b'_')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_name = name.len() <= 253
        && name.split('.').all(is_label)
        && last.starts_with(|first: char| first.is_ascii_lowercase());
    is_name.then(|| name.to_owned()).ok_or_else(|| {
        format!(
            "expected an instance (project:region:instance), or a domain in small letters whose TXT record names one, \
             as db1.corp.example; found {text:?}"
        )
    })
}
