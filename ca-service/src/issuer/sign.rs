//! Signing: the only call of rcgen that makes a leaf of an instance.

use rcgen::CertificateParams;

use super::authority_ca::Authority;
use super::key_policy::SubjectKey;
use super::plan::Plan;
use crate::error::{Error, Result};
use crate::store::hex;

/// A certificate that has been signed and not yet inspected.
pub(crate) struct Signed {
    /// The certificate.
    pub(crate) der: Vec<u8>,
    /// The same as text, with one newline at its end (Java refuses more).
    pub(crate) pem: String,
}

/// Signs what `profile` makes of the plan, for that key.
pub(crate) fn sign(
    plan: &Plan,
    profile: fn(&Plan) -> Result<CertificateParams>,
    key: &SubjectKey,
    authority: &Authority,
) -> Result<Signed> {
    let params = profile(plan)?;
    let certificate = params
        .signed_by(&key.info, &authority.issuer)
        .map_err(|_| Error::Crypto("signing failed"))?;
    Ok(Signed {
        der: certificate.der().to_vec(),
        pem: certificate.pem(),
    })
}

/// The fingerprint that Google's API shows.
pub(crate) fn sha1(der: &[u8]) -> String {
    let algorithm = &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
    hex(aws_lc_rs::digest::digest(algorithm, der).as_ref())
}
