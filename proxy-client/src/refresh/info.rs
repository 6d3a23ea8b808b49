//! What a connection needs: where the agent is, whom to believe, and what to show.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proto::admin::ConnectSettings;
use proto::{Engine, InstanceName};
use tokio_util::sync::CancellationToken;
use transport::Clock;
use transport::tls::{Material, Offer, PrivateKey, ServerIdentity, TlsClient, TrustRoots};

use crate::config::{Route, Wanted};
use crate::error::RefreshError;

/// A certificate that ends within this time is not shown any more: the handshake takes a while.
const MARGIN: Duration = Duration::from_secs(5);
/// By use, a certificate is renewed when a quarter of its life is left: later than the background does it.
const DUE_SHARE: u32 = 4;
/// The end of the DNS names that our own CA gives to instances: whose agents speak our dialect.
const OUR_DOMAIN: &str = ".csql.internal";

/// What a connection needs. Made whole and never changed.
pub struct ConnectionInfo {
    /// Counts attempts: tells one information from another.
    pub(super) number: u64,
    /// The instance's full name.
    pub name: InstanceName,
    /// What its database speaks.
    pub engine: Engine,
    /// Where its agents listen, in the CA's order.
    pub addresses: Vec<String>,
    /// Shows the certificate and believes the instance's server CA.
    pub tls: TlsClient,
    /// The certificate's serial number.
    pub serial: String,
    /// When it begins.
    pub not_before: SystemTime,
    /// When it ends.
    pub not_after: SystemTime,
    /// Ends the sessions that were opened with it.
    pub cut: CancellationToken,
}

/// What stays true of an instance, whatever becomes of its certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The full name.
    pub name: InstanceName,
    /// What its database speaks.
    pub engine: Engine,
}

impl Told {
    pub(crate) fn new(wanted: &Wanted, settings: &ConnectSettings) -> Result<Self, RefreshError> {
        Ok(Self {
            name: full_name(wanted, settings)?,
            engine: Engine::of_database_version(&settings.database_version),
        })
    }
}

impl ConnectionInfo {
    pub(super) fn told(&self) -> Told {
        Told {
            name: self.name.clone(),
            engine: self.engine,
        }
    }

    /// Tells one information from another of the same instance.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// Whether the certificate can be used now.
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        now + MARGIN < self.not_after
    }

    /// Whether it should have been renewed by now.
    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        self.not_after
            .duration_since(now)
            .is_ok_and(|left| left < self.lifetime() / DUE_SHARE)
    }

    /// The whole life of the certificate.
    pub(super) fn lifetime(&self) -> Duration {
        self.not_after
            .duration_since(self.not_before)
            .unwrap_or_default()
    }
}

/// What the CA answered, still to be joined.
pub(super) struct Parts<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) cut: &'a CancellationToken,
    pub(super) route: Route,
    pub(super) settings: ConnectSettings,
    pub(super) certificate: String,
    pub(super) key: &'a PrivateKey,
    pub(super) clock: Clock,
    pub(super) number: u64,
}

impl Parts<'_> {
    /// Joins the answers, or says which of them cannot be used.
    pub(super) fn join(self) -> Result<Arc<ConnectionInfo>, RefreshError> {
        let Told { name, engine } = Told::new(self.wanted, &self.settings)?;
        let addresses = addresses(self.route, &self.settings)?;
        let roots = self.settings.server_ca_cert.as_ref();
        let roots = TrustRoots::from_pem(&roots.ok_or(RefreshError::NoServerCa)?.cert)?;
        let material = Material::new(&self.certificate, self.key)?;
        let dns_name = dns_name(&self.settings);
        let is_ours = dns_name
            .as_deref()
            .is_some_and(|name| name.trim_end_matches('.').ends_with(OUR_DOMAIN));
        let identity = ServerIdentity {
            dns_name,
            common_name: name.common_name(),
        };
        let offer = if is_ours {
            Offer::Ours
        } else {
            Offer::BareOnly
        };
        let now = (self.clock)();
        let tls = TlsClient::new(&material, &roots, identity, self.clock, offer)
            .map_err(|error| RefreshError::Tls(error.to_string()))?;
        let info = ConnectionInfo {
            number: self.number,
            engine,
            name,
            addresses,
            tls,
            serial: material.serial_hex(),
            not_before: material.not_before(),
            not_after: material.not_after(),
            cut: self.cut.clone(),
        };
        if !info.is_valid_at(now) {
            return Err(RefreshError::NotValid);
        }
        Ok(Arc::new(info))
    }
}

/// A full name must be in the CA's region, as Google's connectors demand; a short one learns it.
pub(crate) fn full_name(
    wanted: &Wanted,
    settings: &ConnectSettings,
) -> Result<InstanceName, RefreshError> {
    match wanted {
        Wanted::Full(name) if settings.region.is_empty() || settings.region == name.region() => {
            Ok(name.clone())
        }
        Wanted::Full(name) => Err(RefreshError::Region {
            wanted: name.clone(),
            region: settings.region.clone(),
        }),
        Wanted::Short { project, instance } => {
            InstanceName::new(project, &settings.region, instance)
                .map_err(|_| RefreshError::Unnamed)
        }
        // Nobody asks the CA for a domain.
        Wanted::Domain(_) => Err(RefreshError::Unnamed),
    }
}

fn addresses(route: Route, settings: &ConnectSettings) -> Result<Vec<String>, RefreshError> {
    let of = |kind: &str| -> Vec<String> {
        settings
            .ip_addresses
            .iter()
            .filter(|address| address.kind == kind && !address.ip_address.is_empty())
            .map(|address| address.ip_address.clone())
            .collect()
    };
    let (found, kind) = match route {
        Route::Public => (of("PRIMARY"), "PRIMARY"),
        Route::Private => (of("PRIVATE"), "PRIVATE"),
        Route::Psc => (psc_names(settings), "PRIVATE_SERVICE_CONNECT"),
        Route::Either => {
            let public = of("PRIMARY");
            let found = if public.is_empty() {
                of("PRIVATE")
            } else {
                public
            };
            (found, "PRIMARY or PRIVATE")
        }
    };
    if found.is_empty() {
        return Err(RefreshError::NoAddress { kind });
    }
    Ok(found)
}

/// Names of the instance itself, not of a cluster; without the closing dot, which resolvers need not know.
fn psc_names(settings: &ConnectSettings) -> Vec<String> {
    settings
        .dns_names
        .iter()
        .filter(|entry| {
            entry.connection_type == "PRIVATE_SERVICE_CONNECT" && entry.dns_scope == "INSTANCE"
        })
        .map(|entry| entry.name.trim_end_matches('.').to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

/// The newer form wins, as in Google's Go connector.
fn dns_name(settings: &ConnectSettings) -> Option<String> {
    let newer = settings.dns_names.first().map(|entry| entry.name.as_str());
    [newer.unwrap_or_default(), &settings.dns_name]
        .into_iter()
        .find(|name| !name.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests;
