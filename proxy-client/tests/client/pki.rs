//! The two CAs of an instance.

use std::time::{Duration, SystemTime};

use proto::{Identity, InstanceName};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType, SubjectPublicKeyInfo,
};
use transport::tls::{Material, PrivateKey, TrustRoots};

pub(crate) struct CaKey {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl CaKey {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    pub(crate) fn roots(&self) -> TrustRoots {
        TrustRoots::from_pem(&self.pem).unwrap()
    }

    /// A client certificate for a public key.
    pub(crate) fn client(
        &self,
        instance: &InstanceName,
        public_key: &str,
        now: SystemTime,
        life: Duration,
    ) -> String {
        let identity = Identity {
            instance: instance.clone(),
            account: "app@demo.iam.example".parse().unwrap(),
        };
        let mut params = CertificateParams::new(vec![]).unwrap();
        let uri = identity.to_string().try_into().unwrap();
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = (now - Duration::from_secs(300)).into();
        params.not_after = (now + life).into();
        params.is_ca = IsCa::ExplicitNoCa;
        let subject = SubjectPublicKeyInfo::from_pem(public_key).unwrap();
        params.signed_by(&subject, &self.issuer).unwrap().pem()
    }

    /// A server certificate that outlives every test.
    pub(crate) fn server(&self, instance: &InstanceName) -> Material {
        let key = PrivateKey::generate_p256().unwrap();
        let mut params = CertificateParams::new(vec![instance.dns_name()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        let name = instance.common_name();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.is_ca = IsCa::ExplicitNoCa;
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2090, 1, 1);
        let subject = SubjectPublicKeyInfo::from_pem(&key.public_key_pem()).unwrap();
        let certificate = params.signed_by(&subject, &self.issuer).unwrap();
        Material::new(&certificate.pem(), &key).unwrap()
    }
}
