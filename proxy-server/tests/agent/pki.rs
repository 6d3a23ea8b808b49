//! Certificates as the CA makes them, and as it never would.

use std::time::Duration;

use proto::InstanceName;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SubjectPublicKeyInfo,
};
use time::OffsetDateTime;
use transport::tls::{Material, PrivateKey, TrustRoots};

/// A CA with one key.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn roots(&self) -> TrustRoots {
        TrustRoots::from_pem(&self.pem).unwrap()
    }

    /// A server certificate for a public key, as `generateServerCert` answers it.
    pub(crate) fn server(
        &self,
        instance: &InstanceName,
        names: &[String],
        public_key: &str,
        lifetime: Duration,
    ) -> String {
        let names = [&[instance.dns_name()][..], names].concat();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, instance.common_name());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let now = OffsetDateTime::now_utc();
        params.not_before = now - Duration::from_secs(1);
        params.not_after = now + lifetime;
        self.sign(params, public_key)
    }

    /// A client certificate and its key as PEM, for TLS libraries other than ours.
    pub(crate) fn client_pem(&self, identity: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.subject_alt_names = vec![SanType::URI(identity.try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let now = OffsetDateTime::now_utc();
        params.not_before = now - Duration::from_secs(300);
        params.not_after = now + Duration::from_secs(3600);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A client certificate, changed as a test likes.
    pub(crate) fn client(
        &self,
        identity: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Material {
        let key = PrivateKey::generate_p256().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.subject_alt_names = vec![SanType::URI(identity.try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let now = OffsetDateTime::now_utc();
        params.not_before = now - Duration::from_secs(300);
        params.not_after = now + Duration::from_secs(3600);
        change(&mut params);
        let pem = self.sign(params, &key.public_key_pem());
        Material::new(&pem, &key).unwrap()
    }

    fn sign(&self, mut params: CertificateParams, public_key: &str) -> String {
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let subject = SubjectPublicKeyInfo::from_pem(public_key).unwrap();
        params.signed_by(&subject, &self.issuer).unwrap().pem()
    }
}
