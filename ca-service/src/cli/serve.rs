//! `serve`: its settings, from flags, environment and file, become a complete [`Config`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory as _};
use daemon::environment::Environment;
use daemon::exit::Exit;
use daemon::log;
use daemon::settings::{Complaints, Listen, Span, check_variables, choice, complain, load};
use serde::Deserialize;

use super::PROGRAM;
use crate::clock::Seconds;
use crate::error::{Error, Result};
use crate::https::CertificateFiles;
use crate::issuer::{LONGEST, Lifetimes, SHORTEST};
use crate::limits::Rates;
use crate::retention::Retention;
use crate::serve::{self, Bounds, Config};
use crate::service::Policy;
use crate::store;

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8443);
/// Rule of the assertion's clock: 30 s, and never more than a minute.
const LEEWAY: (Seconds, Seconds) = (30, 60);

/// Answers requests.
#[derive(Args)]
pub(super) struct Serve {
    /// Settings file (TOML; keys are named as the flags, flags and environment win over it)
    #[arg(long, value_name = "FILE", env = "CSQL_CA_CONFIG_FILE")]
    config_file: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// The settings of `serve`, each from a flag, `CSQL_CA_...` or the settings file.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Data directory of the CA
    #[arg(long, value_name = "DIR", env = "CSQL_CA_DATA")]
    data: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8443]
    #[arg(long, value_name = "HOST:PORT", env = "CSQL_CA_LISTEN")]
    listen: Option<Listen>,
    /// Speak plain HTTP; only with a loopback address in --listen
    #[arg(long, env = "CSQL_CA_INSECURE_HTTP", num_args = 0..=1, default_missing_value = "true")]
    insecure_http: Option<bool>,
    /// Certificate for HTTPS in place of one from the CA's own root: PEM, then those that issued it; read again when it changes
    #[arg(long, value_name = "FILE", env = "CSQL_CA_TLS_CERTIFICATE")]
    tls_certificate: Option<PathBuf>,
    /// Private key of --tls-certificate, PEM; readable by the CA's user alone
    #[arg(long, value_name = "FILE", env = "CSQL_CA_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// The store, where it was moved out of the data directory; every command uses it from then on [default:
    /// sqlite:DIR/store.db]
    #[arg(long, value_name = "URL", env = "CSQL_CA_STORE")]
    store: Option<String>,
    /// Write the address that --listen became to this file
    #[arg(long, value_name = "FILE", env = "CSQL_CA_ADDRESS_FILE")]
    address_file: Option<PathBuf>,
    /// Answer /livez, /readyz and /metrics here too, to anybody (the main address answers them to loopback only)
    #[arg(long, value_name = "HOST:PORT", env = "CSQL_CA_HEALTH_LISTEN")]
    health_listen: Option<Listen>,
    /// Life of client certificates, 300s to 24h [default: 1h]
    #[arg(long, value_name = "DURATION", env = "CSQL_CA_CERTIFICATE_TTL")]
    certificate_ttl: Option<Span>,
    /// Life of server certificates, 300s to 24h [default: 24h]
    #[arg(long, value_name = "DURATION", env = "CSQL_CA_SERVER_CERTIFICATE_TTL")]
    server_certificate_ttl: Option<Span>,
    /// How far a caller's clock may differ, at most 60s [default: 30s]
    #[arg(long, value_name = "DURATION", env = "CSQL_CA_LEEWAY")]
    leeway: Option<Span>,
    /// Connections at once [default: 4096]
    #[arg(long, value_name = "N", env = "CSQL_CA_MAX_CONNECTIONS")]
    max_connections: Option<usize>,
    /// Connections at once from one IPv4 address, or one IPv6 network of 64 bits [default: 512]
    #[arg(long, value_name = "N", env = "CSQL_CA_MAX_CONNECTIONS_PER_ADDRESS")]
    max_connections_per_address: Option<usize>,
    /// Requests a second from one IPv4 address, or one IPv6 network of 64 bits; ten times as many at once [default: 200]
    #[arg(long, value_name = "N", env = "CSQL_CA_RATE_PER_ADDRESS")]
    rate_per_address: Option<NonZeroU32>,
    /// Requests a second from one service account; ten times as many at once [default: 100]
    #[arg(long, value_name = "N", env = "CSQL_CA_RATE_PER_ACCOUNT")]
    rate_per_account: Option<NonZeroU32>,
    /// Certificates a second for all together; ten times as many at once [default: 200]
    #[arg(long, value_name = "N", env = "CSQL_CA_RATE_OF_SIGNING")]
    rate_of_signing: Option<NonZeroU32>,
    /// Certificates a second for one service account; ten times as many at once [default: 50]
    #[arg(long, value_name = "N", env = "CSQL_CA_RATE_OF_SIGNING_PER_ACCOUNT")]
    rate_of_signing_per_account: Option<NonZeroU32>,
    /// How long certificates are kept after their end, and entries of the audit; 0 keeps them for ever [default:
    /// certificates=90d,audit=400d]
    #[arg(long, value_name = "TABLE=DURATION,...", env = "CSQL_CA_RETAIN")]
    retain: Option<Retention>,
    /// Wait for requests in progress when told to stop [default: 10s]
    #[arg(long, value_name = "DURATION", env = "CSQL_CA_DRAIN_TIMEOUT")]
    drain_timeout: Option<Span>,
    /// error, warn, info, debug, trace, or directives such as info,audit=off [default: info]
    #[arg(long, value_name = "LEVEL", env = "CSQL_CA_LOG_LEVEL")]
    log_level: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, value_name = "text|json", env = "CSQL_CA_LOG_FORMAT", value_parser = choice::<log::Style>)]
    log_format: Option<log::Style>,
}

daemon::overlay!(Settings {
    data,
    listen,
    insecure_http,
    tls_certificate,
    tls_key,
    store,
    address_file,
    health_listen,
    certificate_ttl,
    server_certificate_ttl,
    leeway,
    max_connections,
    max_connections_per_address,
    rate_per_address,
    rate_per_account,
    rate_of_signing,
    rate_of_signing_per_account,
    retain,
    drain_timeout,
    log_level,
    log_format,
});

impl Serve {
    pub(super) async fn run(&self) -> Result<Exit> {
        let prepared = self.read().and_then(|settings| {
            let style = settings.log_format.unwrap_or_default();
            let log = log::init(settings.log_level.as_deref(), style, log::Output::default())?;
            let names_store = settings.store.is_some();
            let mut complaints =
                check_variables(&super::Cli::command(), &[], &Environment::of_process());
            match Config::try_from(settings) {
                Ok(config) => complaints.or((config, names_store, log)),
                Err(wrong) => {
                    complaints.extend(wrong);
                    Err(complaints)
                }
            }
        });
        let (mut config, names_store, log) = match prepared {
            Ok(prepared) => prepared,
            Err(complaints) => return Ok(complain(PROGRAM, &complaints)),
        };
        store::secure_directory(&config.data, false)?;
        // A default that nobody named may be elsewhere; a named place must be the remembered one.
        let named = names_store.then_some(config.store.as_path());
        config.store = store::locate(&config.data, named)?;
        daemon::harden::harden();
        tokio::select! {
            ended = serve::run(&config) => ended,
            never = log.follow(|| Ok(self.read()?.log_level)) => {
                let never = never.map_err(|source| Error::Listen {
                    address: "signals".to_owned(),
                    source,
                });
                match never? {}
            }
        }
    }

    fn read(&self) -> std::result::Result<Settings, Complaints> {
        load(self.settings.clone(), self.config_file.as_deref())
    }
}

impl TryFrom<Settings> for Config {
    type Error = Complaints;

    fn try_from(settings: Settings) -> Result<Self, Complaints> {
        let mut complaints = Complaints::default();
        let policy = policy(&settings, &mut complaints);
        let insecure_http = settings.insecure_http.unwrap_or(false);
        let mut address = |key: &str, listen: &Option<Listen>| {
            let listen = listen.as_ref();
            listen.and_then(|listen| complaints.check(key, listen.address()))
        };
        let listen = address("listen", &settings.listen).unwrap_or(LISTEN);
        let health_listen = address("health-listen", &settings.health_listen);
        if insecure_http && !listen.ip().is_loopback() {
            let problem = format!("plain HTTP is for loopback only, and --listen is {listen}");
            complaints.add("insecure-http", problem);
        }
        let certificate = certificate_files(&settings, insecure_http, &mut complaints);
        let data = settings.data.unwrap_or_default();
        if data.as_os_str().is_empty() {
            complaints.add(
                "data",
                "it is missing; it is the directory that `init` made",
            );
        }
        let store = match settings.store.as_deref() {
            None => store::file(&data),
            Some(url) => complaints
                .check("store", store_path(url))
                .unwrap_or_default(),
        };
        let bounds = Bounds {
            total: settings.max_connections.unwrap_or(4096),
            per_address: settings.max_connections_per_address.unwrap_or(512),
        };
        if bounds.total == 0 || bounds.per_address == 0 {
            complaints.add("max-connections", "no connection at all would be accepted");
        }
        complaints.or(Self {
            data,
            store,
            listen,
            insecure_http,
            certificate,
            health_listen,
            address_file: settings.address_file,
            policy,
            bounds,
            retention: settings.retain.unwrap_or_default(),
            drain: settings
                .drain_timeout
                .map_or(Duration::from_secs(10), |span| span.0),
        })
    }
}

/// Where the operator's own certificate is, if one is to be shown.
fn certificate_files(
    settings: &Settings,
    insecure_http: bool,
    complaints: &mut Complaints,
) -> Option<CertificateFiles> {
    let (certificate, key) = (&settings.tls_certificate, &settings.tls_key);
    if insecure_http && (certificate.is_some() || key.is_some()) {
        complaints.add("tls-certificate", "plain HTTP shows no certificate");
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            return Some(CertificateFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            });
        }
        (Some(_), None) => complaints.add("tls-key", "it is missing beside --tls-certificate"),
        (None, Some(_)) => complaints.add("tls-certificate", "it is missing beside --tls-key"),
        (None, None) => {}
    }
    None
}

fn policy(settings: &Settings, complaints: &mut Complaints) -> Policy {
    let mut seconds =
        |key: &str, span: Option<Span>, default: Seconds, allowed: (Seconds, Seconds)| {
            let given = span.map_or(Ok(default), |span| i64::try_from(span.0.as_secs()));
            let given = given.unwrap_or(i64::MAX);
            if !(allowed.0..=allowed.1).contains(&given) {
                complaints.add(
                    key,
                    format!("expected {}s to {}s, found {given}s", allowed.0, allowed.1),
                );
            }
            given
        };
    let lives = (SHORTEST, LONGEST);
    let lifetimes = Lifetimes {
        client: seconds("certificate-ttl", settings.certificate_ttl, 3600, lives),
        server: seconds(
            "server-certificate-ttl",
            settings.server_certificate_ttl,
            LONGEST,
            lives,
        ),
    };
    let leeway = seconds("leeway", settings.leeway, LEEWAY.0, (0, LEEWAY.1));
    let rate = |given: Option<NonZeroU32>, default: u32| {
        let default = NonZeroU32::new(default).unwrap_or(NonZeroU32::MIN);
        given.unwrap_or(default)
    };
    let rates = Rates {
        source: rate(settings.rate_per_address, 200),
        account: rate(settings.rate_per_account, 100),
        signing: rate(settings.rate_of_signing, 200),
        signing_each: rate(settings.rate_of_signing_per_account, 50),
    };
    Policy {
        lifetimes,
        leeway,
        rates,
    }
}

fn store_path(url: &str) -> Result<PathBuf, &'static str> {
    match url.split_once(':') {
        Some(("sqlite", path)) => Ok(path.strip_prefix("//").unwrap_or(path).into()),
        _ => Err("expected sqlite:PATH, the one kind of store that this program was built with"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/settings/ca.toml"
    ));

    fn loaded(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.toml");
        std::fs::write(&path, text).unwrap();
        let flags = Settings {
            data: Some("/var/lib/cloudsql-ca".into()),
            ..Settings::default()
        };
        Config::try_from(load(flags, Some(&path)).unwrap()).unwrap()
    }

    #[test]
    fn the_example_settings_are_good_and_what_they_call_the_default_is_it() {
        let mut keys = 0;
        let uncommented: String = EXAMPLE
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.starts_with(' ') => setting,
                _ => line,
            })
            .inspect(|line| keys += usize::from(line.contains(" = ")))
            .flat_map(|line| [line, "\n"])
            .collect();
        let (given, all) = (loaded(EXAMPLE), loaded(&uncommented));
        // All but `data`, which the unit names, and `address-file`, which is for tests and scripts.
        assert_eq!(
            keys,
            <Settings as daemon::settings::Settings>::keys().len() - 2
        );
        assert_eq!(given.listen, "0.0.0.0:8443".parse().unwrap());
        assert_eq!(
            format!("{:?}", given.policy.lifetimes),
            format!("{:?}", all.policy.lifetimes)
        );
        assert_eq!(
            format!("{:?}", given.policy.rates),
            format!("{:?}", all.policy.rates)
        );
        assert_eq!(given.policy.leeway, all.policy.leeway);
        assert_eq!((given.store, given.drain), (all.store, all.drain));
        assert_eq!(given.retention, all.retention);
        assert_eq!(given.certificate, None);
        assert_eq!(given.bounds.total, all.bounds.total);
        assert_eq!(given.bounds.per_address, all.bounds.per_address);
    }
}
