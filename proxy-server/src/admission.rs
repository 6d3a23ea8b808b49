//! Who is let in: a pure decision, deny by default.
//!
//! The certificate has been verified when this is asked; what it opens is decided here, from what the CA last said.

use std::time::{Duration, SystemTime};

use proto::admin::{AgentSettings, Grant};
use proto::frame::Hello;
use proto::{Code, Engine, Identity, InstanceName, Refusal};

/// What the agent knows about one instance that it serves, as far as decisions need it.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// The instance's full name, from the CA.
    pub(crate) instance: InstanceName,
    /// What its database speaks.
    pub(crate) engine: Engine,
    /// Who may connect.
    pub(crate) grants: Vec<Grant>,
    /// Until when it may be believed without hearing from the CA: the end of the agent's own certificate.
    pub(crate) believed_until: SystemTime,
}

impl Policy {
    /// The policy in the CA's answer; `engine` is the operator's word, which wins.
    pub(crate) fn new(
        settings: AgentSettings,
        engine: Option<Engine>,
        believed_until: SystemTime,
    ) -> Self {
        let engine =
            engine.unwrap_or_else(|| Engine::of_database_version(&settings.database_version));
        Self {
            instance: settings.connection_name,
            engine,
            grants: settings.grants,
            believed_until,
        }
    }
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

/// Decides whether somebody may use the tunnel. `policy` is that of the identity's instance, if it is served here.
///
/// # Errors
/// The [`Refusal`] that the peer is told.
pub(crate) fn decide(
    asking: Asking<'_>,
    policy: Option<&Policy>,
    now: SystemTime,
) -> Result<Admitted, Refusal> {
    let identity = asking.identity;
    let policy = policy
        .filter(|policy| policy.instance == identity.instance)
        .ok_or_else(|| not_served(&identity.instance))?;
    if let Some(hello) = asking.hello {
        same_instance(hello, identity)?;
    }
    if now > asking.not_after {
        return Err(expired());
    }
    if now > policy.believed_until {
        return Err(out_of_date(now, policy.believed_until));
    }
    let grant = policy
        .grants
        .iter()
        .find(|grant| grant.service_account == identity.account)
        .ok_or_else(|| no_grant(identity))?;
    Ok(Admitted {
        grant: grant.clone(),
        engine: policy.engine,
    })
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

fn no_grant(identity: &Identity) -> Refusal {
    Refusal::new(
        Code::NoGrant,
        format!(
            "{} has no grant for {}",
            identity.account, identity.instance
        ),
        "ask the CA's administrator for a grant with role client",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn identity(instance: &str, account: &str) -> Identity {
        Identity {
            instance: instance.parse().unwrap(),
            account: account.parse().unwrap(),
        }
    }

    fn grant(account: &str) -> Grant {
        Grant {
            service_account: account.parse().unwrap(),
            db_users: vec!["app".to_owned()],
            schemas: vec![],
        }
    }

    fn policy(accounts: &[&str]) -> Policy {
        Policy {
            instance: "p:r:i".parse().unwrap(),
            engine: Engine::Mysql,
            grants: accounts.iter().map(|account| grant(account)).collect(),
            believed_until: NOW + Duration::from_secs(60),
        }
    }

    fn hello(instance: &str, version: u32) -> Hello {
        Hello {
            version,
            capabilities: vec![],
            session_id: "s".into(),
            instance: instance.into(),
            transport: proto::frame::Transport::Tcp,
            peer: None,
            uid: None,
            client: String::new(),
        }
    }

    #[test]
    fn nobody_is_let_in_unless_every_condition_holds() {
        const APP: &str = "app@p.iam.x";
        let app = identity("p:r:i", APP);
        let other = identity("p:r:i", "other@p.iam.x");
        let elsewhere = identity("p:r:j", APP);
        let granted = policy(&[APP]);
        let (right, wrong) = (hello("p:r:i", 1), hello("p:r:j", 1));
        let (newer, zero, junk) = (hello("p:r:i", 9), hello("p:r:i", 0), hello("p:r", 1));
        let late = NOW + Duration::from_secs(61);
        let later = NOW + Duration::from_secs(101);
        let no = |code| Err(code);
        let rows: [(
            &Identity,
            Option<&Hello>,
            Option<&Policy>,
            SystemTime,
            Result<(), Code>,
        ); 12] = [
            (&app, None, None, NOW, no(Code::NotServed)),
            (&app, None, Some(&policy(&[])), NOW, no(Code::NoGrant)),
            (&other, None, Some(&granted), NOW, no(Code::NoGrant)),
            (&elsewhere, None, Some(&granted), NOW, no(Code::NotServed)),
            (&app, None, Some(&granted), late, no(Code::CaUnreachable)),
            (
                &app,
                None,
                Some(&granted),
                later,
                no(Code::CertificateRefused),
            ),
            (&app, Some(&wrong), Some(&granted), NOW, no(Code::Protocol)),
            (&app, Some(&junk), Some(&granted), NOW, no(Code::Protocol)),
            (&app, Some(&zero), Some(&granted), NOW, no(Code::Protocol)),
            (&app, None, Some(&granted), NOW, Ok(())),
            (&app, Some(&right), Some(&granted), NOW, Ok(())),
            (&app, Some(&newer), Some(&granted), NOW, Ok(())),
        ];
        for (row, (identity, hello, policy, now, expected)) in rows.into_iter().enumerate() {
            let asking = Asking {
                identity,
                not_after: NOW + Duration::from_secs(100),
                hello,
            };
            let decision = decide(asking, policy, now);
            let outcome = decision.map(|_| ()).map_err(|refusal| refusal.code);
            assert_eq!(outcome, expected, "row {row}");
        }
    }

    #[test]
    fn the_terms_of_the_grant_come_with_the_admission() {
        let asking = Asking {
            identity: &identity("p:r:i", "app@p.iam.x"),
            not_after: NOW,
            hello: None,
        };
        let admitted = decide(asking, Some(&policy(&["app@p.iam.x"])), NOW).unwrap();
        assert_eq!(admitted.grant, grant("app@p.iam.x"));
        assert_eq!(admitted.engine, Engine::Mysql);
    }

    #[test]
    fn the_operators_engine_wins_over_the_databases_version() {
        let settings = AgentSettings {
            kind: String::new(),
            revision: 1,
            connection_name: "p:r:i".parse().unwrap(),
            database_version: "POSTGRES_17".into(),
            client_ca_cert: String::new(),
            grants: vec![],
        };
        let of = |engine| Policy::new(settings.clone(), engine, NOW).engine;
        assert_eq!(of(None), Engine::Postgres);
        assert_eq!(of(Some(Engine::Tcp)), Engine::Tcp);
    }
}
