//! The whole of it in one place: a database, the CA, an agent with both kinds of database leg, and key files.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::agent::{Agent, Leg};
use crate::authority::{Authority, Dialect};
use crate::databases::{Database, Flavor};
use crate::place::{Loopback, Place};
use crate::proxy::{Mount, Proxy};

/// The account that applications use.
pub const CLIENT_ACCOUNT: &str = "shop";
/// The account of the agent.
pub const AGENT_ACCOUNT: &str = "agent";

/// How the two instances are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    /// By one agent. It learns from the name in the TLS hello which certificate to show, so a client that sends none
    /// (Google's Python connector does not, when it dials an IP address) finds the first instance only.
    Together,
    /// By an agent each, at an address each.
    Apart,
}

/// A database that can be reached through the tunnel. Fields end in the order in which they stand.
pub struct World {
    agents: Vec<Agent>,
    /// The CA.
    pub authority: Authority,
    /// The database.
    pub database: Database,
    /// Folder and address of all of it.
    pub place: Place,
    key_file: PathBuf,
}

/// The name of the instance that the agent reaches by `leg`.
pub const fn instance(leg: Leg) -> &'static str {
    match leg {
        Leg::Unix => "db-unix",
        Leg::Tcp => "db-tcp",
    }
}

impl World {
    /// Starts everything but a client, with one agent and the account [`CLIENT_ACCOUNT`].
    pub fn start(flavor: Flavor) -> Result<Self> {
        Self::with(flavor, Serving::Together, CLIENT_ACCOUNT, Dialect::Ours)
    }

    /// Starts everything but a client; `account` may connect to both instances.
    pub fn with(flavor: Flavor, serving: Serving, account: &str, dialect: Dialect) -> Result<Self> {
        let place = Place::new("world")?;
        let database = Database::start(flavor, &place)?;
        let authority = Authority::start(&place)?;
        let key_file = authority.create_account(account, dialect)?;
        authority.create_account(AGENT_ACCOUNT, Dialect::Ours)?;
        let groups: &[&[Leg]] = match serving {
            Serving::Together => &[&Leg::ALL],
            Serving::Apart => &[&[Leg::Unix], &[Leg::Tcp]],
        };
        let mut world = Self {
            agents: Vec::new(),
            authority,
            database,
            place,
            key_file,
        };
        for legs in groups {
            let agent = world.serve(account, legs)?;
            world.agents.push(agent);
        }
        Ok(world)
    }

    /// Creates the instances of these legs and starts an agent for them.
    fn serve(&self, account: &str, legs: &[Leg]) -> Result<Agent> {
        let address = Loopback::reserve()?;
        let at = address.ip().to_string();
        let version = self.database.flavor().database_version();
        for leg in legs {
            let name = instance(*leg);
            self.authority.create_instance(name, &at, version)?;
            self.authority.grant(name, account, "client")?;
            self.authority.grant(name, AGENT_ACCOUNT, "agent")?;
        }
        let argument = |leg: &Leg| leg.argument(instance(*leg), &self.database);
        let instances: Vec<String> = legs.iter().map(argument).collect();
        let key_file = self.place.join(&format!("{AGENT_ACCOUNT}.json"));
        Agent::start(&self.place, &key_file, address, &instances)
    }

    /// Its agents.
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// Ends every agent at once, as a crash would.
    pub fn crash_agents(&mut self) -> Result<()> {
        self.agents.iter_mut().try_for_each(Agent::crash)
    }

    /// Starts them again, at the same addresses.
    pub fn resume_agents(&mut self) -> Result<()> {
        self.agents.iter_mut().try_for_each(Agent::resume)
    }

    /// The key file of the applications' account.
    pub fn key_file(&self) -> &Path {
        &self.key_file
    }

    /// Starts a client of the applications' account with these mounts.
    pub fn proxy(&self, mounts: &[Mount]) -> Result<Proxy> {
        Proxy::start(&self.place, &self.key_file, mounts, &[])
    }
}
