//! HTTPS certificate from the CA's own root, issued again by the CA itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::{SanType, SubjectPublicKeyInfo};
use transport::tls::{Material, PrivateKey};

use super::endpoint_host;
use crate::clock::{Clock, Seconds};
use crate::error::{Error, Result};
use crate::issuer::{Authority, Serial, Validity, https_profile};
use crate::registry::Registry;
use crate::store::thumbprint;
use crate::vault::Vault;

/// A day back, so that a client whose clock is slow gets far enough to be told so.
const BACKDATING: Seconds = 86_400;
const LIFETIME: Seconds = 30 * 86_400;
/// Age at which it is made anew.
const RENEWAL: Seconds = LIFETIME / 2;

/// The certificate that the HTTPS listener shows.
pub(crate) struct Own {
    registry: Registry,
    vault: Arc<Vault>,
    clock: Clock,
    current: ArcSwap<Issued>,
}

struct Issued {
    material: Arc<Material>,
    host: String,
    at: Seconds,
}

impl Own {
    /// Issues the first one.
    pub(super) async fn start(registry: Registry, vault: Arc<Vault>, clock: Clock) -> Result<Self> {
        let issued = issue(&registry, &vault, clock.now()).await?;
        Ok(Self {
            registry,
            vault,
            clock,
            current: ArcSwap::from_pointee(issued),
        })
    }

    /// What to show now.
    pub(super) fn material(&self) -> Arc<Material> {
        Arc::clone(&self.current.load().material)
    }

    /// Issues another when this one has reached half its life, or the endpoint has moved.
    pub(super) async fn refresh(&self) -> Result<()> {
        let now = self.clock.now();
        let (host, at) = {
            let current = self.current.load();
            (current.host.clone(), current.at)
        };
        let is_fresh = (at..at + RENEWAL).contains(&now);
        if is_fresh && host == endpoint_host(&self.registry.profile().await?.endpoint)? {
            return Ok(());
        }
        self.current
            .store(Arc::new(issue(&self.registry, &self.vault, now).await?));
        tracing::info!("HTTPS certificate renewed");
        Ok(())
    }
}

async fn issue(registry: &Registry, vault: &Vault, now: Seconds) -> Result<Issued> {
    let crypto = |_| Error::Crypto("the HTTPS certificate could not be made");
    let host = endpoint_host(&registry.profile().await?.endpoint)?;
    let root = Authority::root(registry.store()).await?.open(vault, now)?;
    let key = PrivateKey::generate_p256().map_err(|_| Error::Crypto("no key for HTTPS"))?;
    let (serial, validity) = (
        Serial::random()?,
        Validity {
            not_before: now - BACKDATING,
            not_after: (now + LIFETIME).min(root.not_after),
        },
    );
    let params = https_profile(&serial, &validity, names(&host)?);
    let spki = SubjectPublicKeyInfo::from_der(key.spki_der()).map_err(crypto)?;
    let certificate = params.signed_by(&spki, &root.issuer).map_err(crypto)?;
    let material = Material::new(&certificate.pem(), &key)
        .map_err(|_| Error::Crypto("the HTTPS certificate could not be read back"))?;
    remember(
        registry,
        &root,
        &serial,
        &validity,
        &thumbprint(key.spki_der()),
    )
    .await?;
    Ok(Issued {
        material: Arc::new(material),
        host,
        at: now,
    })
}

/// So that its key is recognised, and never certified as anything else.
async fn remember(
    registry: &Registry,
    root: &Authority,
    serial: &Serial,
    validity: &Validity,
    spki_sha256: &str,
) -> Result<()> {
    let mut write = registry.store().write().await?;
    sqlx::query(
        "INSERT INTO certificates (authority_id, serial, purpose, instance, service_account,
         spki_sha256, not_before, not_after, issued_at, state)
         VALUES ($1, $2, 'https', '', '', $3, $4, $5, $6, 'issued')",
    )
    .bind(&root.id)
    .bind(serial.hex())
    .bind(spki_sha256)
    .bind(validity.not_before)
    .bind(validity.not_after)
    .bind(registry.now())
    .execute(&mut *write)
    .await?;
    write.commit().await
}

/// Names that the certificate has for this host of the endpoint.
pub(super) fn names(host: &str) -> Result<Vec<SanType>> {
    let dns = |name: &str| {
        let name = name.to_owned().try_into();
        name.map(SanType::DnsName)
            .map_err(|_| Error::Crypto("the endpoint's host is not ASCII"))
    };
    let mut names = vec![
        dns("localhost")?,
        SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
        SanType::IpAddress(Ipv6Addr::LOCALHOST.into()),
    ];
    let own = match host.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => dns(host)?,
    };
    if !names.contains(&own) {
        names.insert(0, own);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_names_the_endpoint_and_this_machine() {
        assert_eq!(names("ca.example.org").unwrap().len(), 4);
        assert_eq!(names("192.0.2.1").unwrap().len(), 4);
        assert_eq!(names("localhost").unwrap().len(), 3);
    }
}
