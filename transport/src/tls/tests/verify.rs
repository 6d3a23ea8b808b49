//! The judges of certificates, one flaw at a time.

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa};

use super::pki::{
    Authority, HOUR, IDENTITY, NOW, at, client_params, dns, instance, server_params, uri,
};
use crate::tls::{CertificateProblem, verify_client_certificate, verify_server_certificate};

fn client(ca: &Authority, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = client_params();
    change(&mut params);
    ca.material(&params).leaf_der().to_vec()
}

#[test]
fn a_client_certificate_of_the_profile_gives_its_identity_until_its_last_second() {
    let ca = Authority::new("client CA");
    let leaf = client(&ca, |_| {});
    for now in [NOW - 60, NOW, NOW + HOUR] {
        let identity = verify_client_certificate(&leaf, &ca.roots(), at(now)).unwrap();
        assert_eq!(identity.to_string(), IDENTITY);
    }
}

#[test]
fn each_flaw_of_a_client_certificate_is_named() {
    type Change = fn(&mut CertificateParams);
    let flaws: [(CertificateProblem, Change); 12] = [
        (CertificateProblem::Purpose, |p| {
            p.extended_key_usages.clear();
        }),
        (CertificateProblem::Purpose, |p| {
            p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
        (CertificateProblem::Purpose, |p| {
            p.extended_key_usages
                .push(ExtendedKeyUsagePurpose::ServerAuth);
        }),
        (CertificateProblem::Purpose, |p| {
            p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
        }),
        (CertificateProblem::Purpose, |p| {
            p.extended_key_usages.push(ExtendedKeyUsagePurpose::Any);
        }),
        (CertificateProblem::Identity, |p| {
            p.subject_alt_names
                .push(uri(&IDENTITY.replace("app@", "other@")));
        }),
        (CertificateProblem::Identity, |p| {
            p.subject_alt_names.push(dns("db1.example"));
        }),
        (CertificateProblem::Identity, |p| {
            p.subject_alt_names = vec![dns("db1.example")];
        }),
        (CertificateProblem::Identity, |p| {
            p.subject_alt_names.clear();
        }),
        (CertificateProblem::Identity, |p| {
            p.subject_alt_names = vec![uri("spiffe://p/db1")];
        }),
        (CertificateProblem::Identity, |p| {
            p.subject_alt_names = vec![uri(&IDENTITY.replace("/db1/", "/../"))];
        }),
        (CertificateProblem::Authority, |p| {
            p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }),
    ];
    let ca = Authority::new("client CA");
    for (index, (problem, change)) in flaws.into_iter().enumerate() {
        let leaf = client(&ca, change);
        let found = verify_client_certificate(&leaf, &ca.roots(), at(NOW)).unwrap_err();
        assert_eq!(found, problem, "flaw {index}");
    }
}

#[test]
fn time_and_issuer_are_judged() {
    let ca = Authority::new("client CA");
    let leaf = client(&ca, |_| {});
    let judge = |ca: &Authority, now| verify_client_certificate(&leaf, &ca.roots(), at(now));
    assert_eq!(judge(&ca, NOW + HOUR + 1), Err(CertificateProblem::Expired));
    assert_eq!(judge(&ca, NOW - 61), Err(CertificateProblem::NotValidYet));
    // Another CA, and another of the same name.
    for other in ["another CA", "client CA"] {
        let other = Authority::new(other);
        assert_eq!(judge(&other, NOW), Err(CertificateProblem::UnknownIssuer));
    }
}

#[test]
fn a_certificate_of_a_ca_below_the_root_is_refused() {
    let root = Authority::new("client CA");
    let below = root.below("intermediate");
    let leaf = client(&below, |_| {});
    let found = verify_client_certificate(&leaf, &root.roots(), at(NOW));
    assert_eq!(found, Err(CertificateProblem::UnknownIssuer));
    assert!(verify_client_certificate(&leaf, &below.roots(), at(NOW)).is_ok());
}

#[test]
fn bytes_that_are_no_certificate_are_malformed_wherever_they_are_cut() {
    let ca = Authority::new("client CA");
    let leaf = client(&ca, |_| {});
    let roots = ca.roots();
    for end in 0..leaf.len() {
        let found = verify_client_certificate(&leaf[..end], &roots, at(NOW));
        assert_eq!(found, Err(CertificateProblem::Malformed), "cut at {end}");
    }
    let longer = [&leaf[..], b"\0"].concat();
    let found = verify_client_certificate(&longer, &roots, at(NOW));
    assert_eq!(found, Err(CertificateProblem::Malformed));
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    let ca = Authority::new("client CA");
    let leaf = client(&ca, |_| {});
    let roots = ca.roots();
    for index in 0..leaf.len() {
        let mut changed = leaf.clone();
        changed[index] ^= 1;
        let found = verify_client_certificate(&changed, &roots, at(NOW));
        assert!(found.is_err(), "byte {index}");
    }
}

#[test]
fn a_server_certificate_is_for_its_name_and_its_purpose_only() {
    let ca = Authority::new("server CA");
    let name = instance().dns_name();
    let judge = |change: fn(&mut CertificateParams), name: &str, now| {
        let mut params = server_params();
        change(&mut params);
        let leaf = ca.material(&params).leaf_der().to_vec();
        verify_server_certificate(&leaf, &ca.roots(), name, at(now))
    };
    assert_eq!(judge(|_| {}, &name, NOW), Ok(()));
    for other in ["db2.r.p.csql.internal", "not a name"] {
        let (expected, found) = (other.to_owned(), format!("p:db1, {name}"));
        assert_eq!(
            judge(|_| {}, other, NOW),
            Err(CertificateProblem::Name { expected, found })
        );
    }
    let nobodys: fn(&mut CertificateParams) = |p| {
        p.subject_alt_names.clear();
        p.distinguished_name = rcgen::DistinguishedName::new();
    };
    let found = judge(nobodys, &name, NOW).unwrap_err().to_string();
    assert!(found.contains("for no name at all"), "{found}");
    let many: fn(&mut CertificateParams) = |p| {
        p.subject_alt_names = (0..1000).map(|n| dns(&format!("n{n}.example"))).collect();
    };
    let found = judge(many, &name, NOW).unwrap_err().to_string();
    assert!(found.contains("n1.example and 998 more, and"), "{found}");
    assert_eq!(
        judge(|_| {}, &name, NOW + HOUR + 1),
        Err(CertificateProblem::Expired)
    );
    for change in [
        |p: &mut CertificateParams| p.extended_key_usages.clear(),
        |p: &mut CertificateParams| {
            p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        },
        |p: &mut CertificateParams| {
            p.extended_key_usages
                .push(ExtendedKeyUsagePurpose::ClientAuth);
        },
    ] {
        assert_eq!(judge(change, &name, NOW), Err(CertificateProblem::Purpose));
    }
}
