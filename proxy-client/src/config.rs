//! What the program uses: complete and checked, made from the settings.

mod checks;
mod credentials;
mod failover;
mod guard;
mod inherited;
mod instance;
mod logging;
mod parameters;
mod place;
mod traces;

use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::environment::Environment;
use daemon::log::LogLevel;
use daemon::settings::{Complaints, Span};
use proto::TUNNEL_PORT;
use tracing::info;
use transport::authority::Credentials;
use transport::socket::{Proxies, TcpOptions};

use crate::settings::Settings;
pub use credentials::ExposedKeyFile;
pub use failover::Failover;
pub use inherited::{Handed, Inherited};
pub use instance::{InstanceConfig, Wanted};
pub use logging::Logging;
pub(crate) use place::is_service;
pub use place::{Address, ConnectTo, HostPort, POSTGRES_SOCKET, Place, Ports, Route};
pub use traces::TraceConfig;

/// Google's default for the health server.
const HTTP_ADDRESS: &str = "localhost";
const HTTP_PORT: u16 = 9090;
/// And for the port where a request ends the program.
const ADMIN_PORT: u16 = 9091;
/// Most tunnels of one instance that are kept ready.
const SPARE_TUNNELS: usize = 8;
/// From an application's connection to the database's first word; Google's proxy has the same.
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// What the program uses.
pub struct Config {
    /// The instances, in the order in which they were given; at least one.
    pub instances: Vec<InstanceConfig>,
    /// Listeners that were opened for some of them; their places are not used then.
    pub inherited: Inherited,
    /// How the CA is reached.
    pub authority: AuthorityConfig,
    /// What keys are made.
    pub keys: Keys,
    /// When certificates are renewed.
    pub refresh: Refresh,
    /// Whether a tunnel to each instance is opened before serving.
    pub connection_test: bool,
    /// Most connections at once; `None` without a limit.
    pub max_connections: Option<usize>,
    /// From an application's connection to the database's first word.
    pub dial_timeout: Duration,
    /// Bounds of sessions.
    pub bounds: Bounds,
    /// Most tunnels of one instance that are kept ready; 0 for none.
    pub spare_tunnels: usize,
    /// What is done about instances that are named by a domain.
    pub failover: Failover,
    /// How the program stops.
    pub stop: Stop,
    /// Where health and metrics are served.
    pub http: Option<Http>,
    /// What the names of metrics begin with.
    pub metrics_namespace: Option<String>,
    /// The port of this machine where a request ends the program.
    pub quit_port: Option<u16>,
    /// The administrator's socket.
    pub admin_socket: Option<PathBuf>,
    /// Changes the level of the log, once there is one.
    pub log: Option<LogLevel>,
    /// Where traces of sessions go, and how many.
    pub traces: Option<TraceConfig>,
}

/// Bounds of sessions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Longest silence after one side has ended; `None` for no limit.
    pub half_close: Option<Duration>,
    /// Options of TCP legs.
    pub tcp: TcpOptions,
}

/// How the CA is reached.
pub struct AuthorityConfig {
    /// Who we are.
    pub credentials: Credentials,
    /// Their file, when others may read it.
    pub exposed_key_file: Option<ExposedKeyFile>,
    /// The base URL, where it is not the key file's.
    pub endpoint: Option<String>,
    /// The root, where it is not the key file's.
    pub root_pem: Option<String>,
    /// What we call ourselves.
    pub user_agent: String,
    /// Who pays.
    pub quota_project: Option<String>,
    /// Which way out is taken, to the CA and to agents.
    pub proxies: Proxies,
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

impl Keys {
    fn of(rsa_keys: Option<bool>) -> Self {
        match rsa_keys {
            Some(true) => Self::Rsa,
            _ => Self::P256,
        }
    }
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
        checks::exclusive(&settings, &mut complaints);
        settings.left_out.complain(&mut complaints);
        let endpoint = checks::endpoint(&settings, &mut complaints);
        let credentials = credentials::choose(&settings, environment, &mut complaints);
        let proxies = checks::proxies(environment, &mut complaints);
        let project = project(credentials.as_ref());
        let instances = instances(&settings, project, &mut complaints);
        let root = settings.ca_certificate.as_deref();
        let root_pem = root.and_then(|path| read(path, &mut complaints));
        let metrics_namespace = namespace(&settings, &mut complaints);
        let traces = TraceConfig::of(&settings, &mut complaints);
        let is_set = |flag: Option<bool>| flag.unwrap_or_default();
        let (http, stop) = (Http::of(&settings), Stop::of(&settings));
        let bounds = Bounds::of(&settings);
        let failover = Failover::of(&settings);
        let quit_port =
            is_set(settings.quitquitquit).then(|| settings.admin_port.unwrap_or(ADMIN_PORT));
        let Some(credentials::Chosen {
            credentials,
            exposed,
        }) = credentials
        else {
            return Err(complaints);
        };
        let config = Self {
            instances,
            inherited: Inherited::new(),
            authority: AuthorityConfig {
                credentials,
                exposed_key_file: exposed,
                endpoint,
                root_pem,
                user_agent: user_agent(settings.user_agent.as_deref()),
                quota_project: settings.quota_project,
                proxies,
            },
            keys: Keys::of(settings.rsa_keys),
            refresh: if is_set(settings.lazy_refresh) {
                Refresh::Lazy
            } else {
                Refresh::Ahead
            },
            connection_test: is_set(settings.run_connection_test),
            max_connections: settings.max_connections.filter(|most| *most > 0),
            dial_timeout: settings.dial_timeout.map_or(DIAL_TIMEOUT, |span| span.0),
            bounds,
            spare_tunnels: spare_tunnels(settings.spare_tunnels, settings.lazy_refresh),
            failover,
            stop,
            http,
            metrics_namespace,
            quit_port,
            admin_socket: settings.admin_socket,
            log: None,
            traces,
        };
        complaints.or(config)
    }

    /// Takes the listeners that the service manager opened for this process.
    ///
    /// # Errors
    /// Complaints about those that fit no instance.
    pub fn inherit(&mut self, environment: &Environment) -> Result<(), Complaints> {
        self.inherited = inherited::take(environment, &self.instances)?;
        Ok(())
    }
}

/// Where nothing is to be done between connections, nothing is kept ready.
fn spare_tunnels(most: Option<usize>, lazy: Option<bool>) -> usize {
    match lazy {
        Some(true) => 0,
        _ => most.unwrap_or(SPARE_TUNNELS),
    }
}

fn namespace(settings: &Settings, complaints: &mut Complaints) -> Option<String> {
    let name = settings.prometheus_namespace.as_deref()?;
    complaints.check("prometheus-namespace", checks::namespace(name))
}

impl Bounds {
    fn of(settings: &Settings) -> Self {
        // Zero is no bound.
        let bound = |span: Option<Span>| span.map(|span| span.0).filter(|time| !time.is_zero());
        Self {
            half_close: bound(settings.half_close_timeout),
            tcp: TcpOptions::default().with_user_timeout(bound(settings.tcp_user_timeout)),
        }
    }
}

impl Stop {
    fn of(settings: &Settings) -> Self {
        let span = |span: Option<Span>| span.map_or(Duration::ZERO, |span| span.0);
        Self {
            accept_for: span(settings.min_sigterm_delay),
            drain_for: span(settings.max_sigterm_delay),
            exit_zero: settings.exit_zero_on_sigterm.unwrap_or_default(),
        }
    }
}

impl Http {
    /// Served when somebody asks for health or for metrics.
    fn of(settings: &Settings) -> Option<Self> {
        let metrics = settings.prometheus.unwrap_or_default();
        if !metrics && !settings.health_check.unwrap_or_default() {
            if settings.http_port.is_some() || settings.http_address.is_some() {
                info!("--http-port and --http-address wait for --health-check or --prometheus");
            }
            return None;
        }
        let host = settings.http_address.as_deref();
        Some(Self {
            host: host.unwrap_or(HTTP_ADDRESS).to_owned(),
            port: settings.http_port.unwrap_or(HTTP_PORT),
            metrics,
        })
    }
}

/// Credentials that were refused leave no project: that is no second complaint about short names.
fn project(credentials: Option<&credentials::Chosen>) -> Option<&str> {
    credentials.map_or(Some("unknown"), credentials::Chosen::project)
}

fn instances(
    settings: &Settings,
    project: Option<&str>,
    complaints: &mut Complaints,
) -> Vec<InstanceConfig> {
    if settings.all_instances().next().is_none() {
        complaints.add(
            "instance",
            "give at least one, as in --instance=db1 or --instance=project:region:instance",
        );
    }
    let address = settings.address.as_deref().map(str::parse);
    let defaults = place::Defaults {
        address: address
            .and_then(|address| complaints.check("address", address))
            .unwrap_or_default(),
        port: settings.port.filter(|port| *port != 0),
        unix_socket: settings.unix_socket.clone(),
        tunnel_port: settings.tunnel_port.unwrap_or(TUNNEL_PORT),
        connect_to: settings
            .connect_to
            .as_deref()
            .and_then(|text| complaints.check("connect-to", text.parse())),
        route: Route::of(settings.private_ip, settings.psc, settings.auto_ip),
        socket: guard::socket(settings, complaints),
        callers: guard::callers(settings, complaints),
    };
    let mut found: Vec<InstanceConfig> = Vec::new();
    for text in settings.all_instances() {
        match instance::parse(text, project, &defaults) {
            Ok(instance) if found.iter().any(|other| other.is_same_mount(&instance)) => {
                complaints.add(format!("instance {text}"), "is given twice");
            }
            Ok(instance) => found.push(instance),
            Err(wrong) => complaints.extend(wrong),
        }
    }
    place::count_up(&mut found, defaults.port, complaints);
    place::apart(&found, complaints);
    found
}

/// The files that the settings are read from, as far as they are files.
pub fn watched(settings: &Settings, environment: &Environment) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = [
        &settings.config_file,
        &settings.ca_certificate,
        &settings.credentials_file,
    ]
    .into_iter()
    .flatten()
    .cloned()
    .collect();
    files.extend(credentials::default_file(environment));
    files
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
