//! Complaints about settings: collected, and told together.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The flag, variable or key.
    pub key: String,
    /// What was expected and, unless it is a secret, what was found.
    pub problem: String,
}

/// All that is wrong; empty when nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Complaints(Vec<Complaint>);

impl Complaints {
    /// One complaint.
    pub fn one(key: impl Into<String>, problem: impl Into<String>) -> Self {
        let mut complaints = Self::default();
        complaints.add(key, problem);
        complaints
    }

    /// Adds a complaint.
    pub fn add(&mut self, key: impl Into<String>, problem: impl Into<String>) {
        self.0.push(Complaint {
            key: key.into(),
            problem: problem.into(),
        });
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The value, or a complaint in its place.
    pub fn check<T, E: fmt::Display>(
        &mut self,
        key: impl Into<String>,
        value: Result<T, E>,
    ) -> Option<T> {
        value.map_err(|error| self.add(key, error.to_string())).ok()
    }

    /// Whether there is nothing to complain about.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The complaints.
    pub fn iter(&self) -> impl Iterator<Item = &Complaint> {
        self.0.iter()
    }

    /// `value` when there is nothing to complain about.
    ///
    /// # Errors
    /// The complaints.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, complaint) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}  {}: {}", complaint.key, complaint.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for Complaints {}
