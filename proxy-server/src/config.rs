//! The settings, checked: complete, typed, immutable. All that is wrong is told together.

mod direct;
mod instance;
mod leg;
mod traces;

pub(crate) use direct::{Certificates, DirectConfig};
pub(crate) use instance::{InstanceConfig, Wanted};
pub(crate) use leg::LegConfig;
pub(crate) use traces::TraceConfig;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use daemon::settings::{Complaints, Span};
use instance::{Common, LocalFiles};
use proto::TUNNEL_PORT;
use tokio::sync::Semaphore;
use transport::handshake::Budget;
use transport::tunnel;

use crate::backend::Database;
use crate::limits::Ceilings;
use crate::run_as::User;
use crate::settings::Settings;

/// Port of the HTTP listener, as Google's proxy has it.
const HTTP_PORT: u16 = 9090;

/// The life of a client's certificate (1h) and a margin: in an outage of the CA the clients' certificates end first.
const POLICY_MAX_AGE: Duration = Duration::from_secs(65 * 60);
/// Shorter than this, a slow answer of the CA's would refuse sessions.
const MIN_POLICY_MAX_AGE: Duration = Duration::from_secs(10);
/// Shortest time for a login that makes sense.
const LEAST_LOGIN: Duration = Duration::from_secs(1);
/// Longest time that a database has the word in a login: somebody may have to find a telephone first.
const DATABASE_LOGIN: Duration = Duration::from_secs(60);

/// What the agent does.
#[derive(Clone, Debug)]
pub struct Config {
    /// Key file of the agent's service account.
    pub(crate) credentials_file: PathBuf,
    /// Whether it may be one that others can read.
    pub(crate) allow_insecure_key_file: bool,
    /// The CA's root, where it is not the key file's.
    pub(crate) ca_certificate: Option<PathBuf>,
    /// What it serves; at least one.
    pub(crate) instances: Vec<InstanceConfig>,
    /// Where tunnels arrive.
    pub(crate) listen: SocketAddr,
    /// Where to write where that is.
    pub(crate) address_file: Option<PathBuf>,
    /// Whom to become.
    pub(crate) run_as: Option<User>,
    /// Where probes arrive.
    pub(crate) http: Option<SocketAddr>,
    /// How much is let in.
    pub(crate) ceilings: Ceilings,
    /// How long each step of a session may take.
    pub deadlines: Deadlines,
    /// Longest time since the CA's last word for which its grants admit anybody; `None`: any.
    pub policy_max_age: Option<Duration>,
    /// Bounds of sessions after their login.
    pub tunnel_limits: tunnel::Limits,
    /// Longest time that bytes to a peer elsewhere may wait, see `TCP_USER_TIMEOUT`.
    pub(crate) user_timeout: Option<Duration>,
    /// Where traces of sessions go.
    pub(crate) traces: Option<TraceConfig>,
    /// How long sessions may go on after a request to stop.
    pub(crate) drain: Duration,
}

/// How long each step of a session may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// The TLS handshake.
    pub tls: Duration,
    /// Our client's opening frame.
    pub frame: Duration,
    /// Its first byte, where the client has a place for tunnels that it keeps ready; zero gives none.
    pub spare: Duration,
    /// Connecting to the database.
    pub dial: Duration,
    /// The login. MySQL gives an application 10 s (`connect_timeout`): ours is shorter, so that ours can say why.
    pub login: Budget,
    /// Waiting for a turn to log in on the direct listener: a pool that fills itself waits, a flood does not last.
    pub turn: Duration,
    /// The login of a client on the direct listener, of whom nothing is known: it holds a place of the database's.
    pub direct_login: Budget,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            tls: Duration::from_secs(5),
            frame: Duration::from_secs(10),
            spare: Duration::from_secs(60),
            dial: Duration::from_secs(5),
            login: Budget {
                application: Duration::from_secs(9),
                database: DATABASE_LOGIN,
            },
            turn: Duration::from_secs(2),
            direct_login: Budget {
                application: Duration::from_secs(7),
                database: DATABASE_LOGIN,
            },
        }
    }
}

impl Config {
    /// Checks the settings. `root` says whether the program runs as root now.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn new(settings: Settings, root: bool) -> Result<Self, Complaints> {
        let mut complaints = Complaints::default();
        let instances = instances(&settings, &mut complaints);
        let run_as = settings
            .run_as
            .as_deref()
            .and_then(|name| complaints.check("run-as", User::find(name)));
        direct::check(&settings, &instances, &mut complaints);
        leg::check(&settings, &instances, &mut complaints);
        check_database_legs(&settings, &instances, root, &mut complaints);
        let ceilings = ceilings(&settings, &mut complaints);
        let deadlines = deadlines(&settings, &mut complaints);
        let default = SocketAddr::from((Ipv4Addr::UNSPECIFIED, TUNNEL_PORT));
        let listen = settings.listen.as_ref();
        let listen = listen.and_then(|listen| complaints.check("listen", listen.address()));
        let http = http(&settings);
        let policy_max_age = policy_max_age(&settings, &mut complaints);
        let tunnel_limits = tunnel_limits(&settings);
        let user_timeout = bound(settings.tcp_user_timeout);
        let traces = TraceConfig::of(&settings, &mut complaints);
        let credentials_file = settings.credentials_file.unwrap_or_else(|| {
            let problem = "missing: name the key file of a service account with role agent";
            complaints.add("credentials-file", problem);
            PathBuf::new()
        });
        complaints.or(Self {
            credentials_file,
            allow_insecure_key_file: settings.allow_insecure_key_file.unwrap_or(false),
            ca_certificate: settings.ca_certificate,
            instances,
            listen: listen.unwrap_or(default),
            address_file: settings.address_file,
            run_as,
            http,
            ceilings,
            deadlines,
            policy_max_age,
            tunnel_limits,
            user_timeout,
            traces,
            drain: settings
                .drain
                .map_or(Duration::from_secs(25), |drain| drain.0),
        })
    }
}

fn instances(settings: &Settings, complaints: &mut Complaints) -> Vec<InstanceConfig> {
    if settings.instance.is_empty() {
        complaints.add("instance", "missing: name at least one instance to serve");
    }
    let database = settings
        .database
        .as_deref()
        .and_then(|text| complaints.check("database", text.parse::<Database>()));
    let engine = settings
        .engine
        .as_deref()
        .and_then(|text| complaints.check("engine", text.parse()));
    let inner_tls = settings
        .inner_tls
        .as_deref()
        .and_then(|text| complaints.check("inner-tls", text.parse()));
    let direct = direct::common(settings, complaints);
    let common = Common {
        database,
        engine,
        inner_tls,
        local: LocalFiles {
            certificate: settings.local_certificate.clone(),
            key: settings.local_key.clone(),
        },
        leg: LegConfig::common(settings, complaints),
        proxy_protocol: settings.proxy_protocol.unwrap_or(false),
        // Where there are several, this is complained about.
        mysql_listen: settings
            .mysql_listen
            .as_ref()
            .filter(|_| settings.instance.len() == 1)
            .and_then(|listen| complaints.check("mysql-listen", listen.address())),
        // A wrong --database has been complained about; that the instances lack one is no second mistake.
        excused: settings.database.is_some(),
    };
    let mut seen = HashSet::new();
    let mut instances = Vec::new();
    for text in &settings.instance {
        let parsed = instance::parse(text, &common, &direct);
        for problem in parsed.problems {
            complaints.add(instance::shown(text), problem);
        }
        let Some(instance) = parsed.instance else {
            continue;
        };
        let name = (
            instance.wanted.project().map(str::to_owned),
            instance.wanted.label().to_owned(),
        );
        if seen.insert(name) {
            instances.push(instance);
        } else {
            complaints.add(instance::shown(text), "named twice");
        }
    }
    instances
}

fn check_database_legs(
    settings: &Settings,
    instances: &[InstanceConfig],
    root: bool,
    complaints: &mut Complaints,
) {
    let remote_allowed = settings.allow_remote_database.unwrap_or(false);
    for instance in instances {
        let key = || format!("instance {}", instance.wanted);
        let database = &instance.database;
        if database.is_remote() && !remote_allowed {
            let problem = format!(
                "{database} leaves this machine unencrypted: put the agent beside the database, or say --allow-remote-database"
            );
            complaints.add(key(), problem);
        }
        if matches!(database, Database::Unix(_)) && root && settings.run_as.is_none() {
            let problem = "as root the agent would log everybody in as the database's root over a Unix socket: \
                start it as a user of its own, or say --run-as USER";
            complaints.add(key(), problem);
        }
    }
}

fn positive(complaints: &mut Complaints, key: &str, value: Option<usize>, default: usize) -> usize {
    let value = value.unwrap_or(default);
    if (1..=Semaphore::MAX_PERMITS).contains(&value) {
        return value;
    }
    complaints.add(key, format!("expected 1 or more, found {value}"));
    default
}

fn ceilings(settings: &Settings, complaints: &mut Complaints) -> Ceilings {
    let mut positive = |key: &str, value, default| positive(complaints, key, value, default);
    let sessions = positive("max-connections", settings.max_connections, 10_000);
    let handshakes = positive("max-handshakes", settings.max_handshakes, 4096);
    Ceilings {
        sessions,
        sessions_per_account: positive(
            "max-connections-per-account",
            settings.max_connections_per_account,
            (sessions / 10).max(1),
        ),
        logins_per_account: positive(
            "max-logins-per-account",
            settings.max_logins_per_account,
            64,
        ),
        handshakes,
        // They cost what a handshake in progress does, and wait in its place.
        spares: handshakes,
        spares_per_account: positive(
            "max-spares-per-account",
            settings.max_spares_per_account,
            256,
        ),
        handshakes_per_source: positive(
            "max-handshakes-per-source",
            settings.max_handshakes_per_source,
            1024,
        ),
    }
}

fn deadlines(settings: &Settings, complaints: &mut Complaints) -> Deadlines {
    let mut deadlines = Deadlines::default();
    if let Some(tls) = settings.handshake_timeout {
        if tls.0 < Duration::from_millis(100) {
            complaints.add("handshake-timeout", "expected 100ms or more");
        }
        deadlines.tls = tls.0;
    }
    if let Some(spare) = settings.spare_timeout {
        deadlines.spare = spare.0;
    }
    let mut least = |key: &str, span: Option<Span>| {
        if span.is_some_and(|span| span.0 < LEAST_LOGIN) {
            complaints.add(key, "expected 1s or more");
        }
        span.map(|span| span.0)
    };
    if let Some(time) = least("login-timeout", settings.login_timeout) {
        deadlines.login.application = time;
        deadlines.direct_login.application = time;
    }
    if let Some(time) = least("database-login-timeout", settings.database_login_timeout) {
        deadlines.login.database = time;
        deadlines.direct_login.database = time;
    }
    deadlines
}

fn policy_max_age(settings: &Settings, complaints: &mut Complaints) -> Option<Duration> {
    let age = settings.policy_max_age.map_or(POLICY_MAX_AGE, |age| age.0);
    if !age.is_zero() && age < MIN_POLICY_MAX_AGE {
        complaints.add("policy-max-age", "expected 10s or more, or 0s for no limit");
    }
    Some(age).filter(|age| !age.is_zero())
}

/// Bounds of sessions. Zero is no bound.
fn tunnel_limits(settings: &Settings) -> tunnel::Limits {
    tunnel::Limits {
        linger: bound(settings.half_close_timeout),
        ..tunnel::Limits::default()
    }
}

fn bound(span: Option<Span>) -> Option<Duration> {
    span.map(|span| span.0).filter(|time| !time.is_zero())
}

fn http(settings: &Settings) -> Option<SocketAddr> {
    let wanted = settings
        .health_check
        .unwrap_or_else(|| settings.http_port.is_some());
    let address = settings
        .http_address
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    wanted.then(|| SocketAddr::new(address, settings.http_port.unwrap_or(HTTP_PORT)))
}

#[cfg(test)]
mod tests;
