//! A pair of running ends, and a client end that can be started by itself.

use std::net::SocketAddr;
use std::process::Command;

use e2e::process::Process;

use super::ours::Site;

/// A client end that can be started again and again, in front of a server end that runs.
pub(crate) struct Starter {
    pub(super) command: Command,
    pub(super) entry: SocketAddr,
    pub(super) _server: Vec<Process>,
    pub(super) _site: Site,
}

impl Starter {
    /// Where the client will accept.
    pub(crate) const fn entry(&self) -> SocketAddr {
        self.entry
    }

    /// What starts the client.
    pub(crate) const fn command(&mut self) -> &mut Command {
        &mut self.command
    }
}

/// Two running ends; they stop when this value is dropped.
pub(crate) struct Pair {
    entry: SocketAddr,
    client: Vec<Process>,
    server: Vec<Process>,
    /// Whether they are asked to end, and not just killed.
    asked: bool,
}

impl Drop for Pair {
    fn drop(&mut self) {
        if self.asked {
            for process in self.client.iter_mut().chain(&mut self.server) {
                // What does not end is killed.
                drop(process.terminate());
            }
        }
    }
}

impl Pair {
    pub(super) const fn direct(service: SocketAddr) -> Self {
        Self {
            entry: service,
            client: Vec::new(),
            server: Vec::new(),
            asked: false,
        }
    }

    /// A pair whose client end listens at `entry` already.
    pub(super) fn new(entry: SocketAddr, client: Process, server: Vec<Process>) -> Self {
        Self {
            entry,
            client: vec![client],
            server,
            asked: false,
        }
    }

    /// The same, of programs that end their own children only when they are asked to end.
    pub(super) fn asked_to_end(mut self) -> Self {
        self.asked = true;
        self
    }

    /// Where the application connects to.
    pub(crate) const fn entry(&self) -> SocketAddr {
        self.entry
    }

    /// The processes of the client end and of the server end; none of a direct connection.
    pub(crate) fn ends(&self) -> [Vec<u32>; 2] {
        [&self.client, &self.server].map(|end| end.iter().map(Process::id).collect())
    }

    /// The processes of both.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.ends().concat()
    }

    /// What both ends have printed, for a complaint.
    pub(crate) fn logs(&self) -> String {
        let all = self.client.iter().chain(&self.server);
        all.map(|process| last_lines(&process.log())).collect()
    }
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().rev().take(5).collect();
    lines
        .into_iter()
        .rev()
        .map(|line| format!("\n    {line}"))
        .collect()
}
