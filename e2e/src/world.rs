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

/// A database that can be reached through the tunnel. Fields end in the order in which they stand.
pub struct World {
    /// The agent, which serves one instance for each leg.
    pub agent: Agent,
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
    /// Starts everything but a client.
    pub fn start(flavor: Flavor) -> Result<Self> {
        let place = Place::new("world")?;
        let database = Database::start(flavor, &place)?;
        let authority = Authority::start(&place)?;
        let address = Loopback::reserve()?;
        for leg in Leg::ALL {
            let agent_address = address.ip().to_string();
            authority.create_instance(instance(leg), &agent_address, flavor.database_version())?;
        }
        let key_file = authority.create_account(CLIENT_ACCOUNT, Dialect::Ours)?;
        let agent_key_file = authority.create_account(AGENT_ACCOUNT, Dialect::Ours)?;
        for leg in Leg::ALL {
            authority.grant(instance(leg), CLIENT_ACCOUNT, "client")?;
            authority.grant(instance(leg), AGENT_ACCOUNT, "agent")?;
        }
        let instances = Leg::ALL.map(|leg| leg.argument(instance(leg), &database));
        let agent = Agent::start(&place, &agent_key_file, address, &instances)?;
        Ok(Self {
            agent,
            authority,
            database,
            place,
            key_file,
        })
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
