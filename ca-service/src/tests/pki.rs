//! An operator's own CA, and certificates of it in files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use time::OffsetDateTime;

use crate::clock::{Clock, Seconds, date_time};
use crate::https::CertificateFiles;

/// A root and a CA below it.
pub(crate) struct Pki {
    root: CertifiedIssuer<'static, KeyPair>,
    below: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate, those that issued it, and its key, as PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) issuer: String,
    pub(crate) key: String,
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Pki {
    pub(crate) fn new() -> Self {
        let key = || KeyPair::generate().unwrap();
        let root = CertifiedIssuer::self_signed(ca("Root of a test"), key()).unwrap();
        let below = CertifiedIssuer::signed_by(ca("CA of a test"), key(), &root).unwrap();
        Self { root, below }
    }

    pub(crate) fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// Issues a certificate for `localhost`, valid from `begins` to `ends` seconds from now.
    pub(crate) fn issue(&self, begins: Seconds, ends: Seconds) -> Issued {
        let at =
            |seconds: Seconds| -> OffsetDateTime { date_time(Clock::system().now() + seconds) };
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (at(begins), at(ends));
        let certificate = params.signed_by(&key, &self.below).unwrap();
        Issued {
            certificate: certificate.pem(),
            issuer: self.below.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Issued {
    pub(crate) fn chain(&self) -> String {
        format!("{}{}", self.certificate, self.issuer)
    }

    /// Puts chain and key into a folder, each in the place of what is there.
    pub(crate) fn write(&self, folder: &Path) -> CertificateFiles {
        write(folder, &self.chain(), &self.key)
    }
}

/// Puts two texts into a folder, each in the place of what is there.
pub(crate) fn write(folder: &Path, certificate: &str, key: &str) -> CertificateFiles {
    let place = |name: &str, text: &str| {
        let (path, new) = (folder.join(name), folder.join(format!("{name}.new")));
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    };
    CertificateFiles {
        certificate: place("tls.crt", certificate),
        key: place("tls.key", key),
    }
}
