//! DNS: the records that the system's own resolver does not ask for, from the servers that it asks.

mod memory;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::time::Instant;

use crate::deadline::before;
use crate::error::NameError;
use memory::Memory;

/// Where this machine's DNS servers are written; watched, since a laptop changes them.
const SERVERS: &str = "/etc/resolv.conf";
/// Most addresses that one name leads to; those behind are not tried.
const MOST: usize = 16;
/// How long news are waited for where something is known.
const NEWS: Duration = Duration::from_secs(1);

/// Asks for names. Answers are kept as long as they say themselves.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// One server and no other; without it, this machine's own way to resolve.
    server: Option<SocketAddr>,
    known: Arc<Mutex<Option<Known>>>,
    /// Where services were last: DNS that fails takes nothing away.
    services: Memory<ServiceAddress>,
    /// And hosts.
    hosts: Memory<SocketAddr>,
}

/// A resolver, and the file that it was made of.
#[derive(Debug)]
struct Known {
    file: Option<Vec<u8>>,
    resolver: TokioResolver,
}

/// Where a service is (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAddress {
    /// The host's name.
    pub host: String,
    /// The port.
    pub port: u16,
    priority: u16,
    weight: u16,
}

impl Names {
    /// Asks one server alone, and reads no file of this machine.
    pub fn of_server(server: SocketAddr) -> Self {
        Self {
            server: Some(server),
            ..Self::default()
        }
    }

    /// The texts at a name, sorted.
    ///
    /// # Errors
    /// [`NameError`] tells whether there are none, or no answer.
    pub async fn texts(&self, name: &str, deadline: Instant) -> Result<Vec<String>, NameError> {
        let found = self.look_up(name, RecordType::TXT, "TXT", deadline).await?;
        let text = |data: &RData| match data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        };
        let records = found.answers().iter();
        let mut texts: Vec<String> = records.filter_map(|record| text(&record.data)).collect();
        texts.sort();
        Ok(texts)
    }

    /// Where a service is, in the order in which it is to be tried: by priority, and by chance as the weights say. While
    /// DNS fails it is where it was.
    ///
    /// # Errors
    /// As [`Self::texts`].
    pub async fn service(
        &self,
        name: &str,
        deadline: Instant,
    ) -> Result<Vec<ServiceAddress>, NameError> {
        // Who knows where it was does not wait long for news.
        let soon = deadline.min(Instant::now() + NEWS);
        let found = match self.services.get(name) {
            None => self.ask_service(name, deadline).await?,
            Some((known, false)) => known,
            Some((known, true)) => match self.ask_service(name, soon).await {
                Err(NameError::Failed { .. }) => {
                    self.services.failed(name);
                    known
                }
                asked => asked.inspect_err(|_| self.services.forget(name))?,
            },
        };
        let mut ordered = in_order(found, draw);
        ordered.truncate(MOST);
        Ok(ordered)
    }

    async fn ask_service(
        &self,
        name: &str,
        deadline: Instant,
    ) -> Result<Vec<ServiceAddress>, NameError> {
        let found = self.look_up(name, RecordType::SRV, "SRV", deadline).await?;
        let address = |data: &RData| match data {
            // The root stands for "not here".
            RData::SRV(srv) if !srv.target.is_root() => Some(ServiceAddress {
                host: srv.target.to_ascii().trim_end_matches('.').to_owned(),
                port: srv.port,
                priority: srv.priority,
                weight: srv.weight,
            }),
            _ => None,
        };
        let records = found.answers().iter();
        let found: Vec<_> = records.filter_map(|one| address(&one.data)).collect();
        if found.is_empty() {
            let (name, kind) = (name.to_owned(), "SRV");
            return Err(NameError::NoRecord { name, kind });
        }
        self.services.learn(name, &found);
        Ok(found)
    }

    /// Whether a host has any address.
    pub async fn leads_somewhere(&self, host: &str, deadline: Instant) -> bool {
        let found = before(deadline, self.ask_host(host, 0)).await;
        found.is_some_and(|found| found.is_ok_and(|found| !found.is_empty()))
    }

    /// The addresses of a host, as this machine resolves names; those that it had, where that fails.
    pub(super) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let at_port = |addr: SocketAddr| SocketAddr::new(addr.ip(), port);
        let known = match self.hosts.get(host) {
            Some((known, false)) => return Ok(known.into_iter().map(at_port).collect()),
            Some((known, true)) => known,
            None => Vec::new(),
        };
        let asking = self.ask_host(host, port);
        let found = if known.is_empty() {
            asking.await?
        } else {
            let asked = before(Instant::now() + NEWS, asking).await;
            asked.and_then(Result::ok).unwrap_or_default()
        };
        if found.is_empty() {
            self.hosts.failed(host);
            return Ok(known.into_iter().map(at_port).collect());
        }
        self.hosts.learn(host, &found);
        Ok(found)
    }

    async fn ask_host(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let Some(server) = self.server else {
            let found = tokio::net::lookup_host((host, port)).await?;
            return Ok(found.take(MOST).collect());
        };
        let other = io::Error::other::<NetError>;
        let resolver = self.resolver(Some(server), None).map_err(other)?;
        let found = resolver.lookup_ip(host).await.map_err(other)?;
        Ok(found
            .iter()
            .map(|ip: IpAddr| SocketAddr::new(ip, port))
            .take(MOST)
            .collect())
    }

    async fn look_up(
        &self,
        name: &str,
        kind: RecordType,
        word: &'static str,
        deadline: Instant,
    ) -> Result<Lookup, NameError> {
        let failed = |said: String| NameError::Failed {
            name: name.to_owned(),
            kind: word,
            said,
        };
        let asking = async {
            let file = match self.server {
                Some(_) => None,
                None => tokio::fs::read(SERVERS).await.ok(),
            };
            // A name is meant as it is written: no domain of this machine's is put behind it.
            let mut absolute = Name::from_ascii(name)?;
            absolute.set_fqdn(true);
            let resolver = self.resolver(self.server, file)?;
            resolver.lookup(absolute, kind).await
        };
        match before(deadline, asking).await {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) if error.is_no_records_found() => Err(NameError::NoRecord {
                name: name.to_owned(),
                kind: word,
            }),
            Some(Err(error)) => Err(failed(error.to_string())),
            None => Err(failed("no answer in time".to_owned())),
        }
    }

    /// The resolver that we have, unless the file has changed since.
    fn resolver(
        &self,
        server: Option<SocketAddr>,
        file: Option<Vec<u8>>,
    ) -> Result<TokioResolver, NetError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref()
            && known.file == file
        {
            return Ok(known.resolver.clone());
        }
        let builder = match server {
            Some(server) => TokioResolver::builder_with_config(only(server), runtime())
                .with_options(without_files()),
            None => TokioResolver::builder_tokio()?,
        };
        let resolver = builder.build()?;
        *known = Some(Known {
            file,
            resolver: resolver.clone(),
        });
        Ok(resolver)
    }
}

fn runtime() -> TokioRuntimeProvider {
    TokioRuntimeProvider::default()
}

fn only(server: SocketAddr) -> ResolverConfig {
    let at_its_port = |mut connection: ConnectionConfig| {
        connection.port = server.port();
        connection
    };
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(at_its_port);
    let server = NameServerConfig::new(server.ip(), true, connections.to_vec());
    ResolverConfig::from_parts(None, Vec::new(), vec![server])
}

fn without_files() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.use_hosts_file = ResolveHosts::Never;
    options
}

/// The lowest priority first; within one, each comes first as often as its weight says. `draw` gives a number below
/// its argument.
fn in_order(
    mut found: Vec<ServiceAddress>,
    mut draw: impl FnMut(u32) -> u32,
) -> Vec<ServiceAddress> {
    // Weights of nothing come first, so that a draw of nothing takes one (RFC 2782).
    found.sort_by_key(|address| (address.priority, address.weight));
    let mut ordered = Vec::with_capacity(found.len());
    while let Some(priority) = found.first().map(|address| address.priority) {
        let of_one = found.iter().take_while(|one| one.priority == priority);
        let total: u32 = of_one.clone().map(|one| u32::from(one.weight)).sum();
        let drawn = draw(total.saturating_add(1));
        let mut sum: u32 = 0;
        let chosen = of_one.clone().position(|one| {
            sum = sum.saturating_add(u32::from(one.weight));
            sum >= drawn
        });
        ordered.push(found.remove(chosen.unwrap_or_default()));
    }
    ordered
}

fn draw(below: u32) -> u32 {
    let mut bytes = [0; 4];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => u32::from_le_bytes(bytes).checked_rem(below).unwrap_or(0),
        // Without randomness everybody takes the first.
        Err(_) => 0,
    }
}

#[cfg(test)]
pub(super) mod tests;
