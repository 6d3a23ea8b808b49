//! Flags of Google's proxy that this one has not: refused by name with the reason, never ignored.

use clap::builder::BoolishValueParser;
use daemon::settings::{Complaints, Overlay, Table, Value};

/// Each flag with why it is left out and what to do in its place.
pub const LEFT_OUT: [(&str, &str); 13] = [
    (
        "auto-iam-authn",
        "there is no login by token yet: use the database user's own password",
    ),
    (
        "login-token",
        "it belongs to auto-iam-authn: use the database user's own password",
    ),
    (
        "gcloud-auth",
        "this program starts no other: give a key file with --credentials-file",
    ),
    (
        "impersonate-service-account",
        "the CA lets no account act for another: give the key file of the account itself",
    ),
    (
        "sql-data",
        "the CA relays no database traffic: open a way to the agent's port 3307",
    ),
    (
        "sqldata-api-endpoint",
        "the CA relays no database traffic: open a way to the agent's port 3307",
    ),
    (
        "resource-exhausted-cooldown-delay",
        "it belongs to sql-data, which the CA does not have",
    ),
    (
        "fuse",
        "no file system is mounted: name the instances with --instance and --unix-socket",
    ),
    ("fuse-tmp-dir", "it belongs to fuse, which there is not"),
    (
        "telemetry-project",
        "nothing is sent to Google: collect metrics with --prometheus",
    ),
    (
        "telemetry-prefix",
        "nothing is sent to Google: collect metrics with --prometheus",
    ),
    (
        "telemetry-sample-rate",
        "nothing is sent to Google: collect metrics with --prometheus",
    ),
    (
        "debug",
        "there is no profile of a Go program: see --debug-logs and --prometheus",
    ),
];

/// The flags themselves. One that says false asks for nothing, so it is let through.
#[derive(Clone, Default, clap::Args)]
#[group(skip)]
pub struct LeftOut {
    #[arg(short = 'i', long, env = "CSQL_PROXY_AUTO_IAM_AUTHN", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    auto_iam_authn: Option<bool>,
    #[arg(
        long,
        env = "CSQL_PROXY_LOGIN_TOKEN",
        hide = true,
        hide_env_values = true
    )]
    login_token: Option<String>,
    #[arg(short = 'g', long, env = "CSQL_PROXY_GCLOUD_AUTH", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    gcloud_auth: Option<bool>,
    #[arg(long, env = "CSQL_PROXY_IMPERSONATE_SERVICE_ACCOUNT", hide = true)]
    impersonate_service_account: Option<String>,
    #[arg(long, env = "CSQL_PROXY_SQL_DATA", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    sql_data: Option<bool>,
    #[arg(
        long,
        alias = "sql-data-endpoint",
        env = "CSQL_PROXY_SQLDATA_API_ENDPOINT",
        hide = true
    )]
    sqldata_api_endpoint: Option<String>,
    #[arg(
        long,
        env = "CSQL_PROXY_RESOURCE_EXHAUSTED_COOLDOWN_DELAY",
        hide = true
    )]
    resource_exhausted_cooldown_delay: Option<String>,
    #[arg(long, env = "CSQL_PROXY_FUSE", hide = true)]
    fuse: Option<String>,
    #[arg(long, env = "CSQL_PROXY_FUSE_TMP_DIR", hide = true)]
    fuse_tmp_dir: Option<String>,
    #[arg(long, env = "CSQL_PROXY_TELEMETRY_PROJECT", hide = true)]
    telemetry_project: Option<String>,
    #[arg(long, env = "CSQL_PROXY_TELEMETRY_PREFIX", hide = true)]
    telemetry_prefix: Option<String>,
    #[arg(long, env = "CSQL_PROXY_TELEMETRY_SAMPLE_RATE", hide = true)]
    telemetry_sample_rate: Option<String>,
    #[arg(long, env = "CSQL_PROXY_DEBUG", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    debug: Option<bool>,
}

impl Overlay for LeftOut {
    fn over(self, lower: Self) -> Self {
        Self {
            auto_iam_authn: self.auto_iam_authn.over(lower.auto_iam_authn),
            login_token: self.login_token.over(lower.login_token),
            gcloud_auth: self.gcloud_auth.over(lower.gcloud_auth),
            impersonate_service_account: self
                .impersonate_service_account
                .over(lower.impersonate_service_account),
            sql_data: self.sql_data.over(lower.sql_data),
            sqldata_api_endpoint: self.sqldata_api_endpoint.over(lower.sqldata_api_endpoint),
            resource_exhausted_cooldown_delay: self
                .resource_exhausted_cooldown_delay
                .over(lower.resource_exhausted_cooldown_delay),
            fuse: self.fuse.over(lower.fuse),
            fuse_tmp_dir: self.fuse_tmp_dir.over(lower.fuse_tmp_dir),
            telemetry_project: self.telemetry_project.over(lower.telemetry_project),
            telemetry_prefix: self.telemetry_prefix.over(lower.telemetry_prefix),
            telemetry_sample_rate: self.telemetry_sample_rate.over(lower.telemetry_sample_rate),
            debug: self.debug.over(lower.debug),
        }
    }
}

impl LeftOut {
    /// Complains about each flag that is given.
    pub(crate) fn complain(&self, complaints: &mut Complaints) {
        let given = [
            self.auto_iam_authn == Some(true),
            self.login_token.is_some(),
            self.gcloud_auth == Some(true),
            self.impersonate_service_account.is_some(),
            self.sql_data == Some(true),
            self.sqldata_api_endpoint.is_some(),
            self.resource_exhausted_cooldown_delay.is_some(),
            self.fuse.is_some(),
            self.fuse_tmp_dir.is_some(),
            self.telemetry_project.is_some(),
            self.telemetry_prefix.is_some(),
            self.telemetry_sample_rate.is_some(),
            self.debug == Some(true),
        ];
        for ((name, reason), is_given) in LEFT_OUT.into_iter().zip(given) {
            if is_given {
                complaints.add(name, is_left_out(reason));
            }
        }
    }
}

/// Complains about each of the file's keys that is one of these flags.
pub(super) fn of_file(table: &mut Table, file: &str, complaints: &mut Complaints) {
    for (name, reason) in LEFT_OUT {
        match table.remove(name) {
            None | Some(Value::Boolean(false)) => {}
            Some(_) => complaints.add(format!("{file}: {name}"), is_left_out(reason)),
        }
    }
}

/// What a flag or a parameter that is left out gets.
pub(crate) fn is_left_out(reason: &str) -> String {
    format!("is Google's and not supported here: {reason}")
}
