//! Asks the verifiers that the agent and the client run whether they would take a certificate.

use super::plan::{AlternativeName, Plan, Purpose};
use crate::clock::{Seconds, system_time};
use crate::error::{Error, Result};

/// Verifies a leaf as its peer will, now and up to its last second.
pub(crate) fn check(leaf: &[u8], plan: &Plan, authority_pem: &str, now: Seconds) -> Result<()> {
    let refused = |problem: &dyn std::fmt::Display| {
        Error::Inspection(format!("its peer would refuse it: {problem}"))
    };
    let roots =
        transport::tls::TrustRoots::from_pem(authority_pem).map_err(|error| refused(&error))?;
    for at in [now, plan.validity.not_before, plan.validity.not_after] {
        let at = system_time(at);
        match plan.purpose {
            Purpose::Client => {
                let identity = transport::tls::verify_client_certificate(leaf, &roots, at)
                    .map_err(|problem| refused(&problem))?;
                if identity != plan.identity() {
                    return Err(Error::Inspection("its identity is another".to_owned()));
                }
            }
            Purpose::Server => {
                let name = plan.instance.dns_name();
                transport::tls::verify_server_certificate(leaf, &roots, &name, at)
                    .map_err(|problem| refused(&problem))?;
            }
        }
    }
    // An application's TLS library looks for the name by which it reached the server.
    for name in plan.alternative_names() {
        if let AlternativeName::Host(host) = name {
            let (host, at) = (host.to_string(), system_time(now));
            transport::tls::verify_server_certificate(leaf, &roots, &host, at)
                .map_err(|problem| refused(&format!("as {host}: {problem}")))?;
        }
    }
    Ok(())
}
