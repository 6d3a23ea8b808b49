//! Keys, certificates and trust roots.

use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};

use super::pki::{Authority, HOUR, NOW, at, client_params};
use crate::tls::{Material, MaterialError, PrivateKey, TrustRoots};

#[test]
fn material_knows_its_serial_and_its_time() {
    let material = Authority::new("CA").material(&client_params());
    assert_eq!(material.serial_hex(), "0abc");
    assert_eq!(material.not_before(), at(NOW - 60));
    assert_eq!(material.not_after(), at(NOW + HOUR));
    for (now, valid) in [
        (NOW - 61, false),
        (NOW - 60, true),
        (NOW + HOUR, true),
        (NOW + HOUR + 1, false),
    ] {
        assert_eq!(material.is_valid_at(at(now)), valid, "{now}");
    }
}

#[test]
fn a_certificate_for_another_key_is_refused() {
    let ca = Authority::new("CA");
    let (ours, theirs) = (
        PrivateKey::generate_p256().unwrap(),
        PrivateKey::generate_p256().unwrap(),
    );
    let pem = ca.issue(&client_params(), &theirs);
    assert_eq!(
        Material::new(&pem, &ours).unwrap_err(),
        MaterialError::WrongKey
    );
}

#[test]
fn text_without_a_certificate_is_refused() {
    let key = PrivateKey::generate_p256().unwrap();
    for text in ["", "hello", &key.public_key_pem()] {
        assert_eq!(
            Material::new(text, &key).unwrap_err(),
            MaterialError::NoCertificate
        );
        assert_eq!(
            TrustRoots::from_pem(text).unwrap_err(),
            MaterialError::NoCertificate
        );
    }
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(Material::new(broken, &key).is_err());
    assert!(TrustRoots::from_pem(broken).is_err());
}

#[test]
fn keys_of_both_kinds_are_new_each_time_and_their_public_halves_are_read_by_others() {
    let made: [fn() -> Result<PrivateKey, MaterialError>; 2] =
        [PrivateKey::generate_p256, PrivateKey::generate_rsa2048];
    for make in made {
        let (one, two) = (make().unwrap(), make().unwrap());
        assert_ne!(one.spki_der(), two.spki_der());
        let (_, pem) = x509_parser::pem::parse_x509_pem(one.public_key_pem().as_bytes()).unwrap();
        assert_eq!(pem.label, "PUBLIC KEY");
        assert_eq!(pem.contents, one.spki_der());
        let (rest, spki) = SubjectPublicKeyInfo::from_der(one.spki_der()).unwrap();
        assert!(rest.is_empty() && spki.parsed().is_ok());
        assert!(one.public_key_pem().lines().all(|line| line.len() <= 64));
    }
}

#[test]
fn nothing_of_a_key_is_printed() {
    let key = PrivateKey::generate_p256().unwrap();
    assert_eq!(format!("{key:?}"), "PrivateKey(..)");
    let pem = Authority::new("CA").issue(&client_params(), &key);
    let material = Material::new(&pem, &key).unwrap();
    assert!(format!("{material:?}").starts_with("Material { serial: \"0abc\""));
}
