//! Grants: what an account may do with an instance.

use std::str::FromStr;

use proto::AccountName;
use serde_json::{Value, json};
use sqlx::FromRow;

use super::{Account, Instance, Registry};
use crate::audit::{self, Entry};
use crate::error::{Error, Result};
use crate::store::is_duplicate;

/// What a grant lets its account do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// Connect.
    Client,
    /// Be its server.
    Agent,
    /// Administer it.
    Admin,
}

/// One grant on an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Permission {
    /// Whose.
    pub(crate) account: AccountName,
    /// Whether that account is switched on.
    pub(crate) account_enabled: bool,
    /// What it lets it do.
    pub(crate) role: Role,
    /// As which database users; empty: any.
    pub(crate) db_users: Vec<String>,
    /// To which schemas; empty: any.
    pub(crate) schemas: Vec<String>,
}

#[derive(FromRow)]
struct Row {
    email: String,
    enabled: i64,
    role: String,
    db_users: String,
    schemas: String,
}

impl Role {
    /// As it is stored and shown.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Agent => "agent",
            Self::Admin => "admin",
        }
    }
}

impl Permission {
    /// Whether it names database users or schemas.
    pub(crate) fn is_narrowed(&self) -> bool {
        !(self.db_users.is_empty() && self.schemas.is_empty())
    }
}

/// Refuses users and schemas that no agent can check with the instance's engine.
fn check_narrowing(instance: &Instance, permission: &Permission) -> Result<()> {
    if !permission.is_narrowed() || instance.engine().enforces_narrowing() {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "--db-user and --schema hold with MySQL and MariaDB only, and {} is a {}: agents would refuse \
        this grant; leave them out and limit the account in the database itself",
        instance.name, instance.database_version
    )))
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        [Self::Client, Self::Agent, Self::Admin]
            .into_iter()
            .find(|role| role.word() == word)
            .ok_or_else(|| Error::Invalid(format!("{word} is not a role")))
    }
}

impl TryFrom<Row> for Permission {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let list = |text: &str| {
            // A narrowed grant that cannot be read must not become a wide one.
            serde_json::from_str(text)
                .map_err(|_| Error::Invalid("a stored grant is damaged".into()))
        };
        Ok(Self {
            account: row.email.parse()?,
            account_enabled: row.enabled != 0,
            role: row.role.parse()?,
            db_users: list(&row.db_users)?,
            schemas: list(&row.schemas)?,
        })
    }
}

const COLUMNS_OF_INSTANCE: &str = "SELECT email, enabled, role, db_users, schemas FROM grants
     JOIN service_accounts ON service_accounts.id = grants.account_id
     WHERE instance_id = $1 ORDER BY email, role";

impl Registry {
    /// All grants on an instance.
    pub(crate) async fn permissions(&self, instance: &Instance) -> Result<Vec<Permission>> {
        let rows: Vec<Row> = sqlx::query_as(COLUMNS_OF_INSTANCE)
            .bind(&instance.id)
            .fetch_all(&self.store.read())
            .await?;
        rows.into_iter().map(Permission::try_from).collect()
    }

    /// The roles that an account holds on an instance.
    pub(crate) async fn roles(&self, instance: &Instance, account_id: &str) -> Result<Vec<Role>> {
        let words: Vec<String> = sqlx::query_scalar(
            "SELECT role FROM grants WHERE instance_id = $1 AND account_id = $2",
        )
        .bind(&instance.id)
        .bind(account_id)
        .fetch_all(&self.store.read())
        .await?;
        words.iter().map(|word| word.parse()).collect()
    }

    /// Lets an account do something with an instance.
    pub(crate) async fn grant(
        &self,
        instance: &Instance,
        account: &Account,
        permission: &Permission,
        if_not_exists: bool,
    ) -> Result<()> {
        check_narrowing(instance, permission)?;
        let list = |names: &[String]| Value::from(names).to_string();
        let mut write = self.store.write().await?;
        let made = sqlx::query(
            "INSERT INTO grants (instance_id, account_id, role, db_users, schemas, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&instance.id)
        .bind(&account.id)
        .bind(permission.role.word())
        .bind(list(&permission.db_users))
        .bind(list(&permission.schemas))
        .bind(self.now())
        .execute(&mut *write)
        .await;
        match made {
            Err(error) if is_duplicate(&error) => {
                let role = permission.role.word();
                let name = format!("of {role} on {} to {}", instance.name, account.name);
                let same = self.permissions(instance).await?.contains(permission);
                return match if_not_exists {
                    true if same => Ok(()),
                    true => Err(Error::Invalid(format!(
                        "the grant {name} exists with other users or schemas; ungrant it first"
                    ))),
                    false => Err(Error::Exists {
                        kind: "grant",
                        name,
                    }),
                };
            }
            other => other?,
        };
        let detail = json!({
            "role": permission.role.word(),
            "dbUsers": permission.db_users,
            "schemas": permission.schemas,
        });
        let change = audit::change(account.name.as_str(), Value::Null, detail);
        self.audit_grant(&mut write, "grant.create", instance, change)
            .await?;
        self.store.commit_change(write).await
    }

    /// Takes it back. The very next request is refused.
    pub(crate) async fn ungrant(
        &self,
        instance: &Instance,
        account: &Account,
        role: Role,
    ) -> Result<()> {
        let mut write = self.store.write().await?;
        let deleted = sqlx::query(
            "DELETE FROM grants WHERE instance_id = $1 AND account_id = $2 AND role = $3",
        )
        .bind(&instance.id)
        .bind(&account.id)
        .bind(role.word())
        .execute(&mut *write)
        .await?;
        if deleted.rows_affected() == 0 {
            return Err(Error::Missing {
                kind: "grant",
                name: format!(
                    "of {} on {} to {}",
                    role.word(),
                    instance.name,
                    account.name
                ),
                list: "instances describe",
            });
        }
        let old = json!({ "role": role.word() });
        let change = audit::change(account.name.as_str(), old, Value::Null);
        self.audit_grant(&mut write, "grant.delete", instance, change)
            .await?;
        self.store.commit_change(write).await
    }

    async fn audit_grant(
        &self,
        write: &mut crate::store::Write,
        action: &'static str,
        instance: &Instance,
        detail: Value,
    ) -> Result<()> {
        let name = instance.name.to_string();
        let entry = Entry {
            at: self.now(),
            actor: &self.actor,
            action,
            outcome: "ok",
            instance: &name,
            detail,
        };
        audit::record(write, &entry).await
    }
}
