//! Changes of an instance that exists: where its agent is, and its further names.

use serde_json::{Value, json};

use super::super::hosts::check_count;
use super::{Instance, list};
use crate::error::{Error, Result};
use crate::registry::Registry;

/// What is to become different.
#[derive(Default)]
pub(crate) struct InstanceChange {
    /// Another address of its agent.
    pub(crate) address: Option<String>,
    /// Names that it gets; one that it has already stays.
    pub(crate) add: Vec<String>,
    /// Names that it loses.
    pub(crate) remove: Vec<String>,
}

impl Registry {
    /// Changes an instance. The new revision makes its agents ask for a certificate that bears a new name.
    pub(crate) async fn update_instance(
        &self,
        instance: &Instance,
        change: &InstanceChange,
    ) -> Result<()> {
        let mut write = self.store.write().await?;
        // Read again under the lock, so that of two changes at once neither is lost.
        let now: Option<(String, String)> =
            sqlx::query_as("SELECT address, names FROM instances WHERE id = $1")
                .bind(&instance.id)
                .fetch_optional(&mut *write)
                .await?;
        let (old_address, old_names) = now.ok_or_else(|| Error::Missing {
            kind: "instance",
            name: instance.name.to_string(),
            list: "instances list",
        })?;
        let old_names = list(&old_names)?;
        let names = change.apply(&old_names)?;
        let address = change.address.as_ref().unwrap_or(&old_address);
        sqlx::query("UPDATE instances SET address = $1, names = $2 WHERE id = $3")
            .bind(address)
            .bind(Value::from(names.as_slice()).to_string())
            .bind(&instance.id)
            .execute(&mut *write)
            .await?;
        let old = json!({ "address": old_address, "names": old_names });
        let new = json!({ "address": address, "names": names });
        self.audit_instance(&mut write, "instance.update", &instance.name, old, new)
            .await?;
        self.store.commit_change(write).await
    }
}

impl InstanceChange {
    fn apply(&self, old: &[String]) -> Result<Vec<String>> {
        if let Some(strange) = self.remove.iter().find(|name| !old.contains(name)) {
            return Err(Error::Invalid(format!(
                "--remove-name {strange:?}: the instance has no such name; it has: {}",
                if old.is_empty() {
                    "none".to_owned()
                } else {
                    old.join(", ")
                }
            )));
        }
        let mut names = old.to_vec();
        names.retain(|name| !self.remove.contains(name));
        for name in &self.add {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        check_count(&names)?;
        Ok(names)
    }
}
