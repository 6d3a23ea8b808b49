//! Flags, environment and settings file, laid over each other.

use daemon::environment::Environment;
use daemon::settings::{Complaints, Table, load_with_complaints};

use super::{Settings, instances, left_out};

impl Settings {
    /// Lays flags and their environment twins over the rest of the environment and the settings file.
    ///
    /// # Errors
    /// All that is wrong with the file.
    pub fn load(self, environment: &Environment) -> Result<Self, Complaints> {
        let (settings, complaints) = self.load_with_complaints(environment)?;
        complaints.or(settings)
    }

    /// The same for who has more to complain about: what is right, and the complaints about the rest of the file.
    ///
    /// # Errors
    /// The complaint about a file that cannot be read at all.
    pub fn load_with_complaints(
        mut self,
        environment: &Environment,
    ) -> Result<(Self, Complaints), Complaints> {
        if self.all_instances().next().is_none() {
            self.instance = instances::of_environment(environment);
        }
        let given = self
            .all_instances()
            .next()
            .is_some()
            .then(|| self.instance.clone());
        let file = self.config_file.clone();
        let adapt = |table: &mut Table, file: &str, complaints: &mut Complaints| {
            instances::of_file(table, file, complaints);
            left_out::of_file(table, file, complaints);
        };
        let (mut settings, complaints) = load_with_complaints(self, file.as_deref(), adapt)?;
        // The file's instances count when there are no others: lists are not joined across sources.
        if let Some(instance) = given {
            settings.instance = instance;
        }
        Ok((settings, complaints))
    }

    /// All instances, whichever way they were given.
    pub fn all_instances(&self) -> impl Iterator<Item = &str> {
        self.instance
            .iter()
            .chain(&self.instances)
            .map(String::as_str)
    }
}
