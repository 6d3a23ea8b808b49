//! The certificate of the HTTPS listener: from the CA's own root, or the operator's own; and the endpoint that it is for.

mod files;
mod own;

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::Uri;
use transport::tls::Material;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::registry::Registry;
use crate::vault::Vault;
pub(crate) use files::CertificateFiles;
use files::Files;
use own::Own;

/// The certificate that the HTTPS listener shows.
pub(crate) enum Https {
    /// Issued by the CA.
    Own(Box<Own>),
    /// Read from the operator's files.
    Files(Box<Files>),
}

impl Https {
    /// Issues the first certificate, or reads the operator's.
    pub(crate) async fn start(
        registry: Registry,
        vault: Arc<Vault>,
        clock: Clock,
        files: Option<&CertificateFiles>,
    ) -> Result<Self> {
        files::warn_of_key_files(&registry, files).await?;
        Ok(match files {
            None => Self::Own(Box::new(Own::start(registry, vault, clock).await?)),
            Some(paths) => {
                let files = Files::open(paths, clock)?;
                files::warn_of_endpoint(&registry, &files.material()).await?;
                Self::Files(Box::new(files))
            }
        })
    }

    /// Returns the certificate to show now.
    pub(crate) fn material(&self) -> Arc<Material> {
        match self {
            Self::Own(own) => own.material(),
            Self::Files(files) => files.material(),
        }
    }

    /// Issues the next certificate when it is due. The operator's is the operator's to renew.
    pub(crate) async fn refresh(&self) -> Result<()> {
        match self {
            Self::Own(own) => own.refresh().await,
            Self::Files(_) => Ok(()),
        }
    }

    /// Reads the operator's files again when they have changed.
    pub(crate) fn reload(&self) {
        if let Self::Files(files) = self {
            files.reload();
        }
    }
}

/// The host of the endpoint's URL, an IPv6 address without its brackets.
pub(crate) fn endpoint_host(endpoint: &str) -> Result<String> {
    let uri: Option<Uri> = endpoint.parse().ok();
    let host = uri
        .as_ref()
        .and_then(Uri::host)
        .filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| Error::Invalid(format!("{endpoint} has no host")))?;
    Ok(host.trim_matches(['[', ']']).to_owned())
}

/// Checks an endpoint and writes it as we do: scheme, host and port, no slash at its end.
pub(crate) fn check_endpoint(text: &str) -> Result<String> {
    let wrong = |why: &str| Error::Invalid(format!("--endpoint {text:?} {why}"));
    let uri: Uri = text.parse().map_err(|_| wrong("is not a URL"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong("must look like https://ca.example.org:8443"));
    };
    if uri
        .path_and_query()
        .is_some_and(|rest| rest.as_str() != "/")
        || authority.as_str().contains('@')
    {
        return Err(wrong("must be scheme, host and port alone"));
    }
    let host = endpoint_host(text)?;
    let loopback = host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    match scheme {
        "https" => {}
        "http" if loopback => {}
        "http" => return Err(wrong("may be http on a loopback host only")),
        _ => return Err(wrong("must begin with https://")),
    }
    own::names(&host)?;
    Ok(format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_a_host_and_a_port() {
        for (given, kept) in [
            ("https://ca.example.org:8443", "https://ca.example.org:8443"),
            ("https://ca.example.org/", "https://ca.example.org"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("http://127.0.0.1:80", "http://127.0.0.1:80"),
            ("http://localhost:80", "http://localhost:80"),
        ] {
            assert_eq!(check_endpoint(given).unwrap(), kept);
        }
        for bad in [
            "",
            "ca.example.org",
            "ftp://ca",
            "http://ca.example.org",
            "https://ca/path",
            "https://ca?x",
            "https://user@ca",
            "https://",
        ] {
            assert!(check_endpoint(bad).is_err(), "{bad} was accepted");
        }
    }
}
