//! `service-accounts create | list | disable | enable | delete`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use proto::AccountName;
use proto::account::DEFAULT_UNIVERSE;
use serde_json::{Value, json};

use super::key_file::Reserved;
use super::{Place, output};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::registry::{Account, Mode, NewAccount, Registry};

/// Who may ask for certificates.
#[derive(Subcommand)]
pub(super) enum ServiceAccounts {
    /// Make a service account, and its first key where --key-file is given
    Create(Create),
    /// List all service accounts
    List(Place),
    /// Refuse a service account from its next request on
    Disable(Named),
    /// Let a disabled service account in again
    Enable(Named),
    /// Delete a service account, its keys and its grants
    Delete(Named),
}

/// A new service account.
#[derive(Args)]
pub(super) struct Create {
    /// Its name: short, or name@project.iam.domain
    name: String,
    #[command(flatten)]
    place: Place,
    /// Where to write its key (a new file, readable by you alone)
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// For Google's connectors: accepts assertions without jti, kid and proof of the public key
    #[arg(long)]
    compat: bool,
    /// Universe domain of its name and key files; Google's libraries then use no token endpoint
    #[arg(long, value_name = "DOMAIN")]
    universe_domain: Option<String>,
    /// Succeed, without a new key, when it exists already
    #[arg(long)]
    if_not_exists: bool,
}

/// A service account.
#[derive(Args)]
pub(super) struct Named {
    /// Its name: short, or its full e-mail
    name: String,
    #[command(flatten)]
    place: Place,
}

impl ServiceAccounts {
    pub(super) async fn run(&self) -> Result<()> {
        match self {
            Self::Create(create) => create.run().await,
            Self::List(place) => list(place).await,
            Self::Disable(named) => named.set_enabled(false).await,
            Self::Enable(named) => named.set_enabled(true).await,
            Self::Delete(named) => {
                let registry = named.place.registry().await?;
                let account = registry.named_account(&named.name).await?;
                registry.delete_account(&account).await?;
                output::one(
                    named.place.format,
                    &json!({ "deleted": account.name.as_str() }),
                )
            }
        }
    }
}

impl Create {
    async fn run(&self) -> Result<()> {
        let registry = self.place.registry().await?;
        let name = self.full_name(&registry).await?;
        let mode = if self.compat {
            Mode::Compat
        } else {
            Mode::Strict
        };
        if let Some(account) = registry.account(name.as_str()).await? {
            if !self.if_not_exists {
                return Err(Error::Exists {
                    kind: "service account",
                    name: name.to_string(),
                });
            }
            if account.mode != mode {
                let mode = account.mode.word();
                return Err(Error::Invalid(format!("{name} exists in mode {mode}")));
            }
            output::one(self.place.format, &row(&account))?;
            return match &self.key_file {
                Some(_) => self.say_that_no_key_was_made(&account),
                None => Ok(()),
            };
        }
        // The file first: an account whose key went nowhere would be of no use.
        let reserved = self.key_file.as_deref().map(Reserved::new).transpose()?;
        let new = NewAccount {
            name,
            mode,
            universe_domain: self.universe_domain.clone(),
        };
        let account = registry.create_account(new).await?;
        let mut shown = row(&account);
        if let (Some(reserved), Some(path)) = (reserved, &self.key_file) {
            shown["kid"] = reserved.fill(&registry, &account, None).await?.into();
            shown["keyFile"] = path.display().to_string().into();
        }
        output::one(self.place.format, &shown)?;
        match self.key_file {
            Some(_) => Ok(()),
            None => self.say_that_no_key_was_made(&account),
        }
    }

    /// Without a key the account cannot do anything.
    fn say_that_no_key_was_made(&self, account: &Account) -> Result<()> {
        let (data, name) = (self.place.data.display(), &account.name);
        let hint = format!(
            "\nNo key was made. To make one:\n\
             \x20 cloudsql-ca keys create --data {data} --service-account {name} --key-file FILE\n"
        );
        output::hint(self.place.format, &hint)
    }

    async fn full_name(&self, registry: &Registry) -> Result<AccountName> {
        if self.name.contains('@') {
            return Ok(self.name.parse()?);
        }
        let universe = self.universe_domain.as_deref().unwrap_or(DEFAULT_UNIVERSE);
        Ok(AccountName::new(
            &self.name,
            &registry.profile().await?.project,
            universe,
        )?)
    }
}

impl Named {
    async fn set_enabled(&self, enabled: bool) -> Result<()> {
        let registry = self.place.registry().await?;
        let account = registry.named_account(&self.name).await?;
        registry.set_account_enabled(&account, enabled).await?;
        output::one(self.place.format, &row(&Account { enabled, ..account }))
    }
}

async fn list(place: &Place) -> Result<()> {
    let accounts = place.registry().await?.accounts().await?;
    let rows: Vec<Value> = accounts.iter().map(row).collect();
    output::list(
        place.format,
        &["email", "mode", "enabled", "createTime"],
        &rows,
    )
}

fn row(account: &Account) -> Value {
    json!({
        "email": account.name.as_str(),
        "mode": account.mode.word(),
        "enabled": account.enabled,
        "universeDomain": account.universe_domain,
        "createTime": rfc3339(account.created_at),
    })
}
