//! `instances create | update | list | describe | delete`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::Format;
use super::{Place, output};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::issuer::create_instance;
use crate::registry::{
    Instance, InstanceChange, NewInstance, Registry, check_address, check_database_version,
    check_names,
};
use crate::vault::Vault;

/// Databases that tunnels lead to.
#[derive(Subcommand)]
pub(super) enum Instances {
    /// Make an instance, with a client CA and a server CA of its own
    Create(Create),
    /// Change where an instance's agent is reached, and by which names
    Update(Update),
    /// List all instances
    List(Place),
    /// Show an instance and who may do what with it
    Describe(Named),
    /// Delete an instance and its grants; nothing can be issued for it again
    Delete(Named),
}

/// A new instance.
#[derive(Args)]
pub(super) struct Create {
    /// Its name: short, or project:region:instance
    name: String,
    #[command(flatten)]
    place: Place,
    /// Where its agent is reached: an IP address or a host name (the port is always 3307)
    #[arg(long, value_name = "HOST")]
    address: String,
    /// A further name or address by which applications reach it with TLS of their own, for its certificate (may be repeated)
    #[arg(long = "name", value_name = "HOST")]
    names: Vec<String>,
    /// Version of the database: MYSQL_..., MARIADB_..., POSTGRES_..., or TCP_... for any other service
    #[arg(long, value_name = "VERSION", default_value = "MYSQL_8_4")]
    database_version: String,
    /// Succeed when it exists already as described
    #[arg(long)]
    if_not_exists: bool,
}

/// What is to become different of an instance.
#[derive(Args)]
pub(super) struct Update {
    /// Its name: short, or project:region:instance
    name: String,
    #[command(flatten)]
    place: Place,
    /// Where its agent is reached from now on
    #[arg(long, value_name = "HOST")]
    address: Option<String>,
    /// A further name or address for its certificate (may be repeated)
    #[arg(long = "add-name", value_name = "HOST")]
    add: Vec<String>,
    /// A name that its certificate is not to have any more (may be repeated)
    #[arg(long = "remove-name", value_name = "HOST")]
    remove: Vec<String>,
}

/// An instance.
#[derive(Args)]
pub(super) struct Named {
    /// Its name: short, or project:region:instance
    name: String,
    #[command(flatten)]
    place: Place,
}

impl Instances {
    pub(super) async fn run(&self) -> Result<()> {
        match self {
            Self::Create(create) => create.run().await,
            Self::Update(update) => update.run().await,
            Self::List(place) => list(place).await,
            Self::Describe(named) => {
                let registry = named.place.registry().await?;
                let instance = registry.named_instance(&named.name).await?;
                show(&named.place, describe(&registry, &instance).await?)
            }
            Self::Delete(named) => {
                let registry = named.place.registry().await?;
                let instance = registry.named_instance(&named.name).await?;
                let grants = registry.delete_instance(&instance).await?;
                output::one(
                    named.place.format,
                    &json!({ "deleted": instance.name.to_string(), "deletedGrants": grants }),
                )
            }
        }
    }
}

impl Create {
    async fn run(&self) -> Result<()> {
        check_address(&self.address)?;
        check_database_version(&self.database_version)?;
        let registry = self.place.registry().await?;
        let vault = Vault::open(&self.place.data)?;
        let new = NewInstance {
            name: registry.full_name(&self.name).await?,
            address: self.address.clone(),
            names: check_names("--name", &self.names)?,
            database_version: self.database_version.clone(),
        };
        match create_instance(&registry, &vault, &new).await {
            Err(Error::Exists { .. }) if self.if_not_exists => {
                self.check_same(&registry, &new).await?;
            }
            other => other?,
        }
        let instance = registry.named_instance(&self.name).await?;
        show(&self.place, describe(&registry, &instance).await?)
    }

    async fn check_same(&self, registry: &Registry, new: &NewInstance) -> Result<()> {
        let found = registry
            .instance(new.name.project(), new.name.instance())
            .await?;
        let same = found.is_some_and(|found| {
            found.name == new.name
                && found.address == new.address
                && found.names == new.names
                && found.database_version == new.database_version
        });
        if same {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "the instance {} exists, and differs from what is asked for",
            self.name
        )))
    }
}

impl Update {
    async fn run(&self) -> Result<()> {
        if self.address.is_none() && self.add.is_empty() && self.remove.is_empty() {
            return Err(Error::Invalid(
                "nothing is to change: give --address, --add-name or --remove-name".to_owned(),
            ));
        }
        if let Some(address) = &self.address {
            check_address(address)?;
        }
        let change = InstanceChange {
            address: self.address.clone(),
            add: check_names("--add-name", &self.add)?,
            remove: check_names("--remove-name", &self.remove)?,
        };
        let registry = self.place.registry().await?;
        let instance = registry.named_instance(&self.name).await?;
        registry.update_instance(&instance, &change).await?;
        let instance = registry.named_instance(&self.name).await?;
        show(&self.place, describe(&registry, &instance).await?)
    }
}

/// An instance; to people its grants as a table of their own.
fn show(place: &Place, mut described: Value) -> Result<()> {
    if place.format == Format::Json {
        return output::json(&described);
    }
    let grants = described["grants"].take();
    if let Some(members) = described.as_object_mut() {
        members.remove("grants");
    }
    output::one(place.format, &described)?;
    match grants.as_array() {
        Some(grants) if !grants.is_empty() => {
            let grants: Vec<Value> = grants.iter().map(super::grants::for_people).collect();
            output::hint(place.format, "\n")?;
            output::list(
                place.format,
                &["serviceAccount", "role", "dbUsers", "schemas"],
                &grants,
            )
        }
        _ => output::hint(
            place.format,
            "\nNo grants: nobody can connect, and no agent can serve it (cloudsql-ca grant).\n",
        ),
    }
}

async fn list(place: &Place) -> Result<()> {
    let instances = place.registry().await?.instances().await?;
    let rows: Vec<Value> = instances.iter().map(row).collect();
    let columns = [
        "name",
        "connectionName",
        "databaseVersion",
        "address",
        "createTime",
    ];
    output::list(place.format, &columns, &rows)
}

fn row(instance: &Instance) -> Value {
    json!({
        "name": instance.name.instance(),
        "connectionName": instance.name.to_string(),
        "databaseVersion": instance.database_version,
        "address": instance.address,
        "names": instance.names,
        "createTime": rfc3339(instance.created_at),
    })
}

async fn describe(registry: &Registry, instance: &Instance) -> Result<Value> {
    let grants: Vec<Value> = registry
        .permissions(instance)
        .await?
        .iter()
        .map(super::grants::row)
        .collect();
    let mut shown = row(instance);
    shown["dnsName"] = instance.name.dns_name().into();
    shown["grants"] = grants.into();
    Ok(shown)
}
