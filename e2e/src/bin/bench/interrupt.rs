//! SIGTERM and Ctrl-C: what was started ends with this program.

use std::thread;

use anyhow::Result;
use rustix::process::{Pid, Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::cpu::Snapshot;

/// Waits for a signal on a thread of its own.
pub(crate) fn end_children_too() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let guard = runtime.enter();
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    drop(guard);
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        end()
    });
    Ok(())
}

/// Kills all that this process has started, and then itself: the measurement's thread would go on.
fn end() -> Result<()> {
    let own = std::process::id();
    for id in Snapshot::take()?.tree(&[own]) {
        if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw)
            && id != own
        {
            // It may have ended by itself.
            kill_process(pid, Signal::KILL).ok();
        }
    }
    Ok(kill_process(getpid(), Signal::KILL)?)
}
