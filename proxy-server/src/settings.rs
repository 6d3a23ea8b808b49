//! What an operator may write: each knob once, as flag, environment variable and key of the settings file.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Parser;
use daemon::log::Style;
use daemon::settings::{Listen, Span, choice};
use serde::Deserialize;

/// The agent beside a database: ends the tunnels of cloudsql-proxy and of Google's connectors, and lets in
/// whom the CA has granted access.
#[derive(Debug, Default, Parser, Deserialize)]
#[command(name = "cloudsql-proxy-server", version)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Settings file (TOML; keys are the flags' names). Flags win over variables, variables over the file
    #[arg(long, env = "CSQL_SERVER_CONFIG_FILE", value_name = "FILE")]
    #[serde(skip)]
    pub config_file: Option<PathBuf>,

    /// Key file of a service account that has role `agent` on every instance served here
    #[arg(long, env = "CSQL_SERVER_CREDENTIALS_FILE", value_name = "FILE")]
    pub credentials_file: Option<PathBuf>,

    /// Take the key file though others than its owner may read it
    #[arg(
        long,
        env = "CSQL_SERVER_ALLOW_INSECURE_KEY_FILE",
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub allow_insecure_key_file: Option<bool>,

    /// PEM file with the root that vouches for the CA's HTTPS certificate [default: the one in the key file]
    #[arg(long, env = "CSQL_SERVER_CA_CERTIFICATE", value_name = "FILE")]
    pub ca_certificate: Option<PathBuf>,

    /// Instance to serve: `project:region:instance`, or the last part alone when the project is the key file's.
    /// Repeat it, or separate by commas, to serve several. `?database=...&engine=...` behind it holds for it alone
    #[arg(
        long = "instance",
        env = "CSQL_SERVER_INSTANCE",
        value_delimiter = ',',
        value_name = "INSTANCE"
    )]
    pub instance: Vec<String>,

    /// Where the database listens: `unix:/PATH` or `/PATH`, `tcp:HOST:PORT` or `HOST:PORT`, or `tls:HOST:PORT` for TLS of
    /// the agent's own
    #[arg(long, env = "CSQL_SERVER_DATABASE", value_name = "DATABASE")]
    pub database: Option<String>,

    /// What the database speaks: mysql, postgres or tcp [default: what the CA says of the instance]
    #[arg(long, env = "CSQL_SERVER_ENGINE", value_name = "ENGINE")]
    pub engine: Option<String>,

    /// Whether MySQL's applications may speak TLS inside the tunnel: off, allow or require
    /// [default: allow for cloudsql-proxy, off for Google's clients]
    #[arg(long, env = "CSQL_SERVER_INNER_TLS", value_name = "MODE")]
    pub inner_tls: Option<String>,

    /// PEM file with the certificate that applications are shown which speak TLS of their own, and its issuers behind it
    /// [default: the instance's, from the CA]
    #[arg(long, env = "CSQL_SERVER_LOCAL_CERTIFICATE", value_name = "FILE")]
    pub local_certificate: Option<PathBuf>,

    /// PEM file with its private key
    #[arg(long, env = "CSQL_SERVER_LOCAL_KEY", value_name = "FILE")]
    pub local_key: Option<PathBuf>,

    /// PEM file with the CA of a `tls:` database, or with its own certificate
    #[arg(long, env = "CSQL_SERVER_DATABASE_CA", value_name = "FILE")]
    pub database_ca: Option<PathBuf>,

    /// SHA-256 of a `tls:` database's certificate: `sha256:` and 64 hexadecimal digits
    #[arg(
        long,
        env = "CSQL_SERVER_DATABASE_FINGERPRINT",
        value_name = "FINGERPRINT"
    )]
    pub database_fingerprint: Option<String>,

    /// Name that a `tls:` database's certificate must have [default: the host's, where it has names at all]
    #[arg(long, env = "CSQL_SERVER_DATABASE_NAME", value_name = "NAME")]
    pub database_name: Option<String>,

    /// PEM file with the certificate that the agent shows to a `tls:` database, for accounts that REQUIRE X509
    #[arg(
        long,
        env = "CSQL_SERVER_DATABASE_CLIENT_CERTIFICATE",
        value_name = "FILE"
    )]
    pub database_client_certificate: Option<PathBuf>,

    /// PEM file with that certificate's key
    #[arg(long, env = "CSQL_SERVER_DATABASE_CLIENT_KEY", value_name = "FILE")]
    pub database_client_key: Option<PathBuf>,

    /// Tell a MariaDB by the PROXY protocol whose connection each one is. It must allow it: proxy_protocol_networks
    #[arg(
        long,
        env = "CSQL_SERVER_PROXY_PROTOCOL",
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub proxy_protocol: Option<bool>,

    /// Address and port for MySQL clients that come without cloudsql-proxy, by TLS of their own
    #[arg(long, env = "CSQL_SERVER_MYSQL_LISTEN", value_name = "ADDRESS:PORT")]
    pub mysql_listen: Option<Listen>,

    /// Whether TLS is offered there: off, allow or require [default: require]
    #[arg(long, env = "CSQL_SERVER_MYSQL_LISTEN_TLS", value_name = "MODE")]
    pub mysql_listen_tls: Option<String>,

    /// Whether clients there show a certificate of the instance's: off, optional or required [default: off: nobody is
    /// identified, and only the database's own passwords protect it]
    #[arg(
        long,
        env = "CSQL_SERVER_MYSQL_LISTEN_CLIENT_CERTIFICATE",
        value_name = "MODE"
    )]
    pub mysql_listen_client_certificate: Option<String>,

    /// Most logins in progress there; a connection beyond is refused [default: 64]
    #[arg(long, env = "CSQL_SERVER_MYSQL_LISTEN_MAX_LOGINS", value_name = "N")]
    pub mysql_listen_max_logins: Option<usize>,

    /// File that the address and port of that listener are written to, once it listens
    #[arg(long, env = "CSQL_SERVER_MYSQL_ADDRESS_FILE", value_name = "FILE")]
    pub mysql_address_file: Option<PathBuf>,

    /// Allow a `tcp:` database that is not on this machine. The bytes to it are not encrypted
    #[arg(
        long,
        env = "CSQL_SERVER_ALLOW_REMOTE_DATABASE",
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub allow_remote_database: Option<bool>,

    /// Address and port for tunnels; `:3307` or `[::]:3307` for IPv4 and IPv6 both [default: 0.0.0.0:3307, IPv4 alone;
    /// Google's connectors know no other port]
    #[arg(long, env = "CSQL_SERVER_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<Listen>,

    /// File that the address and port of the tunnel listener are written to, once it listens
    #[arg(long, env = "CSQL_SERVER_ADDRESS_FILE", value_name = "FILE")]
    pub address_file: Option<PathBuf>,

    /// User to become once the ports are bound: a name, or UID:GID
    #[arg(long, env = "CSQL_SERVER_RUN_AS", value_name = "USER")]
    pub run_as: Option<String>,

    /// Answer /startup, /readiness, /liveness and /metrics over HTTP
    #[arg(
        long,
        env = "CSQL_SERVER_HEALTH_CHECK",
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub health_check: Option<bool>,

    /// Address of the HTTP listener [default: 127.0.0.1]
    #[arg(long, env = "CSQL_SERVER_HTTP_ADDRESS", value_name = "ADDRESS")]
    pub http_address: Option<IpAddr>,

    /// Port of the HTTP listener [default: 9090]; naming one switches --health-check on
    #[arg(long, env = "CSQL_SERVER_HTTP_PORT", value_name = "PORT")]
    pub http_port: Option<u16>,

    /// Most sessions at once [default: 10000]
    #[arg(long, env = "CSQL_SERVER_MAX_CONNECTIONS", value_name = "N")]
    pub max_connections: Option<usize>,

    /// Most sessions of one service account at once [default: a tenth of --max-connections]
    #[arg(
        long,
        env = "CSQL_SERVER_MAX_CONNECTIONS_PER_ACCOUNT",
        value_name = "N"
    )]
    pub max_connections_per_account: Option<usize>,

    /// Most sessions of one service account that have not logged in yet; one beyond waits 2s for its turn [default: 64]
    #[arg(long, env = "CSQL_SERVER_MAX_LOGINS_PER_ACCOUNT", value_name = "N")]
    pub max_logins_per_account: Option<usize>,

    /// Most handshakes in progress; for a connection beyond, the oldest is closed [default: 4096]
    #[arg(long, env = "CSQL_SERVER_MAX_HANDSHAKES", value_name = "N")]
    pub max_handshakes: Option<usize>,

    /// Most handshakes in progress from one address (of IPv6: one /64) [default: 1024]
    #[arg(long, env = "CSQL_SERVER_MAX_HANDSHAKES_PER_SOURCE", value_name = "N")]
    pub max_handshakes_per_source: Option<usize>,

    /// Longest TLS handshake [default: 5s]
    #[arg(long, env = "CSQL_SERVER_HANDSHAKE_TIMEOUT", value_name = "DURATION")]
    pub handshake_timeout: Option<Span>,

    /// Longest time that an application may take to log in; the database's part does not count
    /// [default: 9s, on the MySQL listener 7s]
    #[arg(long, env = "CSQL_SERVER_LOGIN_TIMEOUT", value_name = "DURATION")]
    pub login_timeout: Option<Span>,

    /// Longest time that the database may take for its part of a login [default: 60s]
    #[arg(
        long,
        env = "CSQL_SERVER_DATABASE_LOGIN_TIMEOUT",
        value_name = "DURATION"
    )]
    pub database_login_timeout: Option<Span>,

    /// Longest silence after one side of a session has ended; 0s: no limit [default: 0s]
    #[arg(long, env = "CSQL_SERVER_HALF_CLOSE_TIMEOUT", value_name = "DURATION")]
    pub half_close_timeout: Option<Span>,

    /// TCP_USER_TIMEOUT of connections that leave this machine. It also ends peers that read slowly; 0s: none
    /// [default: 0s]
    #[arg(long, env = "CSQL_SERVER_TCP_USER_TIMEOUT", value_name = "DURATION")]
    pub tcp_user_timeout: Option<Span>,

    /// How long a client may keep a tunnel ready before it uses it; 0s: not at all [default: 60s]
    #[arg(long, env = "CSQL_SERVER_SPARE_TIMEOUT", value_name = "DURATION")]
    pub spare_timeout: Option<Span>,

    /// Most tunnels of one service account that are kept ready [default: 256]
    #[arg(long, env = "CSQL_SERVER_MAX_SPARES_PER_ACCOUNT", value_name = "N")]
    pub max_spares_per_account: Option<usize>,

    /// How long sessions may go on after a request to stop [default: 25s]
    #[arg(long, env = "CSQL_SERVER_DRAIN", value_name = "DURATION")]
    pub drain: Option<Span>,

    /// Longest time since the CA last confirmed the grants for which they admit anybody; 0s: any [default: 65m]
    #[arg(long, env = "CSQL_SERVER_POLICY_MAX_AGE", value_name = "DURATION")]
    pub policy_max_age: Option<Span>,

    /// error, warn, info, debug, trace, or directives such as session=info [default: info without sessions]
    #[arg(long, env = "CSQL_SERVER_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// An OpenTelemetry collector, as http://127.0.0.1:4318: each session is told there as a trace, its legs as spans
    #[arg(long, env = "CSQL_SERVER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// Tell one session in so many there [default: 1]
    #[arg(long, env = "CSQL_SERVER_OTLP_SAMPLE_RATE", value_name = "N")]
    pub otlp_sample_rate: Option<NonZeroU32>,

    /// How log lines look: text or json [default: text]
    #[arg(long, env = "CSQL_SERVER_LOG_STYLE", value_name = "STYLE", value_parser = choice::<Style>)]
    pub log_style: Option<Style>,
}

daemon::overlay!(Settings {
    config_file,
    credentials_file,
    allow_insecure_key_file,
    ca_certificate,
    instance,
    database,
    engine,
    inner_tls,
    local_certificate,
    local_key,
    database_ca,
    database_fingerprint,
    database_name,
    database_client_certificate,
    database_client_key,
    proxy_protocol,
    mysql_listen,
    mysql_listen_tls,
    mysql_listen_client_certificate,
    mysql_listen_max_logins,
    mysql_address_file,
    allow_remote_database,
    listen,
    address_file,
    run_as,
    health_check,
    http_address,
    http_port,
    max_connections,
    max_connections_per_account,
    max_logins_per_account,
    max_handshakes,
    max_handshakes_per_source,
    handshake_timeout,
    login_timeout,
    database_login_timeout,
    half_close_timeout,
    tcp_user_timeout,
    spare_timeout,
    max_spares_per_account,
    drain,
    policy_max_age,
    log_level,
    otlp_endpoint,
    otlp_sample_rate,
    log_style,
});
