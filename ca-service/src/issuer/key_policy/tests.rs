//! Keys of every kind, made with OpenSSL.

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("fixtures/", $name, ".pem"))
    };
}

fn refusal(pem: &str) -> String {
    match SubjectKey::from_pem(pem) {
        Ok(_) => panic!("accepted:\n{pem}"),
        Err(error) => error.to_string(),
    }
}

fn der(pem: &str) -> Vec<u8> {
    decode(pem).unwrap()
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

#[test]
fn the_usual_keys_are_accepted_as_they_are() {
    for good in [
        fixture!("p256"),
        fixture!("p384"),
        fixture!("rsa-2048"),
        fixture!("rsa-4096"),
        fixture!("ed25519"),
    ] {
        assert_eq!(SubjectKey::from_pem(good).unwrap().spki, der(good));
    }
}

#[test]
fn the_content_decides_and_not_the_label() {
    let spki = der(fixture!("rsa-2048"));
    let pkcs1 = der(fixture!("rsa-2048-pkcs1"));
    for label in LABELS {
        for der in [&spki, &pkcs1] {
            let key = SubjectKey::from_pem(&pem(label, der)).unwrap();
            assert_eq!(key.spki, spki, "{label}");
        }
    }
    let p256 = der(fixture!("p256"));
    assert_eq!(
        SubjectKey::from_pem(&pem("RSA PUBLIC KEY", &p256))
            .unwrap()
            .spki,
        p256
    );
}

#[test]
fn weak_and_unusual_keys_are_refused_for_their_own_reason() {
    for (bad, reason) in [
        (fixture!("rsa-1024"), "2048 to 4096"),
        (fixture!("rsa-2040"), "2048 to 4096"),
        (fixture!("rsa-5120"), "2048 to 4096"),
        (fixture!("rsa-2048-e3"), "65537"),
        (fixture!("rsa-pss"), "none of"),
        (fixture!("p521"), "none of"),
        (fixture!("k256"), "none of"),
        (fixture!("p256-explicit"), "none of"),
        (fixture!("p256-compressed"), "uncompressed"),
        (fixture!("ed448"), "none of"),
        (fixture!("x25519"), "none of"),
    ] {
        let told = refusal(bad);
        assert!(told.contains(reason), "{told}\n{bad}");
    }
}

#[test]
fn a_point_off_its_curve_is_refused() {
    for good in [fixture!("p256"), fixture!("p384")] {
        let mut moved = der(good);
        *moved.last_mut().unwrap() ^= 1;
        let told = refusal(&pem("PUBLIC KEY", &moved));
        assert!(told.contains("curve"), "{told}");
    }
}

#[test]
fn bytes_after_or_within_the_encoding_are_refused() {
    for good in [
        fixture!("p256"),
        fixture!("rsa-2048"),
        fixture!("rsa-2048-pkcs1"),
        fixture!("ed25519"),
    ] {
        let der = der(good);
        let mut longer = der.clone();
        longer.push(0);
        refusal(&pem("PUBLIC KEY", &longer));
        refusal(&pem("PUBLIC KEY", &der[..der.len() - 1]));
        refusal(&pem("PUBLIC KEY", &der[1..]));
    }
    // A long-form length where a short one would do: BER, not DER.
    let mut ber = der(fixture!("ed25519"));
    ber.splice(1..2, [0x81, ber[1]]);
    refusal(&pem("PUBLIC KEY", &ber));
}

#[test]
fn anything_but_one_block_is_refused() {
    let good = fixture!("p256");
    let other = fixture!("ed25519");
    for bad in [
        String::new(),
        "x".to_owned(),
        format!("{good}{other}"),
        format!("{good}{good}"),
        format!("text\n{good}"),
        format!("{good}text\n"),
        good.replace("PUBLIC", "PRIVATE"),
        good.replace("PUBLIC KEY", "CERTIFICATE"),
        good.replacen("PUBLIC", "RSA PUBLIC", 1),
        good.replace('M', "!"),
        good.lines().take(2).collect(),
        "-----BEGIN PUBLIC KEY----------END PUBLIC KEY-----".to_owned(),
    ] {
        refusal(&bad);
    }
}
