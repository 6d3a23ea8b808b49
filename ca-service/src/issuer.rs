//! Issues certificates: checks the key, writes down the intention, signs, inspects, verifies, and only then hands out.

mod authority_ca;
mod key_policy;
mod lint;
mod plan;
mod profile;
mod settle;
mod sign;
mod verify;

use std::sync::Arc;

use proto::admin::SslCert;
use proto::{AccountName, InstanceName};
use serde_json::json;

pub(crate) use authority_ca::{Authority, create_instance, new_root};
pub(crate) use key_policy::SubjectKey;
pub(crate) use plan::{Plan, Purpose, Serial, Validity};
pub(crate) use profile::https as https_profile;
#[cfg(test)]
pub(crate) use profile::leaf as leaf_profile;
use sign::Signed;

use crate::audit::{self, Entry};
use crate::clock::{Clock, Seconds, rfc3339};
use crate::error::{Error, Result};
use crate::registry::Instance;
use crate::store::{Store, is_duplicate, thumbprint};
use crate::vault::Vault;

/// Shortest life that a caller may ask for.
pub(crate) const SHORTEST: Seconds = 300;
/// Longest life that an operator may set.
pub(crate) const LONGEST: Seconds = 86_400;
/// A CA with less than this many leaf lives left issues no more: its successor must stand ready before.
const RESERVE: Seconds = 6;

/// How long certificates live, as the operator set it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    /// Of client certificates.
    pub(crate) client: Seconds,
    /// Of server certificates.
    pub(crate) server: Seconds,
}

/// What is to be certified.
pub(crate) struct Order<'a> {
    /// For a client or for a server.
    pub(crate) purpose: Purpose,
    /// Of which instance.
    pub(crate) instance: &'a Instance,
    /// Who asks.
    pub(crate) account: &'a AccountName,
    /// For which key.
    pub(crate) key: &'a SubjectKey,
    /// The life that the caller wishes.
    pub(crate) lifetime: Option<Seconds>,
}

/// Issues certificates of instances.
pub(crate) struct Issuer {
    store: Arc<Store>,
    vault: Arc<Vault>,
    clock: Clock,
    lifetimes: Lifetimes,
    /// Turns a plan into what rcgen signs; a field so that a test can plant a fault in it.
    profile: fn(&Plan) -> Result<rcgen::CertificateParams>,
}

impl Issuer {
    /// An issuer over that store, whose keys that vault opens.
    pub(crate) fn new(
        store: Arc<Store>,
        vault: Arc<Vault>,
        clock: Clock,
        lifetimes: Lifetimes,
    ) -> Self {
        Self {
            store,
            vault,
            clock,
            lifetimes,
            profile: profile::leaf,
        }
    }

    /// The same issuer with a fault in its profile.
    #[cfg(test)]
    pub(crate) fn with_profile(
        mut self,
        profile: fn(&Plan) -> Result<rcgen::CertificateParams>,
    ) -> Self {
        self.profile = profile;
        self
    }

    /// Issues a certificate.
    pub(crate) async fn issue(&self, order: &Order<'_>) -> Result<SslCert> {
        let now = self.clock.now();
        let validity = Validity::starting(now, self.lifetime(order)?);
        let authority = self.authority(order.instance, order.purpose).await?;
        let lifetime = self.longest(order.purpose);
        if validity.not_after > authority.not_after - (RESERVE - 1) * lifetime {
            return Err(authority.unusable("it ends too soon; rotate it"));
        }
        let plan = self.start(order, &authority, validity).await?;
        let signed = sign::sign(&plan, self.profile, order.key, &authority).and_then(|signed| {
            inspect(&signed, &plan, order.key, &authority, now).map(|()| signed)
        });
        let outcome = if signed.is_ok() { "issued" } else { "failed" };
        let reason = signed.as_ref().err().map(ToString::to_string);
        self.finish(&plan, &authority, outcome, reason.as_deref())
            .await?;
        Ok(describe(&signed?, &plan, now))
    }

    /// The newest CA of an instance for that purpose.
    pub(crate) async fn authority(
        &self,
        instance: &Instance,
        purpose: Purpose,
    ) -> Result<Authority> {
        let found = Authority::of_instance(&self.store, instance, purpose).await?;
        found.open(&self.vault, self.clock.now())
    }

    /// The certificates of all CAs of an instance for that purpose, newest first, one PEM text.
    pub(crate) async fn bundle(&self, instance: &Instance, purpose: Purpose) -> Result<SslCert> {
        authority_ca::bundle(&self.store, instance, purpose).await
    }

    const fn longest(&self, purpose: Purpose) -> Seconds {
        match purpose {
            Purpose::Client => self.lifetimes.client,
            Purpose::Server => self.lifetimes.server,
        }
    }

    fn lifetime(&self, order: &Order<'_>) -> Result<Seconds> {
        let longest = self.longest(order.purpose);
        match order.lifetime {
            None => Ok(longest),
            Some(wish) if (SHORTEST..=longest).contains(&wish) => Ok(wish),
            Some(_) => Err(Error::Invalid(format!(
                "validDuration must be {SHORTEST}s to {longest}s"
            ))),
        }
    }

    /// Writes down what is about to be signed, under a serial number that this CA has not used.
    async fn start(
        &self,
        order: &Order<'_>,
        authority: &Authority,
        validity: Validity,
    ) -> Result<Plan> {
        loop {
            let plan = Plan {
                purpose: order.purpose,
                instance: order.instance.name.clone(),
                hosts: order.instance.hosts(),
                account: order.account.clone(),
                serial: Serial::random()?,
                validity,
            };
            match self.insert(&plan, order.key, authority).await {
                // One of 2^127 numbers was drawn twice: draw again.
                Err(Error::Store(error)) if is_duplicate(&error) => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(plan),
            }
        }
    }

    async fn insert(&self, plan: &Plan, key: &SubjectKey, authority: &Authority) -> Result<()> {
        let mut write = self.store.write().await?;
        sqlx::query(
            "INSERT INTO certificates (authority_id, serial, purpose, instance, service_account,
             spki_sha256, not_before, not_after, issued_at, state)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'started')",
        )
        .bind(&authority.id)
        .bind(plan.serial.hex())
        .bind(plan.purpose.word())
        .bind(plan.instance.to_string())
        .bind(plan.account.as_str())
        .bind(thumbprint(&key.spki))
        .bind(plan.validity.not_before)
        .bind(plan.validity.not_after)
        .bind(self.clock.now())
        .execute(&mut *write)
        .await?;
        self.audit(&mut write, plan, audit::STARTED, None).await?;
        write.commit().await
    }

    async fn finish(
        &self,
        plan: &Plan,
        authority: &Authority,
        state: &'static str,
        reason: Option<&str>,
    ) -> Result<()> {
        let mut write = self.store.write().await?;
        sqlx::query("UPDATE certificates SET state = $1 WHERE authority_id = $2 AND serial = $3")
            .bind(state)
            .bind(&authority.id)
            .bind(plan.serial.hex())
            .execute(&mut *write)
            .await?;
        self.audit(&mut write, plan, state, reason).await?;
        write.commit().await
    }

    async fn audit(
        &self,
        write: &mut crate::store::Write,
        plan: &Plan,
        outcome: &'static str,
        reason: Option<&str>,
    ) -> Result<()> {
        let instance = plan.instance.to_string();
        let entry = Entry {
            at: self.clock.now(),
            actor: plan.account.as_str(),
            action: "certificate.issue",
            outcome,
            instance: &instance,
            detail: json!({
                "purpose": plan.purpose.word(),
                "serial": plan.serial.hex(),
                "notAfter": rfc3339(plan.validity.not_after),
                "reason": reason,
            }),
        };
        audit::record(write, &entry).await
    }
}

/// Reads the certificate back, and asks the verifier of the other end, before anyone gets it.
fn inspect(
    signed: &Signed,
    plan: &Plan,
    key: &SubjectKey,
    authority: &Authority,
    now: Seconds,
) -> Result<()> {
    lint::check(&signed.der, plan, &key.spki, &authority.der)?;
    verify::check(&signed.der, plan, &authority.pem, now)
}

fn describe(signed: &Signed, plan: &Plan, now: Seconds) -> SslCert {
    SslCert {
        kind: "sql#sslCert".to_owned(),
        cert: signed.pem.clone(),
        cert_serial_number: plan.serial.hex(),
        common_name: plan.common_name(),
        create_time: rfc3339(now),
        expiration_time: rfc3339(plan.validity.not_after),
        sha1_fingerprint: sign::sha1(&signed.der),
        instance: plan.instance.instance().to_owned(),
    }
}

/// For messages about a CA: whose it is.
pub(crate) fn owner(instance: Option<&InstanceName>) -> String {
    instance.map_or_else(|| "this service".to_owned(), ToString::to_string)
}
