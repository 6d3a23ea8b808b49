//! One instance as it is written: a name, and parameters of its own behind a question mark.

use std::fmt;

use daemon::settings::Complaints;
use proto::InstanceName;
use proto::instance::check_label;
use transport::accept::{Callers, UnixOptions};

use super::parameters::Parameters;
use super::place::{Defaults, HostPort, Place, Route};

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
    pub connect_to: Option<HostPort>,
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
    let mut parameters = Parameters::parse(query, key);
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
