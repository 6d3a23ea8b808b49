//! Reads a certificate back and holds it against its plan: every field and every extension, and nothing besides.

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Version;

use super::plan::{AlternativeName, Plan, Purpose};
use crate::error::{Error, Result};
use crate::registry::Host;

/// Extensions of a leaf: key usage, extended key usage, basic constraints, alternative name, and both key identifiers.
const EXTENSIONS: usize = 6;

/// Checks a leaf before it is handed out.
pub(crate) fn check(leaf: &[u8], plan: &Plan, spki: &[u8], authority: &[u8]) -> Result<()> {
    let leaf = read(leaf)?;
    let authority = read(authority)?;
    check_fields(&leaf, plan, spki)?;
    check_issuer(&leaf, &authority)?;
    check_usage(&leaf, plan)?;
    check_names(&leaf, plan)
}

/// Parses a certificate, with nothing after it.
pub(crate) fn read(der: &[u8]) -> Result<X509Certificate<'_>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => fail("it cannot be read back"),
    }
}

fn check_fields(leaf: &X509Certificate<'_>, plan: &Plan, spki: &[u8]) -> Result<()> {
    let serial = leaf.tbs_certificate.raw_serial();
    let validity = leaf.validity();
    let times = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    require(leaf.version() == X509Version::V3, "its version is not 3")?;
    require(
        serial == plan.serial.bytes(),
        "its serial number is another",
    )?;
    require(
        times == (plan.validity.not_before, plan.validity.not_after),
        "its validity is another",
    )?;
    require(leaf.public_key().raw == spki, "its key is another")
}

fn check_issuer(leaf: &X509Certificate<'_>, authority: &X509Certificate<'_>) -> Result<()> {
    // Byte for byte: Go and Java compare the encoded names.
    require(
        leaf.issuer().as_raw() == authority.subject().as_raw(),
        "its issuer is not written as its CA's subject is",
    )?;
    require(
        leaf.validity().not_after.timestamp() <= authority.validity().not_after.timestamp(),
        "it outlives its CA",
    )?;
    require(
        leaf.verify_signature(Some(authority.public_key())).is_ok(),
        "its signature is not its CA's",
    )?;
    let wanted =
        authority
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
                _ => None,
            });
    let named = leaf
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                id.key_identifier.as_ref().map(|id| id.0)
            }
            _ => None,
        });
    require(
        named.is_some() && named == wanted,
        "its authority key identifier is not its CA's",
    )
}

fn check_usage(leaf: &X509Certificate<'_>, plan: &Plan) -> Result<()> {
    let basic = leaf.basic_constraints().ok().flatten();
    require(
        basic.is_some_and(|basic| basic.critical && !basic.value.ca),
        "its basic constraints are not a leaf's",
    )?;
    let usage = leaf.key_usage().ok().flatten();
    // Bit 0 alone: digitalSignature.
    require(
        usage.is_some_and(|usage| usage.critical && usage.value.flags == 1),
        "its key usage is not digitalSignature alone",
    )?;
    let extended = leaf.extended_key_usage().ok().flatten();
    let Some(extended) = extended.map(|extended| extended.value) else {
        return fail("it has no extended key usage");
    };
    let others = extended.any
        || extended.code_signing
        || extended.email_protection
        || extended.time_stamping
        || extended.ocsp_signing
        || !extended.other.is_empty();
    let (client, server) = match plan.purpose {
        Purpose::Client => (true, false),
        Purpose::Server => (false, true),
    };
    require(
        !others && extended.client_auth == client && extended.server_auth == server,
        "its extended key usage is not its purpose alone",
    )
}

fn check_names(leaf: &X509Certificate<'_>, plan: &Plan) -> Result<()> {
    let common_names: Vec<_> = leaf
        .subject()
        .iter_common_name()
        .filter_map(|name| name.as_str().ok())
        .collect();
    require(
        common_names == [plan.common_name()],
        "its common name is another",
    )?;
    let names = leaf.subject_alternative_name().ok().flatten();
    let names = names
        .map(|names| names.value.general_names.as_slice())
        .unwrap_or_default();
    let names: Option<Vec<_>> = names.iter().map(alternative_name).collect();
    require(
        names.is_some_and(|names| names == plan.alternative_names()),
        "its alternative names are not the planned ones, in their order",
    )?;
    let has_key_id = leaf.extensions().iter().any(|extension| {
        matches!(
            extension.parsed_extension(),
            ParsedExtension::SubjectKeyIdentifier(_)
        )
    });
    require(has_key_id, "it has no subject key identifier")?;
    require(
        leaf.extensions().len() == EXTENSIONS,
        "it has an extension too many",
    )
}

fn alternative_name(name: &GeneralName<'_>) -> Option<AlternativeName> {
    match *name {
        GeneralName::URI(uri) => Some(AlternativeName::Identity(uri.to_owned())),
        GeneralName::DNSName(name) => Some(AlternativeName::Host(Host::Name(name.to_owned()))),
        GeneralName::IPAddress(bytes) => {
            let v4 = || <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let v6 = |_| <[u8; 16]>::try_from(bytes).map(IpAddr::from);
            let address = v4().or_else(v6).ok()?;
            Some(AlternativeName::Host(Host::Address(address)))
        }
        _ => None,
    }
}

fn require(holds: bool, otherwise: &str) -> Result<()> {
    if holds { Ok(()) } else { fail(otherwise) }
}

fn fail<T>(reason: &str) -> Result<T> {
    Err(Error::Inspection(reason.to_owned()))
}

#[cfg(test)]
mod tests;
