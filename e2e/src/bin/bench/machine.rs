//! The machine: what it is, and how it is prepared.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use anyhow::{Context as _, Result};
use e2e::enclave;
use e2e::process::output_of;
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};

const CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
/// Enters the namespace beside the usual loopback addresses; nothing uses it.
const OWN_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));

/// Moves this thread, and so all that it starts, into a network of its own where TCP is paced by nothing.
/// Without root the machine's own network has to do. Gives back the congestion control in force, and what is to be said.
pub(crate) fn enter_network() -> Result<(String, Option<String>)> {
    let mut note = None;
    if geteuid().is_root() {
        enclave::enter(OWN_ADDRESS)?;
        std::fs::write(CONTROL, "reno").context("switching to reno")?;
    }
    let control = std::fs::read_to_string(CONTROL)?.trim().to_owned();
    if control != "reno" {
        note = Some(format!(
            "Bulk was measured under {control}, not reno: only root can have a network of its own. \
             bbr paces loopback and hides differences."
        ));
    }
    Ok((control, note))
}

/// Raises the limit of descriptors as far as it goes; what is started later inherits it.
pub(crate) fn raise_descriptors() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("raising the limit of descriptors")?;
    Ok(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
}

/// Processor, cores, memory, kernel: one line each.
pub(crate) fn describe() -> Result<Vec<String>> {
    let processor = std::fs::read_to_string("/proc/cpuinfo")?;
    let field = |name: &str| {
        let line = processor.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim().to_owned())
    };
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let memory = memory
        .lines()
        .next()
        .and_then(|line| line.split_ascii_whitespace().nth(1));
    let gib = memory
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or_default()
        / (1 << 20);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let cores = std::thread::available_parallelism()?;
    let model = field("model name").unwrap_or_else(|| "an unnamed processor".into());
    Ok(vec![
        format!("{cores} cores of {model}, {gib} GiB of memory"),
        format!("Linux {}", kernel.trim()),
    ])
}

/// The first line of what a program says of its version, on either output.
pub(crate) fn version(program: &str, argument: &str, wanted: &str) -> String {
    let said = output_of(Command::new("sh").args([
        "-c",
        "\"$1\" \"$2\" 2>&1 || true",
        "sh",
        program,
        argument,
    ]));
    let said = said.unwrap_or_default();
    let line = said
        .lines()
        .find(|line| line.to_lowercase().contains(wanted));
    line.unwrap_or("unknown").trim().to_owned()
}
