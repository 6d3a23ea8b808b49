//! What the operator wrote: flags, `CSQL_PROXY_*` variables, and the keys of the settings file.
//!
//! Names and meanings are those of Google's proxy where it has them.

mod instances;
mod left_out;
mod load;
mod version_1;

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Parser;
use clap::builder::BoolishValueParser;
use daemon::settings::Span;
use serde::{Deserialize, Serialize};

pub(crate) use instances::VARIABLES;
pub(crate) use left_out::is_left_out;
pub use left_out::{LEFT_OUT, LeftOut, LeftOutFlag};
pub(crate) use version_1::{advice, instance as of_version_1};

/// Connects applications on this machine to databases far away: each connection goes through mutual TLS
/// with a short-lived certificate.
#[derive(Default, Parser, Deserialize, Serialize)]
#[command(name = "cloudsql-proxy", version)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// An instance: project:region:instance, its short name, or a domain whose TXT record names it; with parameters of
    /// its own behind a question mark, as in db1?port=3310 or db1?unix-socket=/run/db. May be given several times. Without any, CSQL_PROXY_INSTANCE
    /// is read, then CSQL_PROXY_INSTANCE_CONNECTION_NAME and the same with _0, _1 and so on, then the settings file.
    #[arg(
        long = "instance",
        value_delimiter = ',',
        value_name = "NAME[?PARAMETER=VALUE&...]"
    )]
    pub instance: Vec<String>,

    /// Instances again, as Google's proxy takes them.
    #[arg(value_name = "INSTANCE")]
    #[serde(skip)]
    pub instances: Vec<String>,

    /// A service account's key file.
    #[arg(
        short = 'c',
        long,
        env = "CSQL_PROXY_CREDENTIALS_FILE",
        value_name = "FILE"
    )]
    pub credentials_file: Option<PathBuf>,

    /// Refuse a key file that other users may read; without this it is warned about.
    #[arg(long, env = "CSQL_PROXY_STRICT_KEY_FILE", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub strict_key_file: Option<bool>,

    /// The content of a key file.
    #[arg(
        short = 'j',
        long,
        env = "CSQL_PROXY_JSON_CREDENTIALS",
        hide_env_values = true,
        value_name = "JSON"
    )]
    #[serde(skip_serializing)]
    pub json_credentials: Option<String>,

    /// An access token; never renewed.
    #[arg(
        short = 't',
        long,
        env = "CSQL_PROXY_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    #[serde(skip_serializing)]
    pub token: Option<String>,

    /// The CA's base URL. Default: what the key file says, else Google's.
    #[arg(long, env = "CSQL_PROXY_SQLADMIN_API_ENDPOINT", value_name = "URL")]
    pub sqladmin_api_endpoint: Option<String>,

    /// The domain of the service that the CA belongs to: the CA is sqladmin.DOMAIN.
    #[arg(long, env = "CSQL_PROXY_UNIVERSE_DOMAIN", value_name = "DOMAIN")]
    pub universe_domain: Option<String>,

    /// PEM of the root that vouches for the CA's HTTPS. Default: what the key file says, else this machine's roots.
    #[arg(long, env = "CSQL_PROXY_CA_CERTIFICATE", value_name = "FILE")]
    pub ca_certificate: Option<PathBuf>,

    /// The project that pays, at Google.
    #[arg(long, env = "CSQL_PROXY_QUOTA_PROJECT", value_name = "PROJECT")]
    pub quota_project: Option<String>,

    /// Text behind the program's name and version in the User-Agent.
    #[arg(long, env = "CSQL_PROXY_USER_AGENT", value_name = "TEXT")]
    pub user_agent: Option<String>,

    /// The IP address to listen on, or localhost for 127.0.0.1 and ::1 both [default: 127.0.0.1].
    #[arg(
        short = 'a',
        long,
        env = "CSQL_PROXY_ADDRESS",
        value_name = "IP|localhost"
    )]
    pub address: Option<String>,

    /// The first instance's port; the next ones count up. 0: the engine's own (3306, 5432), counting up.
    #[arg(short = 'p', long, env = "CSQL_PROXY_PORT")]
    pub port: Option<u16>,

    /// Listen on Unix sockets in this folder, named by the instances.
    #[arg(short = 'u', long, env = "CSQL_PROXY_UNIX_SOCKET", value_name = "DIR")]
    pub unix_socket: Option<PathBuf>,

    /// Permission bits of Unix sockets [default: 0660].
    #[arg(long, env = "CSQL_PROXY_SOCKET_MODE", value_name = "OCTAL")]
    pub socket_mode: Option<String>,

    /// The group of Unix sockets, by name or number [default: the process's own].
    #[arg(long, env = "CSQL_PROXY_SOCKET_GROUP", value_name = "GROUP")]
    pub socket_group: Option<String>,

    /// Allow paths of Unix sockets longer than the system lets applications name (107 bytes).
    #[arg(long, env = "CSQL_PROXY_LONG_SOCKET_PATHS", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub long_socket_paths: Option<bool>,

    /// A user, by number, who may use the Unix sockets; may be given several times [default: whom the mode lets in].
    #[arg(
        long,
        env = "CSQL_PROXY_ALLOW_UID",
        value_delimiter = ',',
        value_name = "UID"
    )]
    pub allow_uid: Vec<u32>,

    /// A primary group, by number, whose users may use the Unix sockets; may be given several times.
    #[arg(
        long,
        env = "CSQL_PROXY_ALLOW_GID",
        value_delimiter = ',',
        value_name = "GID"
    )]
    pub allow_gid: Vec<u32>,

    /// A network from which the TCP ports may be used, as 10.0.0.0/8; may be given several times
    /// [default: whoever reaches them].
    #[arg(
        long,
        env = "CSQL_PROXY_ALLOW_FROM",
        value_delimiter = ',',
        value_name = "NETWORK"
    )]
    pub allow_from: Vec<String>,

    /// Use the instances' private addresses.
    #[arg(long, env = "CSQL_PROXY_PRIVATE_IP", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub private_ip: Option<bool>,

    /// Use the instances' names for Private Service Connect.
    #[arg(long, env = "CSQL_PROXY_PSC", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub psc: Option<bool>,

    /// Use the public address where there is one, else the private one.
    #[arg(long, env = "CSQL_PROXY_AUTO_IP", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub auto_ip: Option<bool>,

    /// The port of the agents [default: 3307].
    #[arg(long, env = "CSQL_PROXY_TUNNEL_PORT", value_name = "PORT")]
    pub tunnel_port: Option<u16>,

    /// Connect to this address, or where DNS has this service (_csql._tcp.db.example), in place of what the CA names. The
    /// agent there has to prove that it is the instance's.
    #[arg(long, env = "CSQL_PROXY_CONNECT_TO", value_name = "HOST:PORT|SERVICE")]
    pub connect_to: Option<String>,

    /// How often DNS is asked which instance a domain stands for [default: 30s].
    #[arg(long, env = "CSQL_PROXY_FAILOVER_PERIOD", value_name = "DURATION")]
    pub failover_period: Option<Span>,

    /// When a domain leads to another instance, close what goes to the one before after this time [default: never].
    #[arg(long, env = "CSQL_PROXY_SWITCH_GRACE", value_name = "DURATION")]
    pub switch_grace: Option<Span>,

    /// Use RSA keys, as Google's connectors do, in place of ECDSA P-256.
    #[arg(long, env = "CSQL_PROXY_RSA_KEYS", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub rsa_keys: Option<bool>,

    /// Renew certificates when they are needed, not ahead: for machines whose processor is throttled.
    #[arg(long, env = "CSQL_PROXY_LAZY_REFRESH", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub lazy_refresh: Option<bool>,

    /// Open a tunnel to each instance before serving; end with 1 when one fails.
    #[arg(long, env = "CSQL_PROXY_RUN_CONNECTION_TEST", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub run_connection_test: Option<bool>,

    /// Most connections at once, over all instances. 0: no limit.
    #[arg(long, env = "CSQL_PROXY_MAX_CONNECTIONS", value_name = "N")]
    pub max_connections: Option<usize>,

    /// Most tunnels that are kept ready for applications to come, of each instance; 0: none [default: 8].
    #[arg(long, env = "CSQL_PROXY_SPARE_TUNNELS", value_name = "N")]
    pub spare_tunnels: Option<usize>,

    /// Longest wait from an application's connection to the database's first word [default: 30s].
    #[arg(long, env = "CSQL_PROXY_DIAL_TIMEOUT", value_name = "DURATION")]
    pub dial_timeout: Option<Span>,

    /// Longest silence after one side of a session has ended; 0s: no limit [default: 0s].
    #[arg(long, env = "CSQL_PROXY_HALF_CLOSE_TIMEOUT", value_name = "DURATION")]
    pub half_close_timeout: Option<Span>,

    /// TCP_USER_TIMEOUT of connections that leave this machine. It also ends peers that read slowly; 0s: none [default: 0s].
    #[arg(long, env = "CSQL_PROXY_TCP_USER_TIMEOUT", value_name = "DURATION")]
    pub tcp_user_timeout: Option<Span>,

    /// After a signal, go on accepting for this long [default: 0s].
    #[arg(long, env = "CSQL_PROXY_MIN_SIGTERM_DELAY", value_name = "DURATION")]
    pub min_sigterm_delay: Option<Span>,

    /// Then wait this long for connections to end by themselves [default: 0s].
    #[arg(long, env = "CSQL_PROXY_MAX_SIGTERM_DELAY", value_name = "DURATION")]
    pub max_sigterm_delay: Option<Span>,

    /// Exit with 0 after SIGTERM, whatever was still open.
    #[arg(long, env = "CSQL_PROXY_EXIT_ZERO_ON_SIGTERM", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub exit_zero_on_sigterm: Option<bool>,

    /// Serve /startup, /readiness and /liveness over HTTP.
    #[arg(long, env = "CSQL_PROXY_HEALTH_CHECK", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub health_check: Option<bool>,

    /// Serve /metrics over HTTP.
    #[arg(long, env = "CSQL_PROXY_PROMETHEUS", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub prometheus: Option<bool>,

    /// What the names of the metrics begin with.
    #[arg(long, env = "CSQL_PROXY_PROMETHEUS_NAMESPACE", value_name = "NAME")]
    pub prometheus_namespace: Option<String>,

    /// Let POST /quitquitquit on 127.0.0.1 end the program; see also --admin-socket, which no other user reaches.
    #[arg(long, env = "CSQL_PROXY_QUITQUITQUIT", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub quitquitquit: Option<bool>,

    /// The port of that [default: 9091].
    #[arg(long, env = "CSQL_PROXY_ADMIN_PORT", value_name = "PORT")]
    pub admin_port: Option<u16>,

    /// Where that HTTP listens [default: localhost].
    #[arg(long, env = "CSQL_PROXY_HTTP_ADDRESS", value_name = "HOST")]
    pub http_address: Option<String>,

    /// And on which port [default: 9090].
    #[arg(long, env = "CSQL_PROXY_HTTP_PORT", value_name = "PORT")]
    pub http_port: Option<u16>,

    /// A Unix socket for `shutdown`, `top`, `healthcheck` and `wait`, which only this user can reach.
    #[arg(long, env = "CSQL_PROXY_ADMIN_SOCKET", value_name = "FILE")]
    pub admin_socket: Option<PathBuf>,

    /// Log errors only.
    #[arg(long, env = "CSQL_PROXY_QUIET", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub quiet: Option<bool>,

    /// Log JSON lines.
    #[arg(short = 'l', long, env = "CSQL_PROXY_STRUCTURED_LOGS", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub structured_logs: Option<bool>,

    /// Log each step.
    #[arg(long, env = "CSQL_PROXY_DEBUG_LOGS", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub debug_logs: Option<bool>,

    /// error, warn, info, debug, trace, or directives such as session=info, which shows one line per connection.
    #[arg(long, env = "CSQL_PROXY_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// Accepted for Google's sake: no metrics are sent anywhere.
    #[arg(long, env = "CSQL_PROXY_DISABLE_METRICS", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub disable_metrics: Option<bool>,

    /// An OpenTelemetry collector, as http://127.0.0.1:4318: each session is told there as a trace, its legs as spans.
    #[arg(long, env = "CSQL_PROXY_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// Tell one session in so many there [default: 1].
    #[arg(long, env = "CSQL_PROXY_OTLP_SAMPLE_RATE", value_name = "N")]
    pub otlp_sample_rate: Option<NonZeroU32>,

    /// Send no traces, whatever --otlp-endpoint says.
    #[arg(long, env = "CSQL_PROXY_DISABLE_TRACES", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub disable_traces: Option<bool>,

    /// Accepted for Google's sake: an instance that fails never stops the others.
    #[arg(long, env = "CSQL_PROXY_SKIP_FAILED_INSTANCE_CONFIG", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub skip_failed_instance_config: Option<bool>,

    /// A TOML, YAML or JSON file with the names of these flags as keys. Flags and variables win over it.
    #[arg(long, env = "CSQL_PROXY_CONFIG_FILE", value_name = "FILE")]
    #[serde(skip)]
    pub config_file: Option<PathBuf>,

    /// What Google's proxy has and this one has not.
    #[command(flatten)]
    #[serde(skip)]
    pub left_out: LeftOut,
}

daemon::overlay!(Settings {
    instance,
    instances,
    credentials_file,
    strict_key_file,
    json_credentials,
    token,
    sqladmin_api_endpoint,
    universe_domain,
    ca_certificate,
    quota_project,
    user_agent,
    address,
    port,
    unix_socket,
    socket_mode,
    socket_group,
    long_socket_paths,
    allow_uid,
    allow_gid,
    allow_from,
    private_ip,
    psc,
    auto_ip,
    tunnel_port,
    connect_to,
    failover_period,
    switch_grace,
    rsa_keys,
    lazy_refresh,
    run_connection_test,
    max_connections,
    spare_tunnels,
    dial_timeout,
    half_close_timeout,
    tcp_user_timeout,
    min_sigterm_delay,
    max_sigterm_delay,
    exit_zero_on_sigterm,
    health_check,
    prometheus,
    prometheus_namespace,
    quitquitquit,
    admin_port,
    http_address,
    http_port,
    admin_socket,
    quiet,
    structured_logs,
    debug_logs,
    log_level,
    disable_metrics,
    disable_traces,
    otlp_endpoint,
    otlp_sample_rate,
    skip_failed_instance_config,
    config_file,
    left_out,
});
