//! Where an instance's agents are: hosts and ports, in the order in which they are tried.

use tokio::time::Instant;
use transport::error::DialError;

use super::Connector;
use crate::config::{ConnectTo, HostPort, is_service};
use crate::refresh::ConnectionInfo;

impl Connector {
    /// Where agents are dialled: whom they must prove to be does not depend on it.
    ///
    /// What the operator says stands before the addresses of the domain by which the instance is named, and those before
    /// what the CA says. A service of DNS stands for its hosts and ports.
    pub(crate) async fn places(
        &self,
        info: &ConnectionInfo,
        deadline: Instant,
    ) -> Result<Vec<HostPort>, DialError> {
        let at = |host: &String| HostPort {
            host: host.clone(),
            port: self.tunnel_port,
        };
        match (&self.connect_to, self.refresher.host()) {
            (Some(ConnectTo::Host(host)), _) => return Ok(vec![host.clone()]),
            (Some(ConnectTo::Service(name)), _) => return self.service(name, deadline).await,
            (None, Some(domain)) => return Ok(vec![at(&domain)]),
            (None, None) => {}
        }
        let mut places = Vec::new();
        for address in &info.addresses {
            if is_service(address) {
                places.extend(self.service(address, deadline).await?);
            } else {
                places.push(at(address));
            }
        }
        Ok(places)
    }

    async fn service(&self, name: &str, deadline: Instant) -> Result<Vec<HostPort>, DialError> {
        let found = Box::pin(self.names.service(name, deadline)).await?;
        let place = |one: transport::socket::ServiceAddress| HostPort {
            host: one.host,
            port: one.port,
        };
        Ok(found.into_iter().map(place).collect())
    }
}
