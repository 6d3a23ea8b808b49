//! What TLS errors of the CA's HTTPS mean.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use super::error::Failure;

/// What a TLS error somewhere in the chain of causes means; `None` when there is none.
pub(super) fn certificate_problem(error: &(dyn Error + 'static)) -> Option<Failure> {
    match find::<rustls::Error>(error)? {
        rustls::Error::InvalidCertificate(problem) => Some(match problem {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Failure::CertificateTime,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Failure::WrongHost
            }
            _ => Failure::UntrustedRoot,
        }),
        other => Some(Failure::Broken(other.to_string())),
    }
}

/// The first cause of this type. An [`io::Error`] hides what it wraps from `source`, so that is looked into.
pub(super) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// The last cause: what it all began with.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
