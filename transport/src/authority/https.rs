//! What TLS errors of the CA's HTTPS mean.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use super::error::Failure;
use crate::socket::Proxy;

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

/// The same failure where a proxy is on the way: it may be the proxy's as well as the CA's, so the proxy is named.
pub(super) fn through_proxy(failure: Failure, proxy: &Proxy, error: &dyn Error) -> Failure {
    let said = match failure {
        Failure::Refused => "it does not accept connections".to_owned(),
        Failure::Timeout => "it did not answer in time".to_owned(),
        Failure::NameNotResolved => "a host name on the way cannot be resolved".to_owned(),
        Failure::Broken(_) => innermost(error),
        other => return other,
    };
    Failure::Broken(format!("no way through the proxy {proxy}: {said}"))
}

/// The last cause: what it all began with.
fn innermost(error: &dyn Error) -> String {
    let (mut last, mut next) = (error, error.source());
    while let Some(cause) = next {
        (last, next) = (cause, cause.source());
    }
    last.to_string()
}
