//! What is measured.

pub(crate) mod bulk;
pub(crate) mod connect;
pub(crate) mod ping;
pub(crate) mod result_set;
pub(crate) mod sysbench;

use std::net::SocketAddr;

use anyhow::Result;

/// How much of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) quick: bool,
}

impl Scale {
    /// One of two amounts.
    pub(crate) const fn of<T: Copy>(self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }
}

/// The outcome of one run of a measure.
pub(crate) struct Taken {
    /// Figures by the end of their name: the measure's own name comes before it.
    pub(crate) figures: Vec<(&'static str, f64)>,
    /// Through how many units of work the CPU time is divided.
    pub(crate) work: f64,
}

/// Loads on raw bytes, each against one pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    BulkUp {
        streams: usize,
    },
    BulkDown {
        streams: usize,
    },
    Ping,
    /// The same while every core is kept awake by others.
    PingAwake,
    ConnectInTurn,
    ConnectTogether,
    FirstByte,
    Parallel,
}

impl Raw {
    pub(crate) const ALL: [Self; 10] = [
        Self::BulkUp { streams: 1 },
        Self::BulkDown { streams: 1 },
        Self::BulkUp { streams: 8 },
        Self::BulkDown { streams: 8 },
        Self::Ping,
        Self::PingAwake,
        Self::ConnectInTurn,
        Self::ConnectTogether,
        Self::FirstByte,
        Self::Parallel,
    ];

    /// What the names of its figures begin with.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BulkUp { streams: 1 } => "bulk-up-1",
            Self::BulkUp { .. } => "bulk-up-8",
            Self::BulkDown { streams: 1 } => "bulk-down-1",
            Self::BulkDown { .. } => "bulk-down-8",
            Self::Ping => "ping",
            Self::PingAwake => "awake-ping",
            Self::ConnectInTurn => "connect-1",
            Self::ConnectTogether => "connect-16",
            Self::FirstByte => "first-byte",
            Self::Parallel => "parallel-50",
        }
    }

    pub(crate) fn run(self, entry: SocketAddr, scale: Scale) -> Result<Taken> {
        match self {
            Self::BulkUp { streams } => bulk::run(bulk::Direction::Up, streams, entry, scale),
            Self::BulkDown { streams } => bulk::run(bulk::Direction::Down, streams, entry, scale),
            Self::Ping => ping::run(entry, scale),
            Self::PingAwake => ping::run_awake(entry, scale),
            Self::ConnectInTurn => connect::rate(entry, 1, scale),
            Self::ConnectTogether => connect::rate(entry, 16, scale),
            Self::FirstByte => connect::first_byte(entry, scale),
            Self::Parallel => connect::parallel(entry, scale),
        }
    }
}
