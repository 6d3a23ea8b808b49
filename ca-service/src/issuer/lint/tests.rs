//! Certificates that differ from their plan in one thing each.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber,
};

use super::*;
use crate::issuer::plan::{Serial, Validity};
use crate::issuer::profile;

struct Bench {
    authority: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
    key: KeyPair,
    plan: Plan,
}

fn bench(purpose: Purpose) -> Bench {
    let authority_key = KeyPair::generate().unwrap();
    let validity = Validity {
        not_before: 1_000_000,
        not_after: 900_000_000,
    };
    let serial = Serial::random().unwrap();
    let params = profile::authority(&serial, &validity, "CA");
    let authority = params.self_signed(&authority_key).unwrap().der().to_vec();
    let plan = Plan {
        purpose,
        instance: "demo:eu:db1".parse().unwrap(),
        hosts: vec![
            Host::Address("192.0.2.10".parse().unwrap()),
            Host::Name("db.example.com".to_owned()),
            // Twice known: once in the certificate.
            Host::Name("localhost".to_owned()),
        ],
        account: "app@demo.iam.csql.internal".parse().unwrap(),
        serial: Serial::random().unwrap(),
        validity: Validity {
            not_before: 2_000_000,
            not_after: 2_003_900,
        },
    };
    let issuer = Issuer::new(params, authority_key);
    Bench {
        authority,
        issuer,
        key: KeyPair::generate().unwrap(),
        plan,
    }
}

impl Bench {
    fn inspect(&self, change: impl FnOnce(&mut CertificateParams)) -> Result<()> {
        let mut params = profile::leaf(&self.plan).unwrap();
        change(&mut params);
        let leaf = params.signed_by(&self.key, &self.issuer).unwrap();
        check(
            leaf.der(),
            &self.plan,
            &self.key.subject_public_key_info(),
            &self.authority,
        )
    }

    fn complaint(&self, change: impl FnOnce(&mut CertificateParams)) -> String {
        self.inspect(change).unwrap_err().to_string()
    }
}

#[test]
fn a_leaf_as_planned_passes() {
    bench(Purpose::Client).inspect(|_| {}).unwrap();
    bench(Purpose::Server).inspect(|_| {}).unwrap();
}

#[test]
fn every_field_that_differs_is_named() {
    let bench = bench(Purpose::Client);
    for (named, change) in changes() {
        let complaint = bench.complaint(change);
        assert!(complaint.contains(named), "{named}: {complaint}");
    }
}

type Change = fn(&mut CertificateParams);

/// What the complaint names, and what is changed.
fn changes() -> Vec<(&'static str, Change)> {
    use ExtendedKeyUsagePurpose::{Any, ServerAuth};
    let second = |p: &mut CertificateParams| p.not_after += time::Duration::SECOND;
    let mail = |p: &mut CertificateParams| {
        let mail = SanType::Rfc822Name("a@b".try_into().unwrap());
        p.subject_alt_names.push(mail);
    };
    let uri = |p: &mut CertificateParams| {
        p.subject_alt_names = vec![SanType::URI("csql:/x".try_into().unwrap())];
    };
    let extension = |p: &mut CertificateParams| {
        let extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        p.custom_extensions.push(extension);
    };
    vec![
        ("serial", |p| {
            p.serial_number = Some(SerialNumber::from_slice(&[1]));
        }),
        ("validity", second),
        ("validity", |p| p.not_before -= time::Duration::SECOND),
        ("basic", |p| p.is_ca = IsCa::NoCa),
        ("basic", |p| {
            p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        }),
        ("key usage", |p| p.key_usages.clear()),
        ("key usage", |p| {
            p.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }),
        ("extended", |p| p.extended_key_usages.clear()),
        ("extended", |p| p.extended_key_usages.push(ServerAuth)),
        ("extended", |p| p.extended_key_usages.push(Any)),
        ("alternative", |p| p.subject_alt_names.clear()),
        ("alternative", uri),
        ("alternative", mail),
        ("common name", |p| {
            p.distinguished_name.push(DnType::CommonName, "root");
        }),
        ("authority key", |p| {
            p.use_authority_key_identifier_extension = false;
        }),
        ("too many", extension),
    ]
}

#[test]
fn a_server_has_all_the_planned_names_and_no_other() {
    let bench = bench(Purpose::Server);
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let address = |text: &str| SanType::IpAddress(text.parse().unwrap());
    let planned = [
        dns("db1.eu.demo.csql.internal"),
        dns("localhost"),
        address("127.0.0.1"),
        address("::1"),
        address("192.0.2.10"),
        dns("db.example.com"),
    ];
    bench
        .inspect(|p| p.subject_alt_names = planned.to_vec())
        .unwrap();
    for strange in [
        dns("other.example.com"),
        dns("*.example.com"),
        dns("localhost"),
        address("192.0.2.11"),
        SanType::URI("csql://x".try_into().unwrap()),
        SanType::Rfc822Name("a@b".try_into().unwrap()),
    ] {
        let told = bench.complaint(|p| p.subject_alt_names.push(strange.clone()));
        assert!(told.contains("alternative"), "{strange:?}: {told}");
    }
    for missing in 0..planned.len() {
        let told = bench.complaint(|p| drop(p.subject_alt_names.remove(missing)));
        assert!(told.contains("alternative"), "{missing}: {told}");
    }
    let told = bench.complaint(|p| p.subject_alt_names.swap(0, 1));
    assert!(told.contains("alternative"), "{told}");
}

#[test]
fn a_clients_certificate_has_no_host_among_its_names() {
    let mut bench = bench(Purpose::Client);
    assert_eq!(bench.plan.alternative_names().len(), 1);
    bench.plan.hosts.clear();
    let told = bench.complaint(|p| {
        let host = SanType::DnsName("localhost".try_into().unwrap());
        p.subject_alt_names.push(host);
    });
    assert!(told.contains("alternative"), "{told}");
}

#[test]
fn a_leaf_for_another_purpose_key_or_ca_is_noticed() {
    let client = bench(Purpose::Client);
    let server = Plan {
        purpose: Purpose::Server,
        ..client.plan.clone()
    };
    let leaf = profile::leaf(&client.plan)
        .unwrap()
        .signed_by(&client.key, &client.issuer)
        .unwrap();
    let spki = client.key.subject_public_key_info();
    assert!(check(leaf.der(), &server, &spki, &client.authority).is_err());
    let other = bench(Purpose::Client);
    let other_spki = other.key.subject_public_key_info();
    let told = check(leaf.der(), &client.plan, &other_spki, &client.authority).unwrap_err();
    assert!(told.to_string().contains("key is another"), "{told}");
    let told = check(leaf.der(), &client.plan, &spki, &other.authority).unwrap_err();
    assert!(
        told.to_string().contains("signature"),
        "same name, other key: {told}"
    );
    let mut longer = leaf.der().to_vec();
    longer.push(0);
    assert!(check(&longer, &client.plan, &spki, &client.authority).is_err());
}

#[test]
fn a_leaf_that_outlives_its_ca_is_noticed() {
    let mut bench = bench(Purpose::Client);
    bench.plan.validity.not_after = 900_000_001;
    assert!(bench.complaint(|_| {}).contains("outlives"));
}
