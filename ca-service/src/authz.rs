//! May they: pure, and no by default.

use crate::error::{Error, Result};
use crate::registry::Role;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Reading where an instance is and which CA vouches for it.
    ReadSettings,
    /// A certificate to connect with.
    Connect,
    /// Reading whom to let in.
    ReadPolicy,
    /// A certificate to serve with.
    Serve,
}

impl Action {
    const fn allows(self, role: Role) -> bool {
        match self {
            Self::ReadSettings => true,
            Self::Connect => matches!(role, Role::Client),
            Self::ReadPolicy | Self::Serve => matches!(role, Role::Agent),
        }
    }

    /// The role to ask an administrator for.
    const fn wanted(self) -> Role {
        match self {
            Self::ReadSettings | Self::Connect => Role::Client,
            Self::ReadPolicy | Self::Serve => Role::Agent,
        }
    }
}

/// Decides. `roles` is empty for an instance that does not exist, and the answer is the same as without a grant.
pub(crate) fn decide(
    action: Action,
    roles: &[Role],
    account: &str,
    project: &str,
    instance: &str,
) -> Result<()> {
    if roles.iter().any(|role| action.allows(*role)) {
        return Ok(());
    }
    let role = action.wanted().word();
    Err(Error::Denied(format!(
        "{account} has no grant of role {role} on instance {instance} of project {project}, or there is no such \
         instance; an administrator of the CA can run: cloudsql-ca grant --instance {instance} --service-account \
         {account} --role {role}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Action; 4] = [
        Action::ReadSettings,
        Action::Connect,
        Action::ReadPolicy,
        Action::Serve,
    ];

    fn allowed(roles: &[Role]) -> Vec<Action> {
        let is_allowed = |action: &Action| decide(*action, roles, "a", "p", "i").is_ok();
        ALL.into_iter().filter(is_allowed).collect()
    }

    #[test]
    fn without_a_grant_nothing_is_allowed() {
        assert_eq!(allowed(&[]), []);
    }

    #[test]
    fn each_role_allows_its_own_actions_only() {
        assert_eq!(
            allowed(&[Role::Client]),
            [Action::ReadSettings, Action::Connect]
        );
        let agent = [Action::ReadSettings, Action::ReadPolicy, Action::Serve];
        assert_eq!(allowed(&[Role::Agent]), agent);
        assert_eq!(allowed(&[Role::Admin]), [Action::ReadSettings]);
        assert_eq!(allowed(&[Role::Admin, Role::Client, Role::Agent]), ALL);
    }

    #[test]
    fn the_refusal_says_who_asked_for_what_and_what_to_do() {
        let refusal = decide(Action::Connect, &[], "app@p.iam.x", "p", "db1").unwrap_err();
        let text = refusal.to_string();
        for part in ["app@p.iam.x", "db1", "cloudsql-ca grant", "--role client"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
