//! Flags of Google's proxy that this one has not: refused by name with the reason, never ignored.

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use daemon::settings::{Complaints, Overlay, Table, Value, boolean};

/// One flag that is left out.
pub struct LeftOutFlag {
    /// Its name.
    pub name: &'static str,
    short: Option<char>,
    alias: Option<&'static str>,
    variable: &'static str,
    is_switch: bool,
    /// The reason, and what to do in its place.
    pub reason: &'static str,
}

macro_rules! flag {
    ($name:literal, $variable:literal, $reason:literal) => {
        LeftOutFlag {
            name: $name,
            short: None,
            alias: None,
            variable: concat!("CSQL_PROXY_", $variable),
            is_switch: false,
            reason: $reason,
        }
    };
    ($name:literal, $variable:literal, $($member:ident: $value:expr,)+ $reason:literal) => {
        LeftOutFlag {
            $($member: $value,)+
            ..flag!($name, $variable, $reason)
        }
    };
}

/// All of them.
#[rustfmt::skip]
pub const LEFT_OUT: [LeftOutFlag; 17] = [
    flag!("auto-iam-authn", "AUTO_IAM_AUTHN", short: Some('i'), is_switch: true,
        "there is no login by token yet: use the database user's own password"),
    flag!("login-token", "LOGIN_TOKEN",
        "it belongs to auto-iam-authn: use the database user's own password"),
    flag!("gcloud-auth", "GCLOUD_AUTH", short: Some('g'), is_switch: true,
        "this program starts no other: give a key file with --credentials-file"),
    flag!("impersonate-service-account", "IMPERSONATE_SERVICE_ACCOUNT",
        "the CA lets no account act for another: give the key file of the account itself"),
    flag!("sql-data", "SQL_DATA", is_switch: true,
        "the CA relays no database traffic: open a way to the agent's port 3307"),
    flag!("sqldata-api-endpoint", "SQLDATA_API_ENDPOINT", alias: Some("sql-data-endpoint"),
        "the CA relays no database traffic: open a way to the agent's port 3307"),
    flag!("connect-tunnel", "CONNECT_TUNNEL", is_switch: true,
        "the CA relays no database traffic: open a way to the agent's port 3307"),
    flag!("resource-exhausted-cooldown-delay", "RESOURCE_EXHAUSTED_COOLDOWN_DELAY",
        "it belongs to sql-data, which the CA does not have"),
    flag!("fuse", "FUSE",
        "no file system is mounted: name the instances with --instance and --unix-socket"),
    flag!("fuse-tmp-dir", "FUSE_TMP_DIR", "it belongs to fuse, which there is not"),
    flag!("telemetry-project", "TELEMETRY_PROJECT",
        "nothing is sent to Google: collect metrics with --prometheus"),
    flag!("telemetry-prefix", "TELEMETRY_PREFIX",
        "nothing is sent to Google: collect metrics with --prometheus"),
    flag!("telemetry-sample-rate", "TELEMETRY_SAMPLE_RATE",
        "nothing is sent to Google: collect metrics with --prometheus"),
    flag!("enable-builtin-metrics", "ENABLE_BUILTIN_METRICS", is_switch: true,
        "nothing is sent to Google: leave it out or say false, and collect metrics with --prometheus"),
    flag!("compute-platform", "COMPUTE_PLATFORM",
        "it labels metrics that go to Google, and nothing is sent there: leave it out"),
    flag!("application-name", "APPLICATION_NAME",
        "it labels metrics that go to Google, and nothing is sent there: leave it out"),
    flag!("debug", "DEBUG", is_switch: true,
        "there is no profile of a Go program: see --debug-logs and --prometheus"),
];

/// Names of those flags that were given. One that says false asks for nothing, so it is let through.
#[derive(Clone, Default)]
pub struct LeftOut(Vec<&'static str>);

impl Args for LeftOut {
    fn augment_args(command: Command) -> Command {
        LEFT_OUT.into_iter().fold(command, |command, flag| {
            let arg = Arg::new(flag.name)
                .long(flag.name)
                .env(flag.variable)
                .hide(true)
                .hide_env_values(flag.name == "login-token");
            let arg = flag.short.into_iter().fold(arg, Arg::short);
            let arg = flag.alias.into_iter().fold(arg, Arg::alias);
            command.arg(match flag.is_switch {
                true => arg
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true")
                    .value_parser(clap::value_parser!(bool)),
                false => arg.value_parser(clap::value_parser!(String)),
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for LeftOut {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let is_given = |flag: &LeftOutFlag| match flag.is_switch {
            true => matches.get_one(flag.name) == Some(&true),
            false => matches.get_one::<String>(flag.name).is_some(),
        };
        let given = LEFT_OUT.into_iter().filter(is_given);
        Ok(Self(given.map(|flag| flag.name).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Overlay for LeftOut {
    fn over(mut self, lower: Self) -> Self {
        self.0.extend(lower.0);
        self
    }
}

impl LeftOut {
    /// Complains about each flag that is given.
    pub(crate) fn complain(&self, complaints: &mut Complaints) {
        for flag in LEFT_OUT {
            if self.0.contains(&flag.name) {
                complaints.add(flag.name, is_left_out(flag.reason));
            }
        }
    }
}

/// Complains about each of the file's keys that is one of these flags.
pub(super) fn of_file(table: &mut Table, file: &str, complaints: &mut Complaints) {
    for flag in LEFT_OUT {
        let is_no = match table.remove(flag.name) {
            None | Some(Value::Boolean(false)) => true,
            Some(Value::String(text)) if flag.is_switch => boolean(&text) == Some(false),
            Some(_) => false,
        };
        if !is_no {
            let problem = is_left_out(flag.reason);
            complaints.add(format!("{file}: {}", flag.name), problem);
        }
    }
}

/// Answer to a flag or a parameter that is left out.
pub(crate) fn is_left_out(reason: &str) -> String {
    format!("is Google's and not supported here: {reason}")
}
