//! `make bench`: the tunnel against a direct connection, side by side in one run.
//!
//! Rounds are interleaved and medians compared, because machines are noisy: read the ratios, not the figures.

mod load;
mod service;
mod table;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use e2e::agent::Agent;
use e2e::authority::{Authority, Dialect};
use e2e::clients::Address;
use e2e::place::{Loopback, Place};
use e2e::proxy::{Mount, Proxy};

use load::Measure;
use service::Service;
use table::Table;

const ROUNDS: usize = 5;
const INSTANCE: &str = "raw";
const IDLE_SESSIONS: usize = 500;

fn main() -> Result<()> {
    let service = Service::start()?;
    let place = Place::new("bench")?;
    let authority = Authority::start(&place)?;
    let loopback = Loopback::reserve()?;
    authority.create_instance(INSTANCE, &loopback.ip().to_string(), "TCP_1")?;
    let agent_key = authority.create_account("agent", Dialect::Ours)?;
    let client_key = authority.create_account("app", Dialect::Ours)?;
    authority.grant(INSTANCE, "agent", "agent")?;
    authority.grant(INSTANCE, "app", "client")?;
    let argument = format!("{INSTANCE}?database=tcp:{}&engine=tcp", service.address());
    let mut agent = Agent::start(&place, &agent_key, loopback, &[argument])?;
    let mount = Mount::tcp(&place, INSTANCE)?;
    let mut proxy = Proxy::start(&place, &client_key, std::slice::from_ref(&mount), &[])?;
    let tunnel = socket_address(mount.address())?;

    let mut table = Table::new();
    for measure in Measure::ALL {
        measure.run(service.address())?;
        measure.run(tunnel)?;
        for _ in 0..ROUNDS {
            table.direct(measure, measure.run(service.address())?);
            let before = cpu(&[agent.process().id(), proxy.process().id()])?;
            table.tunnel(measure, measure.run(tunnel)?);
            let after = cpu(&[agent.process().id(), proxy.process().id()])?;
            table.cpu(measure, after.saturating_sub(before));
        }
    }
    let ends = [
        ("agent", agent.process().id()),
        ("client", proxy.process().id()),
    ];
    let before = ends.map(|(_, id)| resident(id));
    let idle = load::idle(tunnel, IDLE_SESSIONS)?;
    for ((name, id), before) in ends.into_iter().zip(before) {
        let grown = resident(id)?.saturating_sub(before?);
        table.memory(name, grown / u64::try_from(IDLE_SESSIONS)?);
    }
    drop(idle);
    table.print()
}

fn socket_address(address: &Address) -> Result<SocketAddr> {
    match address {
        Address::Tcp { host, port } => Ok(SocketAddr::new(*host, *port)),
        Address::Socket(path) => anyhow::bail!("{} is no TCP address", path.display()),
    }
}

/// User and system time of processes, from `/proc` (clock ticks are 10 ms on Linux).
fn cpu(processes: &[u32]) -> Result<Duration> {
    let mut ticks = 0;
    for id in processes {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let times = fields.split_ascii_whitespace().skip(11).take(2);
        ticks += times
            .filter_map(|field| field.parse::<u64>().ok())
            .sum::<u64>();
    }
    Ok(Duration::from_millis(ticks * 10))
}

/// Resident memory of a process in bytes.
fn resident(id: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kib.unwrap_or_default() * 1024)
}
