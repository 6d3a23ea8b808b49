//! What the tests of names have in common.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use proxy_client::config::{Failover, InstanceConfig, Refresh, Wanted};

use crate::agent::Agent;
use crate::ca::Instance;
use crate::dns::Dns;
use crate::ports::free_port;
use crate::world::{Client, World};

pub(super) const DOMAIN: &str = "db.corp.test";
pub(super) const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
pub(super) const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// A world with a DNS server and two instances, and two agents at one port of two addresses, who serve both.
pub(super) struct Stand {
    pub(super) world: World,
    pub(super) dns: Dns,
    pub(super) agents: [Agent; 2],
    _instances: [Arc<Instance>; 2],
}

impl Stand {
    pub(super) async fn new() -> Self {
        let (world, one) = World::new().await;
        let other = world.ca.knows(Instance::new("demo:eu:db2"));
        let instances = [one, other];
        let port = free_port();
        let first = Agent::start_at(&world.time, (FIRST, port).into()).await;
        let second = Agent::start_at(&world.time, SocketAddr::from((SECOND, port))).await;
        let agents = [first, second];
        for agent in agents.iter().chain([&world.agent]) {
            for instance in &instances {
                agent.serves(instance);
            }
        }
        Self {
            dns: Dns::start().await,
            world,
            agents,
            _instances: instances,
        }
    }

    pub(super) fn instance(&self) -> InstanceConfig {
        InstanceConfig {
            wanted: Wanted::Domain(DOMAIN.to_owned()),
            ..self.world.instance("demo:eu:db1")
        }
    }

    /// One that finds its agents at the domain's own addresses.
    pub(super) fn by_address(&self) -> InstanceConfig {
        InstanceConfig {
            tunnel_port: self.agents[0].address.port(),
            ..self.instance()
        }
    }

    pub(super) async fn client(&self, instance: InstanceConfig, grace: Option<Duration>) -> Client {
        self.client_that(instance, Duration::from_millis(20), grace, Refresh::Ahead)
            .await
    }

    pub(super) async fn client_that(
        &self,
        instance: InstanceConfig,
        period: Duration,
        grace: Option<Duration>,
        refresh: Refresh,
    ) -> Client {
        let mut config = self.world.config(vec![instance]);
        config.refresh = refresh;
        // Each session dials.
        config.spare_tunnels = 0;
        config.failover = Failover {
            names: self.dns.names.clone(),
            period,
            grace,
        };
        self.world.client_of(config).await
    }

    /// How many sessions each agent has had.
    pub(super) fn counts(&self) -> [usize; 2] {
        [0, 1].map(|at: usize| self.agents[at].hellos().len())
    }
}
