//! What Google's proxy takes: facts, and what this program does with each.

/// What becomes of a flag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Same name, same meaning.
    Same,
    /// The same, and what was wrong or missing is not.
    Better(&'static str),
    /// Refused by name; the reason is the program's own text.
    LeftOut,
}

use Status::{Better, LeftOut, Same};

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing, or `=true` and `=false`.
    Switch,
    /// A value.
    Value,
}

use Kind::{Switch, Value};

/// A flag's long name, its letter, its kind, and what becomes of it.
pub(super) type Flag = (&'static str, Option<char>, Kind, Status);

/// The flags of cloud-sql-proxy 2.28.0: facts, in the order of its source.
#[rustfmt::skip]
pub(super) const FLAGS: [Flag; 52] = [
    ("config-file", None, Value, Better("has an environment twin; unknown keys and values of a wrong kind are refused")),
    ("user-agent", None, Value, Same),
    ("token", Some('t'), Value, Same),
    ("login-token", None, Value, LeftOut),
    ("credentials-file", Some('c'), Value, Better("read and checked before anything starts; may name the CA and its root")),
    ("json-credentials", Some('j'), Value, Better("checked before anything starts")),
    ("gcloud-auth", Some('g'), Switch, LeftOut),
    ("structured-logs", Some('l'), Switch, Better("values are fields of their own, not parts of a sentence")),
    ("debug-logs", None, Switch, Same),
    ("max-connections", None, Value, Better("who is over the limit reads error 1040 in place of a closed socket")),
    ("min-sigterm-delay", None, Value, Same),
    ("max-sigterm-delay", None, Value, Better("sessions that are still being opened may finish; the exit code is that of the signal, not 1")),
    ("telemetry-project", None, Value, LeftOut),
    ("disable-traces", None, Switch, Same),
    ("telemetry-sample-rate", None, Value, LeftOut),
    ("disable-metrics", None, Switch, Same),
    ("enable-builtin-metrics", None, Switch, LeftOut),
    ("compute-platform", None, Value, LeftOut),
    ("application-name", None, Value, LeftOut),
    ("telemetry-prefix", None, Value, LeftOut),
    ("exit-zero-on-sigterm", None, Switch, Same),
    ("prometheus", None, Switch, Same),
    ("prometheus-namespace", None, Value, Same),
    ("http-address", None, Value, Same),
    ("http-port", None, Value, Same),
    ("debug", None, Switch, LeftOut),
    ("quitquitquit", None, Switch, Better("by POST alone: a page that somebody opens ends nothing")),
    ("admin-port", None, Value, Same),
    ("health-check", None, Switch, Better("readiness says per instance whether it can serve now, and why not")),
    ("sqladmin-api-endpoint", None, Value, Same),
    ("universe-domain", None, Value, Same),
    ("quota-project", None, Value, Same),
    ("fuse", None, Value, LeftOut),
    ("fuse-tmp-dir", None, Value, LeftOut),
    ("impersonate-service-account", None, Value, LeftOut),
    ("quiet", None, Switch, Better("JSON stays JSON")),
    ("auto-ip", None, Switch, Same),
    ("lazy-refresh", None, Switch, Better("with a port or a PostgreSQL socket path, nothing is fetched before the first connection")),
    ("resource-exhausted-cooldown-delay", None, Value, LeftOut),
    ("sqldata-api-endpoint", None, Value, LeftOut),
    ("run-connection-test", None, Switch, Better("waits for the agent's consent or the database's first word, so that a rejected certificate is noticed; tells all instances that fail")),
    ("skip-failed-instance-config", None, Switch, Better("always so: an instance that fails never stops the others")),
    ("address", Some('a'), Value, Better("localhost means both families; a wildcard is had only by asking for it, with a warning")),
    ("port", Some('p'), Value, Same),
    ("unix-socket", Some('u'), Value, Better("mode 0660 in place of 0777; length checked; a stale socket is replaced, a live one is not; seen only when ready")),
    ("auto-iam-authn", Some('i'), Switch, LeftOut),
    ("private-ip", None, Switch, Same),
    ("psc", None, Switch, Same),
    ("sql-data", None, Switch, LeftOut),
    ("connect-tunnel", None, Switch, LeftOut),
    ("help", Some('h'), Switch, Same),
    ("version", Some('v'), Switch, Same),
];

/// The parameters of its instances, each with a value.
#[rustfmt::skip]
pub(super) const PARAMETERS: [(&str, &str, Status); 9] = [
    ("address", "127.0.0.2", Same),
    ("port", "3310", Same),
    ("unix-socket", "/run/db", Same),
    ("unix-socket-path", "/run/db.sock", Same),
    ("auto-iam-authn", "true", LeftOut),
    ("private-ip", "true", Same),
    ("psc", "true", Same),
    ("sql-data", "true", LeftOut),
    ("connect-tunnel", "true", LeftOut),
];

/// Argument lists of its published help, README, documentation and examples; what stands behind is the only flag
/// that is refused.
#[rustfmt::skip]
pub(super) const EXAMPLES: [(&[&str], Option<&str>); 34] = [
    (&["proj:region:mysql"], None),
    (&["db.example.com"], None),
    (&["proj:region:mysql", "proj:region:pg"], None),
    (&["--port", "6000", "proj:region:mysql"], None),
    (&["--port", "6000", "proj:region:mysql", "proj:region:pg"], None),
    (&["proj:region:pg?port=5000", "proj:region:mysql?port=6000"], None),
    (&["proj:region:pg?address=0.0.0.0", "proj:region:mysql?address=10.0.0.1"], None),
    (&["proj:region:pg", "proj:region:mysql?address=0.0.0.0&port=7000"], None),
    (&["--address", "0.0.0.0", "proj:region:mysql"], None),
    (&["--address", "0.0.0.0", "--port", "5432", "proj:region:pg"], None),
    (&["--private-ip", "proj:region:mysql"], None),
    (&["proj:region:mysql?private-ip=true", "proj:region:pg"], None),
    (&["--psc", "proj:region:mysql"], None),
    (&["--auto-ip", "proj:region:mysql"], None),
    (&["--unix-socket", "/mycooldir", "proj:region:mysql"], None),
    (&["-u", "/cloudsql", "proj:region:mysql"], None),
    (&["proj:region:mysql?unix-socket=/mycooldir"], None),
    (&["proj:region:mysql?unix-socket-path=/mycooldir/mysql.sock"], None),
    (&["--credentials-file", "KEY", "proj:region:mysql"], None),
    (&["-c=KEY", "-p=3310", "proj:region:mysql"], None),
    (&["--structured-logs", "--port=5432", "--credentials-file=KEY", "proj:region:pg"], None),
    (&["--health-check", "--http-address=0.0.0.0", "--http-port=9090", "proj:region:mysql"], None),
    (&["--prometheus", "--http-port", "9090", "proj:region:mysql"], None),
    (&["--debug-logs", "--lazy-refresh", "proj:region:mysql"], None),
    (&["--max-sigterm-delay=30s", "--exit-zero-on-sigterm", "--quiet", "proj:region:mysql"], None),
    (&["--run-connection-test", "proj:region:mysql"], None),
    (&["--quitquitquit", "--admin-port", "9092", "proj:region:mysql"], None),
    (&["--telemetry-project", "proj", "proj:region:mysql"], Some("telemetry-project")),
    (&["--enable-builtin-metrics=false", "proj:region:mysql"], None),
    (&["--application-name", "checkout-api", "proj:region:mysql"], Some("application-name")),
    (&["--auto-iam-authn", "proj:region:mysql"], Some("auto-iam-authn")),
    (&["-gi", "proj:region:mysql"], Some("gcloud-auth")),
    (&["--fuse", "/mycooldir"], Some("fuse")),
    (&["--impersonate-service-account", "a@p.iam.example,b@p.iam.example", "proj:region:mysql"], Some("impersonate-service-account")),
];
