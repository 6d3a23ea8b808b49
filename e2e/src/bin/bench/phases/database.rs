//! Real databases behind the pairs.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use e2e::clients::Address;
use e2e::databases::{Database, DatabaseOptions, Flavor};

use super::Run;
use crate::measures::sysbench::{self, Load};
use crate::measures::{Scale, Taken, result_set};
use crate::peers::Engine;
use crate::sample::say;

/// The databases, by the beginning of their figures' names.
pub(crate) const FLAVORS: [(&str, Flavor); 2] =
    [("mariadb", Flavor::MariaDb10), ("mysql", Flavor::MySql9)];

/// Loads on a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    Sysbench(Load, usize),
    ResultSet,
}

impl Measure {
    pub(crate) const ALL: [Self; 5] = [
        Self::Sysbench(Load::PointSelect, 1),
        Self::Sysbench(Load::PointSelect, 8),
        Self::Sysbench(Load::PointSelect, 64),
        Self::Sysbench(Load::ReadWrite, 8),
        Self::ResultSet,
    ];

    pub(crate) fn name(self, flavor: &str) -> String {
        match self {
            Self::Sysbench(Load::PointSelect, threads) => format!("{flavor}-select-{threads}"),
            Self::Sysbench(Load::ReadWrite, threads) => format!("{flavor}-read-write-{threads}"),
            Self::ResultSet => format!("{flavor}-result-set"),
        }
    }

    fn run(self, flavor: Flavor, entry: SocketAddr, scale: Scale) -> Result<Taken> {
        match self {
            Self::Sysbench(load, threads) => sysbench::run(load, threads, entry, scale),
            Self::ResultSet => result_set::run(flavor, entry, scale),
        }
    }

    /// In how many rounds it is measured: MySQL is there to confirm, and a result set takes seconds.
    fn rounds(self, flavor: Flavor, all: usize) -> usize {
        match (self, flavor) {
            (Self::ResultSet, Flavor::MySql9) => all.min(2),
            (Self::ResultSet, _) | (_, Flavor::MySql9) => all.min(3),
            _ => all,
        }
    }

    /// Whether a quick run has time for it.
    fn is_quick(self, flavor: Flavor) -> bool {
        flavor == Flavor::MariaDb10 || self == Self::Sysbench(Load::PointSelect, 8)
    }
}

/// Every measure that is asked for, on both databases.
pub(crate) fn run(run: &mut Run<'_>) -> Result<()> {
    for (name, flavor) in FLAVORS {
        let wanted = Measure::ALL
            .into_iter()
            .filter(|one| run.options.wants(&one.name(name)))
            .filter(|one| !run.options.quick || one.is_quick(flavor));
        let wanted: Vec<Measure> = wanted.collect();
        if !wanted.is_empty() {
            one_database(run, name, flavor, &wanted)?;
        }
    }
    Ok(())
}

fn one_database(run: &mut Run<'_>, name: &str, flavor: Flavor, wanted: &[Measure]) -> Result<()> {
    say(&format!("starting {} and all pairs", flavor.name()));
    let (_database, address) = started(run, flavor)?;
    sysbench::prepare(address)?;
    let mut pairs = run.pairs(address, Engine::MySql);
    let (scale, rounds) = (run.scale, run.options.rounds());
    for round in 0..rounds {
        if !run.has_time(round, flavor.name()) {
            break;
        }
        for measure in wanted
            .iter()
            .filter(|one| round < one.rounds(flavor, rounds))
        {
            for at in &pairs {
                let entry = at.1.entry();
                run.sample(round, &measure.name(name), at, || {
                    measure.run(flavor, entry, scale)
                });
            }
        }
        let step = pairs.len().min(1);
        pairs.rotate_left(step);
    }
    Ok(())
}

/// A database, and where it listens.
pub(super) fn started(run: &Run<'_>, flavor: Flavor) -> Result<(Database, SocketAddr)> {
    let options = DatabaseOptions::default()
        .without_tls()
        .argument("--performance-schema=OFF")
        .argument("--innodb-buffer-pool-size=256M");
    let database = Database::start_with(flavor, &run.lab.place, &options)?;
    let Address::Tcp { host, port } = *database.address() else {
        bail!("the database has no port");
    };
    Ok((database, SocketAddr::new(host, port)))
}
