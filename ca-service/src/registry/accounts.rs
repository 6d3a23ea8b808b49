//! Service accounts.

use proto::AccountName;
use serde_json::{Value, json};
use sqlx::FromRow;

use super::Registry;
use crate::audit::{self, Entry};
use crate::clock::Seconds;
use crate::error::{Error, Result};
use crate::store::{Write, is_duplicate, random_id};

/// How strictly an account's assertions are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Our own client: `kid`, `jti`, `sub`, our own audience, and proof of the key to be certified.
    Strict,
    /// Google's libraries, which send none of these.
    Compat,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// Of the row.
    pub(crate) id: String,
    /// `name@project.iam.universe`.
    pub(crate) name: AccountName,
    /// How it is judged.
    pub(crate) mode: Mode,
    /// Whether it may do anything.
    pub(crate) enabled: bool,
    /// A number as text, which Java wants in key files.
    pub(crate) client_id: String,
    /// For its key files.
    pub(crate) universe_domain: Option<String>,
    /// When it was made.
    pub(crate) created_at: Seconds,
}

/// What an operator says of a new account.
pub(crate) struct NewAccount {
    /// Its full name.
    pub(crate) name: AccountName,
    /// How it is judged.
    pub(crate) mode: Mode,
    /// For its key files.
    pub(crate) universe_domain: Option<String>,
}

#[derive(FromRow)]
pub(super) struct Row {
    id: String,
    email: String,
    mode: String,
    enabled: i64,
    client_id: String,
    universe_domain: Option<String>,
    created_at: Seconds,
}

impl Mode {
    /// As it is stored and shown.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Compat => "compat",
        }
    }
}

impl TryFrom<Row> for Account {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id,
            name: row.email.parse()?,
            mode: if row.mode == Mode::Compat.word() {
                Mode::Compat
            } else {
                Mode::Strict
            },
            enabled: row.enabled != 0,
            client_id: row.client_id,
            universe_domain: row.universe_domain,
            created_at: row.created_at,
        })
    }
}

impl Registry {
    /// Finds an account by its full name.
    pub(crate) async fn account(&self, email: &str) -> Result<Option<Account>> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM service_accounts WHERE email = $1")
            .bind(email)
            .fetch_optional(&self.store.read())
            .await?;
        row.map(Account::try_from).transpose()
    }

    /// Finds an account by its row.
    pub(crate) async fn account_by_id(&self, id: &str) -> Result<Option<Account>> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM service_accounts WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.store.read())
            .await?;
        row.map(Account::try_from).transpose()
    }

    /// Finds an account by the part before the `@`; refuses to guess between two.
    pub(super) async fn account_by_short_name(&self, name: &str) -> Result<Option<Account>> {
        let mut found = self.accounts().await?;
        found.retain(|account| account.name.as_str().split('@').next() == Some(name));
        if found.len() > 1 {
            return Err(Error::Invalid(format!(
                "{name} could be {} service accounts; give the full name",
                found.len()
            )));
        }
        Ok(found.pop())
    }

    /// All accounts, by name.
    pub(crate) async fn accounts(&self) -> Result<Vec<Account>> {
        let rows: Vec<Row> = sqlx::query_as("SELECT * FROM service_accounts ORDER BY email")
            .fetch_all(&self.store.read())
            .await?;
        rows.into_iter().map(Account::try_from).collect()
    }

    /// Makes an account, without a key.
    pub(crate) async fn create_account(&self, new: NewAccount) -> Result<Account> {
        let account = Account {
            id: random_id()?,
            name: new.name,
            mode: new.mode,
            enabled: true,
            client_id: random_number()?,
            universe_domain: new.universe_domain,
            created_at: self.now(),
        };
        let mut write = self.store.write().await?;
        let made = sqlx::query(
            "INSERT INTO service_accounts
             (id, email, mode, enabled, client_id, universe_domain, created_at)
             VALUES ($1, $2, $3, 1, $4, $5, $6)",
        )
        .bind(&account.id)
        .bind(account.name.as_str())
        .bind(account.mode.word())
        .bind(&account.client_id)
        .bind(&account.universe_domain)
        .bind(account.created_at)
        .execute(&mut *write)
        .await;
        match made {
            Err(error) if is_duplicate(&error) => {
                let name = account.name.to_string();
                return Err(Error::Exists {
                    kind: "service account",
                    name,
                });
            }
            other => other?,
        };
        let detail = json!({ "mode": account.mode.word() });
        self.audit_account(&mut write, "account.create", &account, Value::Null, detail)
            .await?;
        self.store.commit_change(write).await?;
        Ok(account)
    }

    /// Switches an account on or off. The very next request is judged by it.
    pub(crate) async fn set_account_enabled(&self, account: &Account, enabled: bool) -> Result<()> {
        let mut write = self.store.write().await?;
        sqlx::query("UPDATE service_accounts SET enabled = $1 WHERE id = $2")
            .bind(i64::from(enabled))
            .bind(&account.id)
            .execute(&mut *write)
            .await?;
        let (action, old) = (
            if enabled {
                "account.enable"
            } else {
                "account.disable"
            },
            json!({ "enabled": account.enabled }),
        );
        let new = json!({ "enabled": enabled });
        self.audit_account(&mut write, action, account, old, new)
            .await?;
        self.store.commit_change(write).await
    }

    /// Deletes an account, its keys and its grants.
    pub(crate) async fn delete_account(&self, account: &Account) -> Result<()> {
        let mut write = self.store.write().await?;
        for delete in [
            "DELETE FROM grants WHERE account_id = $1",
            "DELETE FROM account_keys WHERE account_id = $1",
            "DELETE FROM service_accounts WHERE id = $1",
        ] {
            sqlx::query(delete)
                .bind(&account.id)
                .execute(&mut *write)
                .await?;
        }
        let old = json!({ "mode": account.mode.word(), "enabled": account.enabled });
        self.audit_account(&mut write, "account.delete", account, old, Value::Null)
            .await?;
        self.store.commit_change(write).await
    }

    /// Enters a change of an account in the audit.
    pub(super) async fn audit_account(
        &self,
        write: &mut Write,
        action: &'static str,
        account: &Account,
        old: Value,
        new: Value,
    ) -> Result<()> {
        let entry = Entry {
            at: self.now(),
            actor: &self.actor,
            action,
            outcome: "ok",
            instance: "",
            detail: audit::change(account.name.as_str(), old, new),
        };
        audit::record(write, &entry).await
    }
}

/// A number of 21 digits, the shape of Google's `client_id`.
fn random_number() -> Result<String> {
    let mut bytes = [0_u8; 21];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Crypto("no random numbers"))?;
    let digits = bytes
        .iter()
        .skip(1)
        .map(|byte| char::from(b'0' + byte % 10));
    Ok(std::iter::once('1').chain(digits).collect())
}
