//! `grant` and `ungrant`.

use clap::{Args, ValueHint};
use daemon::text::clean;
use serde_json::{Value, json};

use super::output::Format;
use super::{Place, output};
use crate::error::{Error, Result};
use crate::registry::{Permission, Role};

/// Longest name of a database user or schema, in any database that we know.
const MAX_NAME: usize = 128;
/// Most names in a grant.
const MAX_NAMES: usize = 64;

/// The limits of `--schema`, for the operator who uses it.
const SCHEMAS_AT_LOGIN: &str = "\nSchemas are checked where a login or a change of user names one. Statements are not read:\n\
    `USE other` and `SELECT ... FROM other.t` are for the database to refuse. Revoke the database\n\
    user's privileges on other schemas there.\n";

/// Whose grant on what.
#[derive(Args)]
struct Subject {
    #[command(flatten)]
    place: Place,
    /// The instance: short, or project:region:instance
    #[arg(long, env = "CSQL_CA_INSTANCE")]
    instance: String,
    /// The service account: short, or its full e-mail
    #[arg(long, env = "CSQL_CA_SERVICE_ACCOUNT")]
    service_account: String,
    /// What it lets the account do
    #[arg(long, value_name = "client|agent|admin", env = "CSQL_CA_ROLE", value_parser = daemon::settings::choice::<Role>)]
    role: Role,
}

/// Lets a service account do something with an instance.
#[derive(Args)]
pub(super) struct Grant {
    #[command(flatten)]
    subject: Subject,
    /// Only as this database user; MySQL and MariaDB only (may be repeated; default: any)
    #[arg(long = "db-user", value_name = "USER", value_hint = ValueHint::Other)]
    db_users: Vec<String>,
    /// Only this schema may be named at login; MySQL and MariaDB only, statements are not checked (may be repeated; default: any)
    #[arg(long = "schema", value_name = "SCHEMA", value_hint = ValueHint::Other)]
    schemas: Vec<String>,
    /// Succeed when the same grant exists already
    #[arg(long)]
    if_not_exists: bool,
}

/// Takes a grant back.
#[derive(Args)]
pub(super) struct Ungrant {
    #[command(flatten)]
    subject: Subject,
}

impl Grant {
    pub(super) async fn run(&self) -> Result<()> {
        let subject = &self.subject;
        if subject.role != Role::Client && !(self.db_users.is_empty() && self.schemas.is_empty()) {
            return Err(Error::Invalid(
                "--db-user and --schema narrow role client only".to_owned(),
            ));
        }
        check_names("--db-user", &self.db_users)?;
        check_names("--schema", &self.schemas)?;
        let registry = subject.place.registry().await?;
        let instance = registry.named_instance(&subject.instance).await?;
        let account = registry.named_account(&subject.service_account).await?;
        let permission = Permission {
            account: account.name.clone(),
            account_enabled: account.enabled,
            role: subject.role,
            db_users: self.db_users.clone(),
            schemas: self.schemas.clone(),
        };
        registry
            .grant(&instance, &account, &permission, self.if_not_exists)
            .await?;
        let mut shown = row(&permission);
        shown["instance"] = instance.name.to_string().into();
        if !permission.schemas.is_empty() {
            shown["schemasCheckedAt"] = "login".into();
        }
        if subject.place.format == Format::Table {
            shown = for_people(&shown);
        }
        output::one(subject.place.format, &shown)?;
        if permission.schemas.is_empty() {
            return Ok(());
        }
        output::hint(subject.place.format, SCHEMAS_AT_LOGIN)
    }
}

impl Ungrant {
    pub(super) async fn run(&self) -> Result<()> {
        let subject = &self.subject;
        let registry = subject.place.registry().await?;
        let instance = registry.named_instance(&subject.instance).await?;
        let account = registry.named_account(&subject.service_account).await?;
        registry.ungrant(&instance, &account, subject.role).await?;
        let shown = json!({
            "instance": instance.name.to_string(),
            "serviceAccount": account.name.as_str(),
            "ungranted": subject.role.word(),
        });
        output::one(subject.place.format, &shown)
    }
}

fn check_names(flag: &str, names: &[String]) -> Result<()> {
    let good =
        |name: &String| (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    // Taken to the letter, so that nobody else is let in; and such a name is hardly meant.
    if let Some(name) = names.iter().find(|name| clean(name) != name.as_str()) {
        let clean = clean(name);
        let problem = format!("{flag} {name:?} has blanks or quotes around it; say {clean:?}");
        return Err(Error::Invalid(problem));
    }
    if names.len() <= MAX_NAMES && names.iter().all(good) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{flag} must be 1 to {MAX_NAME} bytes without control characters, at most {MAX_NAMES} times"
    )))
}

/// A grant as it is shown.
pub(super) fn row(permission: &Permission) -> Value {
    json!({
        "serviceAccount": permission.account.as_str(),
        "role": permission.role.word(),
        "dbUsers": permission.db_users,
        "schemas": permission.schemas,
    })
}

/// A grant as a table shows it: one that names no user and no schema is for all of them.
pub(super) fn for_people(grant: &Value) -> Value {
    let mut grant = grant.clone();
    let is_client = grant["role"] == Role::Client.word();
    for names in ["dbUsers", "schemas"] {
        let is_empty = grant[names].as_array().is_some_and(Vec::is_empty);
        if is_client && is_empty {
            grant[names] = "any".into();
        }
    }
    grant
}
