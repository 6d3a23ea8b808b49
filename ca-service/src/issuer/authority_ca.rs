//! The CAs: made, kept wrapped, and checked each time they are opened.

use proto::admin::SslCert;
use rcgen::{Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sqlx::FromRow;

use super::plan::{Purpose, Serial, Validity};
use super::{lint, owner, profile, sign};
use crate::clock::{Seconds, rfc3339};
use crate::error::{Error, Result};
use crate::registry::{Instance, NewAuthority, NewInstance, Registry};
use crate::store::{Store, random_id, thumbprint};
use crate::vault::{Label, Vault};

/// How long a CA lives: ten years of 365 days.
const LIFETIME: Seconds = 10 * 365 * 86_400;
/// `keyCertSign` and `cRLSign`, as x509-parser numbers the bits of a key usage.
const CA_USAGE: u16 = 0b110_0000;
/// Owner of keys that belong to no instance, in their labels.
const SERVICE: &str = "service";

/// A CA that is ready to sign. Implements no `Debug`: it holds the private key.
pub(crate) struct Authority {
    /// Of its row.
    pub(crate) id: String,
    /// Its certificate.
    pub(crate) der: Vec<u8>,
    /// Its certificate as text.
    pub(crate) pem: String,
    /// When that ends.
    pub(crate) not_after: Seconds,
    /// What rcgen signs with.
    pub(crate) issuer: Issuer<'static, KeyPair>,
    purpose: &'static str,
    owner: String,
}

/// A CA as it is stored.
pub(crate) struct Closed {
    row: Row,
    purpose: &'static str,
    owner: String,
}

#[derive(FromRow)]
struct Row {
    id: String,
    instance_id: Option<String>,
    version: i64,
    certificate: String,
    wrapped_key: Vec<u8>,
}

/// Makes an instance with its two CAs.
pub(crate) async fn create_instance(
    registry: &Registry,
    vault: &Vault,
    new: &NewInstance,
) -> Result<()> {
    let id = random_id()?;
    let authority = |purpose| new_authority(vault, &id, new, purpose, registry.now());
    let authorities = [authority(Purpose::Client)?, authority(Purpose::Server)?];
    registry.create_instance(&id, new, &authorities).await
}

fn new_authority(
    vault: &Vault,
    instance_id: &str,
    instance: &NewInstance,
    purpose: Purpose,
    now: Seconds,
) -> Result<NewAuthority> {
    let id = random_id()?;
    let mark: String = id.chars().take(8).collect();
    let name = instance.name.instance();
    // Unique, so that a CA of a deleted namesake is never taken for this one; at most 64 characters.
    let common_name = format!("Cloud SQL {} CA {mark} {name}", purpose.word());
    let common_name: String = common_name.chars().take(64).collect();
    make(
        vault,
        &id,
        Some(instance_id),
        purpose.word(),
        &common_name,
        now,
    )
}

/// Makes the root that vouches for the CA's own HTTPS certificate.
pub(crate) fn new_root(vault: &Vault, now: Seconds) -> Result<NewAuthority> {
    let id = random_id()?;
    let mark: String = id.chars().take(8).collect();
    make(
        vault,
        &id,
        None,
        "root",
        &format!("Cloud SQL CA root {mark}"),
        now,
    )
}

fn make(
    vault: &Vault,
    id: &str,
    instance_id: Option<&str>,
    purpose: &'static str,
    common_name: &str,
    now: Seconds,
) -> Result<NewAuthority> {
    let crypto = |_| Error::Crypto("a CA could not be made");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(crypto)?;
    let validity = Validity::starting(now, LIFETIME);
    let params = profile::authority(&Serial::random()?, &validity, common_name);
    let certificate = params.self_signed(&key).map_err(crypto)?;
    let label = Label {
        owner: instance_id.unwrap_or(SERVICE),
        key_id: id,
        version: 1,
    };
    let private = zeroize::Zeroizing::new(key.serialize_der());
    Ok(NewAuthority {
        id: id.to_owned(),
        purpose,
        certificate: certificate.pem(),
        spki_sha256: thumbprint(&key.subject_public_key_info()),
        wrapped_key: vault.wrap(&label, &private)?,
        not_after: validity.not_after,
    })
}

impl Authority {
    /// The newest CA of an instance for a purpose.
    pub(crate) async fn of_instance(
        store: &Store,
        instance: &Instance,
        purpose: Purpose,
    ) -> Result<Closed> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, instance_id, version, certificate, wrapped_key FROM authorities
             WHERE instance_id = $1 AND purpose = $2 ORDER BY version DESC LIMIT 1",
        )
        .bind(&instance.id)
        .bind(purpose.word())
        .fetch_optional(&store.read())
        .await?;
        closed(row, purpose.word(), owner(Some(&instance.name)))
    }

    /// The root of the CA's own HTTPS certificate.
    pub(crate) async fn root(store: &Store) -> Result<Closed> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, instance_id, version, certificate, wrapped_key FROM authorities
             WHERE instance_id IS NULL AND purpose = 'root' ORDER BY version DESC LIMIT 1",
        )
        .fetch_optional(&store.read())
        .await?;
        closed(row, "root", owner(None))
    }

    /// That this CA cannot be used, and why.
    pub(crate) fn unusable(&self, reason: &'static str) -> Error {
        Error::Authority {
            purpose: self.purpose,
            instance: self.owner.clone(),
            reason,
        }
    }
}

fn closed(row: Option<Row>, purpose: &'static str, owner: String) -> Result<Closed> {
    match row {
        Some(row) => Ok(Closed {
            row,
            purpose,
            owner,
        }),
        None => Err(Error::Authority {
            purpose,
            instance: owner,
            reason: "it is not in the store",
        }),
    }
}

impl Closed {
    /// Its certificate as text.
    pub(crate) fn pem(&self) -> &str {
        &self.row.certificate
    }

    /// SHA-256 of its certificate, for people to compare.
    pub(crate) fn fingerprint(&self) -> Result<String> {
        let der = CertificateDer::from_pem_slice(self.row.certificate.as_bytes())
            .map_err(|_| Error::Crypto("the root's certificate cannot be read"))?;
        Ok(thumbprint(&der))
    }

    /// Opens the private key, and refuses a CA that is not one, or not this key's.
    pub(crate) fn open(self, vault: &Vault, now: Seconds) -> Result<Authority> {
        let problem = |reason| Error::Authority {
            purpose: self.purpose,
            instance: self.owner.clone(),
            reason,
        };
        let label = Label {
            owner: self.row.instance_id.as_deref().unwrap_or(SERVICE),
            key_id: &self.row.id,
            version: self.row.version,
        };
        let private = vault.open_key(&label, &self.row.wrapped_key)?;
        let pkcs8 = PrivatePkcs8KeyDer::from(private.as_slice());
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| problem("its key cannot be read"))?;
        let der = CertificateDer::from_pem_slice(self.row.certificate.as_bytes())
            .map_err(|_| problem("its certificate cannot be read"))?;
        let not_after = check(&der, &key.subject_public_key_info(), now).map_err(problem)?;
        let issuer = Issuer::from_ca_cert_der(&der, key)
            .map_err(|_| problem("its certificate cannot be read"))?;
        Ok(Authority {
            id: self.row.id,
            der: der.to_vec(),
            pem: self.row.certificate,
            not_after,
            issuer,
            purpose: self.purpose,
            owner: self.owner,
        })
    }
}

/// Returns when the certificate ends, or which rule it breaks.
fn check(der: &[u8], spki: &[u8], now: Seconds) -> Result<Seconds, &'static str> {
    let certificate = lint::read(der).map_err(|_| "its certificate cannot be read")?;
    if certificate.public_key().raw != spki {
        return Err("its certificate and its key do not belong together");
    }
    let basic = certificate.basic_constraints().ok().flatten();
    if !basic.is_some_and(|basic| basic.value.ca && basic.value.path_len_constraint == Some(0)) {
        return Err("its certificate is not that of a CA of leaves");
    }
    let usage = certificate.key_usage().ok().flatten();
    if usage.is_none_or(|usage| usage.value.flags != CA_USAGE) {
        return Err("its certificate may not sign certificates");
    }
    let validity = certificate.validity();
    let not_after = validity.not_after.timestamp();
    if !(validity.not_before.timestamp()..=not_after).contains(&now) {
        return Err("it is not valid now");
    }
    Ok(not_after)
}

/// The certificates of an instance's CAs for a purpose, one PEM text, newest first.
pub(crate) async fn bundle(
    store: &Store,
    instance: &Instance,
    purpose: Purpose,
) -> Result<SslCert> {
    let pems: Vec<String> = sqlx::query_scalar(
        "SELECT certificate FROM authorities WHERE instance_id = $1 AND purpose = $2
         ORDER BY version DESC",
    )
    .bind(&instance.id)
    .bind(purpose.word())
    .fetch_all(&store.read())
    .await?;
    let problem = |reason| Error::Authority {
        purpose: purpose.word(),
        instance: instance.name.to_string(),
        reason,
    };
    let newest = pems
        .first()
        .ok_or_else(|| problem("it is not in the store"))?;
    let der = CertificateDer::from_pem_slice(newest.as_bytes())
        .map_err(|_| problem("its certificate cannot be read"))?;
    let certificate = lint::read(&der)?;
    let common_name = certificate.subject().iter_common_name().next();
    Ok(SslCert {
        kind: "sql#sslCert".to_owned(),
        cert: pems.iter().map(|pem| format!("{}\n", pem.trim())).collect(),
        cert_serial_number: certificate.raw_serial_as_string().replace(':', ""),
        common_name: common_name
            .and_then(|name| name.as_str().ok())
            .unwrap_or_default()
            .to_owned(),
        create_time: rfc3339(certificate.validity().not_before.timestamp()),
        expiration_time: rfc3339(certificate.validity().not_after.timestamp()),
        sha1_fingerprint: sign::sha1(&der),
        instance: instance.name.instance().to_owned(),
    })
}
