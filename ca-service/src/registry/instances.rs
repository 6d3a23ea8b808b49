//! Instances, each with its own client CA and server CA.

mod update;

use proto::{Engine, InstanceName};
use serde_json::{Value, json};
use sqlx::FromRow;

use super::{Host, Registry};
use crate::audit::{self, Entry};
use crate::clock::Seconds;
use crate::error::{Error, Result};
use crate::store::{Write, is_duplicate};

pub(crate) use update::InstanceChange;

/// A database that tunnels lead to.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    /// Of the row; certificates and keys are bound to it, so a deleted name that is made again is another instance.
    pub(crate) id: String,
    /// Its full name.
    pub(crate) name: InstanceName,
    /// Where its agent is: an IP address or a host name, without a port.
    pub(crate) address: String,
    /// Further names by which applications reach it; its agent's certificate bears them.
    pub(crate) names: Vec<String>,
    /// `MYSQL_8_4`, ...
    pub(crate) database_version: String,
    /// When it was made.
    pub(crate) created_at: Seconds,
}

/// What an operator says of a new instance.
pub(crate) struct NewInstance {
    /// Its full name.
    pub(crate) name: InstanceName,
    /// Where its agent is.
    pub(crate) address: String,
    /// Further names, each once, as [`super::check_names`] spells them.
    pub(crate) names: Vec<String>,
    /// `MYSQL_8_4`, ...
    pub(crate) database_version: String,
}

/// A key of the CA with its certificate, ready for the store.
pub(crate) struct NewAuthority {
    /// Of the row.
    pub(crate) id: String,
    /// `client`, `server`, `root` or `token`.
    pub(crate) purpose: &'static str,
    /// PEM; empty for a key that seals tokens.
    pub(crate) certificate: String,
    /// SHA-256 of the public key; empty likewise.
    pub(crate) spki_sha256: String,
    /// The private key, wrapped.
    pub(crate) wrapped_key: Vec<u8>,
    /// When the certificate ends; 0 likewise.
    pub(crate) not_after: Seconds,
}

#[derive(FromRow)]
struct Row {
    id: String,
    project: String,
    region: String,
    name: String,
    address: String,
    names: String,
    database_version: String,
    created_at: Seconds,
}

impl TryFrom<Row> for Instance {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            name: InstanceName::new(&row.project, &row.region, &row.name)?,
            names: list(&row.names)?,
            id: row.id,
            address: row.address,
            database_version: row.database_version,
            created_at: row.created_at,
        })
    }
}

impl Instance {
    /// The protocol that its database version stands for.
    pub(crate) fn engine(&self) -> Engine {
        Engine::of_database_version(&self.database_version)
    }

    /// Where applications find its agent, by the administrator's word: the address, then the further names.
    pub(crate) fn hosts(&self) -> Vec<Host> {
        let told = std::iter::once(&self.address).chain(&self.names);
        // An address that no certificate can bear is left out: an early version took more than it does now.
        told.filter_map(|host| Host::parse(host)).collect()
    }
}

/// Reads a list of names as it is stored.
fn list(text: &str) -> Result<Vec<String>> {
    serde_json::from_str(text)
        .map_err(|_| Error::Invalid("a stored instance's names are damaged".to_owned()))
}

/// Checks a database version by its shape: connectors read the prefix.
pub(crate) fn check_database_version(version: &str) -> Result<()> {
    let known = ["MYSQL_", "MARIADB_", "POSTGRES_", "SQLSERVER_", "TCP_"];
    let digits = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    if known
        .iter()
        .any(|prefix| version.starts_with(prefix) && version.len() > prefix.len())
        && version.len() <= 40
        && version.bytes().all(digits)
    {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "--database-version {version:?} must look like MYSQL_8_4, MARIADB_10_11, POSTGRES_17 or TCP_1"
    )))
}

impl Registry {
    /// Finds an instance; its short name is unique within the project.
    pub(crate) async fn instance(&self, project: &str, name: &str) -> Result<Option<Instance>> {
        let row: Option<Row> =
            sqlx::query_as("SELECT * FROM instances WHERE project = $1 AND name = $2")
                .bind(project)
                .bind(name)
                .fetch_optional(&self.store.read())
                .await?;
        row.map(Instance::try_from).transpose()
    }

    /// All instances, by name.
    pub(crate) async fn instances(&self) -> Result<Vec<Instance>> {
        let rows: Vec<Row> = sqlx::query_as("SELECT * FROM instances ORDER BY project, name")
            .fetch_all(&self.store.read())
            .await?;
        rows.into_iter().map(Instance::try_from).collect()
    }

    /// Makes an instance, with the id that its keys are already bound to.
    pub(crate) async fn create_instance(
        &self,
        id: &str,
        new: &NewInstance,
        authorities: &[NewAuthority],
    ) -> Result<()> {
        let mut write = self.store.write().await?;
        let made = sqlx::query(
            "INSERT INTO instances (id, project, region, name, address, names, database_version, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(id)
        .bind(new.name.project())
        .bind(new.name.region())
        .bind(new.name.instance())
        .bind(&new.address)
        .bind(Value::from(new.names.as_slice()).to_string())
        .bind(&new.database_version)
        .bind(self.now())
        .execute(&mut *write)
        .await;
        match made {
            Err(error) if is_duplicate(&error) => {
                let name = new.name.to_string();
                return Err(Error::Exists {
                    kind: "instance",
                    name,
                });
            }
            other => other?,
        };
        for authority in authorities {
            self.insert_authority(&mut write, Some(id), authority)
                .await?;
        }
        let detail = json!({
            "address": new.address,
            "names": new.names,
            "databaseVersion": new.database_version,
        });
        self.audit_instance(
            &mut write,
            "instance.create",
            &new.name,
            Value::Null,
            detail,
        )
        .await?;
        self.store.commit_change(write).await
    }

    /// Deletes an instance, its grants and its keys. Nothing can be issued for it again. Returns how many grants it had.
    pub(crate) async fn delete_instance(&self, instance: &Instance) -> Result<u64> {
        let mut write = self.store.write().await?;
        let mut deleted = [0; 3];
        for (deleted, delete) in deleted.iter_mut().zip([
            "DELETE FROM grants WHERE instance_id = $1",
            "DELETE FROM authorities WHERE instance_id = $1",
            "DELETE FROM instances WHERE id = $1",
        ]) {
            let done = sqlx::query(delete).bind(&instance.id);
            *deleted = done.execute(&mut *write).await?.rows_affected();
        }
        let [grants, _, instances] = deleted;
        if instances == 0 {
            return Err(Error::Missing {
                kind: "instance",
                name: instance.name.to_string(),
                list: "instances list",
            });
        }
        let old = json!({
            "address": instance.address,
            "names": instance.names,
            "databaseVersion": instance.database_version,
        });
        self.audit_instance(
            &mut write,
            "instance.delete",
            &instance.name,
            old,
            Value::Null,
        )
        .await?;
        self.store.commit_change(write).await?;
        Ok(grants)
    }

    /// Keeps a key of the CA that belongs to no instance.
    pub(crate) async fn add_authority(&self, authority: &NewAuthority) -> Result<()> {
        let mut write = self.store.write().await?;
        self.insert_authority(&mut write, None, authority).await?;
        self.store.commit_change(write).await
    }

    async fn insert_authority(
        &self,
        write: &mut Write,
        instance: Option<&str>,
        new: &NewAuthority,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO authorities
             (id, instance_id, purpose, version, certificate, spki_sha256, wrapped_key, not_after, created_at)
             VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8)",
        )
        .bind(&new.id)
        .bind(instance)
        .bind(new.purpose)
        .bind(&new.certificate)
        .bind(&new.spki_sha256)
        .bind(&new.wrapped_key)
        .bind(new.not_after)
        .bind(self.now())
        .execute(&mut **write)
        .await?;
        Ok(())
    }

    async fn audit_instance(
        &self,
        write: &mut Write,
        action: &'static str,
        name: &InstanceName,
        old: Value,
        new: Value,
    ) -> Result<()> {
        let name = name.to_string();
        let entry = Entry {
            at: self.now(),
            actor: &self.actor,
            action,
            outcome: "ok",
            instance: &name,
            detail: audit::change(&name, old, new),
        };
        audit::record(write, &entry).await
    }
}
