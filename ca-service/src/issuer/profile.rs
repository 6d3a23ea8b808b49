//! The profiles of certificates. Nothing in them comes from a request, besides the key.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    SanType, SerialNumber,
};

use super::plan::{AlternativeName, Plan, Purpose, Serial, Validity};
use crate::clock::date_time;
use crate::error::{Error, Result};
use crate::registry::Host;

/// Subject of everything that is ours.
const ORGANIZATION: &str = "cloudsql-ca";

/// A leaf, with the alternative names of its plan.
pub(crate) fn leaf(plan: &Plan) -> Result<CertificateParams> {
    let mut params = base(&plan.serial, &plan.validity, &plan.common_name());
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match plan.purpose {
        Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    let names = plan.alternative_names();
    params.subject_alt_names = names.into_iter().map(san).collect::<Result<_>>()?;
    Ok(params)
}

fn san(name: AlternativeName) -> Result<SanType> {
    let ascii = |name: String| {
        name.try_into()
            .map_err(|_| Error::Crypto("a name is not ASCII"))
    };
    Ok(match name {
        AlternativeName::Identity(uri) => SanType::URI(ascii(uri)?),
        AlternativeName::Host(Host::Name(name)) => SanType::DnsName(ascii(name)?),
        AlternativeName::Host(Host::Address(address)) => SanType::IpAddress(address),
    })
}

/// A CA that issues leaves only.
pub(crate) fn authority(serial: &Serial, validity: &Validity, name: &str) -> CertificateParams {
    let mut params = base(serial, validity, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// The leaf of the HTTPS listener.
pub(crate) fn https(
    serial: &Serial,
    validity: &Validity,
    names: Vec<SanType>,
) -> CertificateParams {
    let mut params = base(serial, validity, "cloudsql-ca");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = names;
    params
}

fn base(serial: &Serial, validity: &Validity, common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, ORGANIZATION);
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.serial_number = Some(SerialNumber::from_slice(serial.bytes()));
    params.not_before = date_time(validity.not_before);
    params.not_after = date_time(validity.not_after);
    params.use_authority_key_identifier_extension = true;
    params
}
