//! The peers' certificates: one root, a server's and a client's leaf, ECDSA P-256 as ours.

use std::path::PathBuf;

use anyhow::Result;
use e2e::place::Place;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

/// The name of the server's certificate.
pub(crate) const SERVER_NAME: &str = "server.bench.internal";

/// Certificate, key, and both in one file, as HAProxy wants them.
pub(crate) struct Leaf {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) both: PathBuf,
}

/// Files in the bench's folder.
pub(crate) struct Certificates {
    pub(crate) root: PathBuf,
    pub(crate) server: Leaf,
    pub(crate) client: Leaf,
}

impl Certificates {
    pub(crate) fn write(place: &Place) -> Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "bench root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = params.self_signed(&key)?;
        let file = place.join("peers-root.pem");
        std::fs::write(&file, root.pem())?;
        let issuer = Issuer::new(params, key);
        Ok(Self {
            root: file,
            server: leaf(
                place,
                &issuer,
                SERVER_NAME,
                ExtendedKeyUsagePurpose::ServerAuth,
            )?,
            client: leaf(
                place,
                &issuer,
                "client.bench.internal",
                ExtendedKeyUsagePurpose::ClientAuth,
            )?,
        })
    }
}

fn leaf(
    place: &Place,
    issuer: &Issuer<'_, KeyPair>,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> Result<Leaf> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    let certificate = params.signed_by(&key, issuer)?.pem();
    let leaf = Leaf {
        certificate: place.join(&format!("{name}.pem")),
        key: place.join(&format!("{name}.key")),
        both: place.join(&format!("{name}.both")),
    };
    std::fs::write(&leaf.certificate, &certificate)?;
    std::fs::write(&leaf.key, key.serialize_pem())?;
    std::fs::write(&leaf.both, certificate + &key.serialize_pem())?;
    Ok(leaf)
}
