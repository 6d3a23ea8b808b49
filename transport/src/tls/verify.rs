//! The judges of certificates, shared by both ends of the tunnel and by the CA, which asks them before it issues.

use std::time::{SystemTime, UNIX_EPOCH};

use proto::Identity;
use rustls::CertificateError;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::client::ServerIdentity;
use super::error::CertificateProblem;
use super::material::TrustRoots;
use super::names::{foreign_name, wrong_name};
use super::remember::algorithms;

/// Judges a client certificate; says whom it speaks for.
///
/// It must be issued directly by one of the roots, be valid now, be for client authentication and nothing else,
/// not be a CA's, and carry exactly one alternative name, which is an identity.
///
/// # Errors
/// What is wrong with it.
pub fn verify_client_certificate(
    leaf_der: &[u8],
    roots: &TrustRoots,
    now: SystemTime,
) -> Result<Identity, CertificateProblem> {
    let leaf = parse(leaf_der)?;
    let identity = claimed_identity(&leaf)?;
    check_client(&leaf, leaf_der, roots, now)?;
    Ok(identity)
}

/// Judges what a client certificate claims, the certificate parsed already.
pub(super) fn check_client(
    leaf: &X509Certificate<'_>,
    leaf_der: &[u8],
    roots: &TrustRoots,
    now: SystemTime,
) -> Result<(), CertificateProblem> {
    check_not_authority(leaf)?;
    let der = CertificateDer::from(leaf_der);
    roots
        .clients
        .verify_client_cert(&der, &[], unix(now)?)
        .map_err(|error| problem(&error))?;
    check_purpose(leaf, Purpose::Client)
}

/// Judges a server certificate as our CA issues it: from one of the roots, valid now, for server authentication and
/// nothing else, not a CA's, with that DNS name.
///
/// # Errors
/// What is wrong with it.
pub fn verify_server_certificate(
    leaf_der: &[u8],
    roots: &TrustRoots,
    dns_name: &str,
    now: SystemTime,
) -> Result<(), CertificateProblem> {
    let leaf = parse(leaf_der)?;
    check_not_authority(&leaf)?;
    let der = CertificateDer::from(leaf_der);
    let certificate = check_server_chain(&der, roots, now)?;
    check_purpose(&leaf, Purpose::Server)?;
    if names_host(&certificate, dns_name) {
        Ok(())
    } else {
        Err(wrong_name(dns_name.to_owned(), &leaf))
    }
}

/// Judges the certificate of whatever answers where a server is expected, as Google's Go connector does: the DNS name
/// if one is known, else (or if it does not match) the common name.
pub(super) fn verify_server_identity(
    leaf_der: &[u8],
    roots: &TrustRoots,
    expected: &ServerIdentity,
    now: SystemTime,
) -> Result<(), CertificateProblem> {
    let der = CertificateDer::from(leaf_der);
    let certificate = match check_server_chain(&der, roots, now) {
        Err(CertificateProblem::UnknownIssuer) => return Err(unknown_issuer(&der, expected)),
        other => other?,
    };
    let leaf = parse(leaf_der)?;
    if is_expected(&certificate, &leaf, expected) {
        Ok(())
    } else {
        Err(wrong_name(expected.to_string(), &leaf))
    }
}

/// Whether a certificate bears one of the names of the server that is dialled.
fn is_expected(
    certificate: &ParsedCertificate<'_>,
    leaf: &X509Certificate<'_>,
    expected: &ServerIdentity,
) -> bool {
    let dns_name = expected.dns_name.as_deref();
    if dns_name.is_some_and(|dns_name| names_host(certificate, dns_name)) {
        return true;
    }
    let mut names = leaf.subject().iter_common_name();
    matches!(
        (names.next().map(|name| name.as_str()), names.next()),
        (Some(Ok(name)), None) if name == expected.common_name
    )
}

/// The finding about a certificate of an unknown issuer. Each instance has a CA of its own: another instance's agent is
/// told by its names, which decide nothing here.
fn unknown_issuer(der: &CertificateDer<'_>, expected: &ServerIdentity) -> CertificateProblem {
    let names = ParsedCertificate::try_from(der).ok().zip(parse(der).ok());
    match names {
        Some((certificate, leaf)) if !is_expected(&certificate, &leaf, expected) => {
            foreign_name(expected.to_string(), &leaf)
        }
        _ => CertificateProblem::UnknownIssuer,
    }
}

pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateProblem> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateProblem::Malformed),
    }
}

/// Whom a client certificate claims to speak for, before anything about it is verified: to find the roots.
pub(super) fn claimed_identity(leaf: &X509Certificate<'_>) -> Result<Identity, CertificateProblem> {
    let names = leaf
        .subject_alternative_name()
        .map_err(|_| CertificateProblem::Malformed)?
        .ok_or(CertificateProblem::Identity)?;
    match names.value.general_names.as_slice() {
        [GeneralName::URI(uri)] => uri.parse().map_err(|_| CertificateProblem::Identity),
        _ => Err(CertificateProblem::Identity),
    }
}

/// Judges who issued a server certificate; gives the certificate, parsed, for what is to be asked about its names.
fn check_server_chain<'d>(
    leaf_der: &'d CertificateDer<'_>,
    roots: &TrustRoots,
    now: SystemTime,
) -> Result<ParsedCertificate<'d>, CertificateProblem> {
    let leaf = ParsedCertificate::try_from(leaf_der).map_err(|error| problem(&error))?;
    // Direct issuers only: what the peer sends beside its certificate is not looked at.
    verify_server_cert_signed_by_trust_anchor(&leaf, &roots.store, &[], unix(now)?, algorithms())
        .map_err(|error| problem(&error))?;
    Ok(leaf)
}

/// Whether a host is among the alternative names: a DNS name or an IP address.
pub(super) fn has_name(leaf_der: &[u8], host: &str) -> Result<bool, CertificateProblem> {
    let der = CertificateDer::from(leaf_der);
    let leaf = ParsedCertificate::try_from(&der).map_err(|error| problem(&error))?;
    Ok(names_host(&leaf, host))
}

/// No certificate has a name that is none.
fn names_host(leaf: &ParsedCertificate<'_>, host: &str) -> bool {
    ServerName::try_from(host).is_ok_and(|name| verify_server_name(leaf, &name).is_ok())
}

#[derive(Clone, Copy)]
enum Purpose {
    Client,
    Server,
}

/// A certificate without extended key usage is good for everything: rustls lets it pass, we do not.
fn check_purpose(leaf: &X509Certificate<'_>, purpose: Purpose) -> Result<(), CertificateProblem> {
    let usage = leaf
        .extended_key_usage()
        .map_err(|_| CertificateProblem::Malformed)?
        .ok_or(CertificateProblem::Purpose)?
        .value;
    let wanted = match purpose {
        Purpose::Client => (true, false),
        Purpose::Server => (false, true),
    };
    if (usage.client_auth, usage.server_auth) == wanted && !usage.any {
        Ok(())
    } else {
        Err(CertificateProblem::Purpose)
    }
}

fn check_not_authority(leaf: &X509Certificate<'_>) -> Result<(), CertificateProblem> {
    let constraints = leaf
        .basic_constraints()
        .map_err(|_| CertificateProblem::Malformed)?;
    if constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err(CertificateProblem::Authority);
    }
    Ok(())
}

pub(super) fn unix(now: SystemTime) -> Result<UnixTime, CertificateProblem> {
    let since = now
        .duration_since(UNIX_EPOCH)
        .map_err(|_| CertificateProblem::NotValidYet)?;
    Ok(UnixTime::since_unix_epoch(since))
}

/// What rustls has found, in our words.
pub(super) fn problem(error: &rustls::Error) -> CertificateProblem {
    let rustls::Error::InvalidCertificate(error) = error else {
        return CertificateProblem::Other(error.to_string());
    };
    match error {
        CertificateError::BadEncoding => CertificateProblem::Malformed,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            CertificateProblem::Expired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateProblem::NotValidYet
        }
        // Two CAs may bear one name: a signature of the other's is no signature of ours.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            CertificateProblem::UnknownIssuer
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            CertificateProblem::Purpose
        }
        other => CertificateProblem::Other(other.to_string()),
    }
}

/// Our finding, so that the peer gets the alert that fits (RFC 8446 section 6.2).
pub(super) fn alerting(problem: &CertificateProblem) -> rustls::Error {
    let error = match problem {
        CertificateProblem::Expired => CertificateError::Expired,
        CertificateProblem::NotValidYet => CertificateError::NotValidYet,
        CertificateProblem::UnknownIssuer
        | CertificateProblem::Foreign { .. }
        | CertificateProblem::NotServed(_) => CertificateError::UnknownIssuer,
        CertificateProblem::Purpose => CertificateError::InvalidPurpose,
        CertificateProblem::Malformed
        | CertificateProblem::Authority
        | CertificateProblem::Identity
        | CertificateProblem::Name { .. }
        | CertificateProblem::Other(_) => CertificateError::BadEncoding,
    };
    error.into()
}
