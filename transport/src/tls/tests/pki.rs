//! A CA and certificates for the tests, at a time of the tests' own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proto::InstanceName;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SubjectPublicKeyInfo,
};
use time::OffsetDateTime;

use crate::Clock;
use crate::tls::{Material, PrivateKey, ServedInstances, TrustRoots};

/// When the tests happen: the first moment of June 2026.
pub(super) const NOW: u64 = 1_780_272_000;
pub(super) const HOUR: u64 = 3600;

pub(super) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(super) fn instance() -> InstanceName {
    "p:r:db1".parse().unwrap()
}

pub(super) const IDENTITY: &str =
    "csql:/projects/p/locations/r/instances/db1/serviceAccounts/app@p.iam.x";

pub(super) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

pub(super) fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

fn valid_for_an_hour(params: &mut CertificateParams) {
    let at = |seconds: u64| {
        OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap()).unwrap()
    };
    params.not_before = at(NOW - 60);
    params.not_after = at(NOW + HOUR);
}

/// What our CA writes into a client certificate.
pub(super) fn client_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    valid_for_an_hour(&mut params);
    params.distinguished_name.push(DnType::CommonName, "app");
    params.subject_alt_names = vec![uri(IDENTITY)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.serial_number = Some(vec![0x0a, 0xbc].into());
    params
}

/// What our CA writes into a server certificate.
pub(super) fn server_params() -> CertificateParams {
    let mut params = client_params();
    params.distinguished_name.push(DnType::CommonName, "p:db1");
    params.subject_alt_names = vec![dns(&instance().dns_name())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let (params, key) = Self::params(name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    fn params(name: &str) -> (CertificateParams, KeyPair) {
        let mut params = CertificateParams::default();
        valid_for_an_hour(&mut params);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        (params, KeyPair::generate().unwrap())
    }

    /// A CA below this one.
    pub(super) fn below(&self, name: &str) -> Self {
        let (params, key) = Self::params(name);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    pub(super) fn issue(&self, params: &CertificateParams, key: &PrivateKey) -> String {
        let spki = SubjectPublicKeyInfo::from_der(key.spki_der()).unwrap();
        params.signed_by(&spki, &self.issuer).unwrap().pem()
    }

    pub(super) fn material(&self, params: &CertificateParams) -> Material {
        let key = PrivateKey::generate_p256().unwrap();
        Material::new(&self.issue(params, &key), &key).unwrap()
    }

    pub(super) fn roots(&self) -> TrustRoots {
        TrustRoots::from_pem(&self.pem).unwrap()
    }
}

/// A clock that the test moves.
#[derive(Clone)]
pub(super) struct Hands(Arc<AtomicU64>);

impl Hands {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(NOW)))
    }

    pub(super) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    pub(super) fn clock(&self) -> Clock {
        let hands = Arc::clone(&self.0);
        Arc::new(move || at(hands.load(Ordering::SeqCst)))
    }
}

/// What a server serves, and which names it was asked for.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) roots: HashMap<InstanceName, Arc<TrustRoots>>,
    pub(super) material: Option<Arc<Material>>,
    pub(super) asked: Mutex<Vec<Option<String>>>,
}

impl ServedInstances for Served {
    fn client_roots(&self, instance: &InstanceName) -> Option<Arc<TrustRoots>> {
        self.roots.get(instance).cloned()
    }

    fn server_material(&self, sni: Option<&str>) -> Option<Arc<Material>> {
        let mut asked = self.asked.lock().unwrap();
        asked.push(sni.map(str::to_owned));
        self.material.clone()
    }
}
