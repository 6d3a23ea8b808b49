//! Who is let in: a pure decision, deny by default.
//!
//! The certificate has been verified when this is asked; what it opens is decided here, from what the CA last said.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use proto::admin::{AgentSettings, Grant};
use proto::frame::Hello;
use proto::{AccountName, Code, Engine, Identity, InstanceName, Refusal};

/// Who may connect to an instance, as the CA last said.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// The instance's full name.
    pub(crate) instance: InstanceName,
    /// What its database speaks.
    pub(crate) engine: Engine,
    /// The CA's revision.
    pub(crate) revision: u64,
    grants: HashMap<AccountName, Grant>,
}

impl Policy {
    /// The policy in the CA's answer; `engine` is the operator's word, which wins.
    pub(crate) fn new(settings: AgentSettings, engine: Option<Engine>) -> Self {
        let engine =
            engine.unwrap_or_else(|| Engine::of_database_version(&settings.database_version));
        let grants = settings.grants.into_iter();
        Self {
            instance: settings.connection_name,
            engine,
            revision: settings.revision,
            grants: grants
                .map(|grant| (grant.service_account.clone(), grant))
                .collect(),
        }
    }

    /// How many accounts may connect.
    pub(crate) fn accounts(&self) -> usize {
        self.grants.len()
    }

    /// How many of these are refused because the engine cannot enforce their grants.
    pub(crate) fn unenforceable(&self) -> usize {
        if self.engine.enforces_narrowing() {
            return 0;
        }
        let grants = self.grants.values();
        grants.filter(|grant| grant.is_narrowed()).count()
    }
}

/// A policy, and until when it may be believed without hearing from the CA: the end of the agent's own certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing<'a> {
    /// The policy of the instance.
    pub(crate) policy: &'a Policy,
    /// Its end.
    pub(crate) believed_until: SystemTime,
    /// Time since the CA last confirmed the policy, where that is too long ago to admit anybody by it.
    pub(crate) too_old: Option<Duration>,
}

/// Who asks, as its certificate and its opening frame say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    /// From the certificate.
    pub(crate) identity: &'a Identity,
    /// The last moment of the certificate. It held at the handshake; the frame may come later.
    pub(crate) not_after: SystemTime,
    /// What our own client said; nothing in the bare dialect.
    pub(crate) hello: Option<&'a Hello>,
}

/// An account is let in: on these terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// The grant that lets it in, with the database users and schemas that it is narrowed to.
    pub(crate) grant: Grant,
    /// What the database speaks.
    pub(crate) engine: Engine,
}

/// Decides whether somebody may use the tunnel. `standing` is that of the identity's instance, if it is served here.
///
/// # Errors
/// The [`Refusal`] that the peer is told.
pub(crate) fn decide(
    asking: Asking<'_>,
    standing: Option<Standing<'_>>,
    now: SystemTime,
) -> Result<Admitted, Refusal> {
    let identity = asking.identity;
    let standing = standing
        .filter(|standing| standing.policy.instance == identity.instance)
        .ok_or_else(|| not_served(&identity.instance))?;
    if let Some(hello) = asking.hello {
        same_instance(hello, identity)?;
    }
    if now > asking.not_after {
        return Err(expired());
    }
    if now > standing.believed_until {
        return Err(out_of_date(now, standing.believed_until));
    }
    if let Some(age) = standing.too_old {
        return Err(policy_out_of_date(age));
    }
    let grant = standing
        .policy
        .grants
        .get(&identity.account)
        .ok_or_else(|| no_grant(identity))?;
    let engine = standing.policy.engine;
    if grant.is_narrowed() && !engine.enforces_narrowing() {
        return Err(not_enforceable(identity, engine));
    }
    Ok(Admitted {
        grant: grant.clone(),
        engine,
    })
}

/// Decides whether somebody may use the direct listener who does not say who it is. `standing` is that of the
/// listener's instance. Says what the database speaks.
///
/// # Errors
/// The [`Refusal`] that the peer is told.
pub(crate) fn open(standing: Option<Standing<'_>>, now: SystemTime) -> Result<Engine, Refusal> {
    let standing = standing.ok_or_else(not_heard)?;
    if now > standing.believed_until {
        return Err(out_of_date(now, standing.believed_until));
    }
    Ok(standing.policy.engine)
}

fn not_heard() -> Refusal {
    Refusal::new(
        Code::CaUnreachable,
        "the agent has no certificate for this instance from its CA",
        "check on the agent's host that the CA can be reached and has granted the agent its role: its log and /readiness say more",
    )
}

fn same_instance(hello: &Hello, identity: &Identity) -> Result<(), Refusal> {
    if hello.version == 0 {
        return Err(Refusal::new(
            Code::Protocol,
            "the client announces version 0 of the tunnel protocol",
            "use a released client",
        ));
    }
    // The name in the frame is the peer's word and is not repeated to anyone.
    match hello.instance.parse::<InstanceName>() {
        Ok(name) if name == identity.instance => Ok(()),
        _ => Err(Refusal::new(
            Code::Protocol,
            format!(
                "the client asks for another instance than its certificate opens ({})",
                identity.instance
            ),
            "ask for the instance that the certificate was issued for",
        )),
    }
}

/// The refusal for an instance that this agent does not serve (any more).
pub(crate) fn not_served(instance: &InstanceName) -> Refusal {
    Refusal::new(
        Code::NotServed,
        format!("this agent does not serve {instance}"),
        "check the instance's address at the CA and the agent's --instance",
    )
}

fn expired() -> Refusal {
    Refusal::new(
        Code::CertificateRefused,
        "the client's certificate has expired since the handshake",
        "connect again with a fresh certificate",
    )
}

fn out_of_date(now: SystemTime, since: SystemTime) -> Refusal {
    let seconds = now
        .duration_since(since)
        .unwrap_or(Duration::ZERO)
        .as_secs();
    Refusal::new(
        Code::CaUnreachable,
        format!(
            "the agent has not been able to renew its certificate, which ended {seconds} s ago"
        ),
        "check on the agent's host that the CA can be reached",
    )
}

fn policy_out_of_date(age: Duration) -> Refusal {
    Refusal::new(
        Code::CaUnreachable,
        format!(
            "the CA has not confirmed the agent's grants for {} s",
            age.as_secs()
        ),
        "check on the agent's host that the CA can be reached and that its answers are usable: \
        the agent's log and /readiness say more",
    )
}

fn no_grant(identity: &Identity) -> Refusal {
    Refusal::new(
        Code::NoGrant,
        format!(
            "{} may not connect to {}: it has no grant, or it is disabled",
            identity.account, identity.instance
        ),
        "ask the CA's administrator for a grant with role client, or to enable the account",
    )
}

/// Refuses a grant that would let in more users than it names.
fn not_enforceable(identity: &Identity, engine: Engine) -> Refusal {
    Refusal::new(
        Code::NoGrant,
        format!(
            "the grant of {} on {} names database users or schemas, which the agent can check \
            with MySQL and MariaDB only; this instance's engine is {engine}",
            identity.account, identity.instance
        ),
        "ask the CA's administrator for a grant without --db-user and --schema",
    )
}

#[cfg(test)]
mod tests;
