//! `make quickstart`: a database, the CA, an agent and a client on loopback, and a query through the tunnel.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use e2e::agent::Leg;
use e2e::clients::{Address, Client, Target};
use e2e::databases::{Flavor, PASSWORD, SCHEMA};
use e2e::paths::installed;
use e2e::proxy::Mount;
use e2e::world::{World, instance};
use tokio::signal::unix::{SignalKind, signal};

const QUERY: &str = "SELECT 'through the tunnel' AS came, VERSION() AS version, USER() AS user";

fn main() -> Result<()> {
    let once = std::env::args().any(|argument| argument == "--once");
    let flavor = Flavor::MariaDb10;
    say("starting MariaDB, the CA and the agent ...")?;
    let world = World::start(flavor)?;
    let mount = Mount::tcp(&world.place, instance(Leg::Unix))?;
    say("starting the client ...")?;
    let proxy = world.proxy(std::slice::from_ref(&mount))?;

    let [login, _] = flavor.logins();
    let target = Target::usual(mount.address().clone(), login);
    let rows = Client::MariadbCli.query(&target, QUERY)?;
    let Ok(rows) = rows else {
        bail!("the query failed: {rows:?}")
    };
    let row = rows.first().context("the query gave no row")?;
    let cells: Vec<&str> = row
        .iter()
        .map(|cell| cell.as_deref().unwrap_or("NULL"))
        .collect();
    say(&format!("\n    {QUERY}\n    -> {}\n", cells.join(" | ")))?;
    if once {
        return Ok(());
    }

    let Address::Tcp { host, port } = mount.address() else {
        bail!("the client has no port")
    };
    let command_line = installed("bin/mariadb10")?;
    say("it is up. Try it from another terminal:\n")?;
    say(&format!(
        "    {} --no-defaults -h {host} -P {port} -uapp -p'{PASSWORD}' {SCHEMA}\n",
        command_line.display()
    ))?;
    say(&format!(
        "logs, keys and data are in {} until Ctrl-C",
        world.place.path().display()
    ))?;
    wait_for_interrupt()?;
    drop(proxy);
    drop(world);
    Ok(())
}

fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Ctrl-C or SIGTERM: either way everything that was started is ended and removed.
fn wait_for_interrupt() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed?,
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}
