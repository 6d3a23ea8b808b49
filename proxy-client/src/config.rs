//! What the program uses: complete and checked, made from the settings.

mod credentials;
mod instance;
mod logging;
mod place;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use daemon::environment::Environment;
use daemon::settings::{Complaints, Span};
use proto::TUNNEL_PORT;
use transport::authority::Credentials;

use crate::settings::Settings;
pub use instance::{InstanceConfig, Wanted};
pub use logging::Logging;
pub use place::{Place, Ports, Route};

/// Google's default for the health server.
const HTTP_ADDRESS: &str = "localhost";
const HTTP_PORT: u16 = 9090;
/// From an application's connection to the database's first word; Google's proxy has the same.
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// What the program uses.
pub struct Config {
    /// The instances, in the order in which they were given; at least one.
    pub instances: Vec<InstanceConfig>,
    /// How the CA is reached.
    pub authority: AuthorityConfig,
    /// What keys are made.
    pub keys: Keys,
    /// When certificates are renewed.
    pub refresh: Refresh,
    /// Most connections at once; `None` without a limit.
    pub max_connections: Option<usize>,
    /// From an application's connection to the database's first word.
    pub dial_timeout: Duration,
    /// How the program stops.
    pub stop: Stop,
    /// Where health and metrics are served.
    pub http: Option<Http>,
}

/// How the CA is reached.
pub struct AuthorityConfig {
    /// Who we are.
    pub credentials: Credentials,
    /// The base URL, where it is not the key file's.
    pub endpoint: Option<String>,
    /// The root, where it is not the key file's.
    pub root_pem: Option<String>,
    /// What we call ourselves.
    pub user_agent: String,
    /// Who pays.
    pub quota_project: Option<String>,
}

/// What keys are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// ECDSA on P-256.
    #[default]
    P256,
    /// RSA of 2048 bits, as Google's connectors make.
    Rsa,
}

/// When certificates are renewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refresh {
    /// In the background, long before they end.
    #[default]
    Ahead,
    /// By the connection that needs one.
    Lazy,
}

/// How the program stops after a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// Go on accepting for this long.
    pub accept_for: Duration,
    /// Then wait this long for sessions to end.
    pub drain_for: Duration,
    /// Exit with 0 whatever was still open.
    pub exit_zero: bool,
}

/// Where health and metrics are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// The host to listen on.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether metrics are served.
    pub metrics: bool,
}

impl Config {
    /// Checks everything and complains about all that is wrong at once.
    ///
    /// # Errors
    /// The complaints.
    pub fn new(settings: Settings, environment: &Environment) -> Result<Self, Complaints> {
        let mut complaints = Complaints::default();
        exclusive(&settings, &mut complaints);
        let credentials = credentials::choose(&settings, environment, &mut complaints);
        let project = credentials.as_ref().and_then(Credentials::project);
        let instances = instances(&settings, environment, project, &mut complaints);
        let root_pem = settings
            .ca_certificate
            .as_deref()
            .and_then(|path| read(path, &mut complaints));
        let is_set = |flag: Option<bool>| flag.unwrap_or_default();
        let span = |span: Option<Span>| span.map_or(Duration::ZERO, |span| span.0);
        let http = (is_set(settings.health_check) || is_set(settings.prometheus)).then(|| Http {
            host: settings
                .http_address
                .clone()
                .unwrap_or_else(|| HTTP_ADDRESS.to_owned()),
            port: settings.http_port.unwrap_or(HTTP_PORT),
            metrics: is_set(settings.prometheus),
        });
        let Some(credentials) = credentials else {
            return Err(complaints);
        };
        let config = Self {
            instances,
            authority: AuthorityConfig {
                credentials,
                endpoint: settings.sqladmin_api_endpoint,
                root_pem,
                user_agent: user_agent(settings.user_agent.as_deref()),
                quota_project: settings.quota_project,
            },
            keys: if is_set(settings.rsa_keys) {
                Keys::Rsa
            } else {
                Keys::P256
            },
            refresh: if is_set(settings.lazy_refresh) {
                Refresh::Lazy
            } else {
                Refresh::Ahead
            },
            max_connections: settings.max_connections.filter(|most| *most > 0),
            dial_timeout: settings.dial_timeout.map_or(DIAL_TIMEOUT, |span| span.0),
            stop: Stop {
                accept_for: span(settings.min_sigterm_delay),
                drain_for: span(settings.max_sigterm_delay),
                exit_zero: is_set(settings.exit_zero_on_sigterm),
            },
            http,
        };
        complaints.or(config)
    }
}

/// Flags that contradict each other, as in Google's proxy.
fn exclusive(settings: &Settings, complaints: &mut Complaints) {
    let pairs = [
        (
            settings.address.is_some() && settings.unix_socket.is_some(),
            "address",
            "unix-socket",
        ),
        (
            settings.port.is_some() && settings.unix_socket.is_some(),
            "port",
            "unix-socket",
        ),
        (
            settings.private_ip == Some(true) && settings.auto_ip == Some(true),
            "private-ip",
            "auto-ip",
        ),
        (
            settings.quiet == Some(true) && settings.debug_logs == Some(true),
            "quiet",
            "debug-logs",
        ),
    ];
    for (both, one, other) in pairs {
        if both {
            complaints.add(one, format!("cannot be given together with {other}"));
        }
    }
}

fn instances(
    settings: &Settings,
    environment: &Environment,
    project: Option<&str>,
    complaints: &mut Complaints,
) -> Vec<InstanceConfig> {
    let mut texts: Vec<&str> = settings.all_instances().collect();
    if texts.is_empty() {
        texts = of_environment(environment);
    }
    if texts.is_empty() {
        complaints.add(
            "instance",
            "give at least one, as in --instance=db1 or --instance=project:region:instance",
        );
    }
    let defaults = place::Defaults {
        address: address(settings, complaints),
        port: settings.port.filter(|port| *port != 0),
        unix_socket: settings.unix_socket.clone(),
        tunnel_port: settings.tunnel_port.unwrap_or(TUNNEL_PORT),
        route: Route::of(settings.private_ip, settings.auto_ip),
    };
    let mut found: Vec<InstanceConfig> = Vec::new();
    for text in texts {
        match instance::parse(text, project, &defaults) {
            Ok(instance) if found.iter().any(|other| other.is_same_mount(&instance)) => {
                complaints.add(format!("instance {text}"), "is given twice");
            }
            Ok(instance) => found.push(instance),
            Err(wrong) => complaints.extend(wrong),
        }
    }
    place::count_up(&mut found, defaults.port, complaints);
    found
}

fn address(settings: &Settings, complaints: &mut Complaints) -> IpAddr {
    let fallback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    settings
        .address
        .as_deref()
        .and_then(|text| complaints.check("address", place::ip(text)))
        .unwrap_or(fallback)
}

/// `CSQL_PROXY_INSTANCE_CONNECTION_NAME`, then `..._0`, `..._1` and so on to the first gap, as in Google's proxy.
fn of_environment(environment: &Environment) -> Vec<&str> {
    const NAME: &str = "CSQL_PROXY_INSTANCE_CONNECTION_NAME";
    let plain = environment.get(NAME);
    // Behind the plain name counting may begin with 1.
    let first = usize::from(plain.is_some() && environment.get(&format!("{NAME}_0")).is_none());
    let numbered = (first..).map_while(|number| environment.get(&format!("{NAME}_{number}")));
    plain.into_iter().chain(numbered).collect()
}

fn read(path: &Path, complaints: &mut Complaints) -> Option<String> {
    let key = format!("ca-certificate {}", path.display());
    complaints.check(key, std::fs::read_to_string(path))
}

fn user_agent(more: Option<&str>) -> String {
    let program = concat!("cloudsql-proxy/", env!("CARGO_PKG_VERSION"));
    match more {
        Some(more) => format!("{program} {more}"),
        None => program.to_owned(),
    }
}

#[cfg(test)]
mod tests;
