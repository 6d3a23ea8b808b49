//! What processes cost, from `/proc`: CPU time, memory, descriptors, with all their children.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Clock ticks of `/proc` are 10 ms on Linux, whatever the kernel's own rate is.
const TICK: Duration = Duration::from_millis(10);
/// The parent of the kernel's own threads: what these do is done for all.
const KERNEL: u32 = 2;

struct Process {
    parent: u32,
    /// Its own time and that of the children it has waited for.
    ticks: u64,
}

/// All processes of the machine at one moment.
pub(crate) struct Snapshot(BTreeMap<u32, Process>);

impl Snapshot {
    pub(crate) fn take() -> Result<Self> {
        let mut processes = BTreeMap::new();
        for entry in std::fs::read_dir("/proc").context("reading /proc")? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // It may have ended since the folder was read.
            if let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat"))
                && let Some(process) = parse(&stat)
            {
                processes.insert(id, process);
            }
        }
        Ok(Self(processes))
    }

    /// User and system time of these and of all that they have started.
    pub(crate) fn time(&self, roots: &[u32]) -> Duration {
        self.sum(|id| self.descends(id, roots))
    }

    /// The same of all others, the kernel's threads aside.
    pub(crate) fn foreign_time(&self, roots: &[u32]) -> Duration {
        self.sum(|id| !self.descends(id, roots) && !self.descends(id, &[KERNEL]))
    }

    /// These and all that they have started.
    pub(crate) fn tree(&self, roots: &[u32]) -> Vec<u32> {
        let all = self.0.keys().copied();
        all.filter(|id| self.descends(*id, roots)).collect()
    }

    fn sum(&self, wanted: impl Fn(u32) -> bool) -> Duration {
        let of = self.0.iter().filter(|(id, _)| wanted(**id));
        let ticks: u64 = of.map(|(_, process)| process.ticks).sum();
        TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    fn descends(&self, id: u32, roots: &[u32]) -> bool {
        let mut at = id;
        // As deep as a tree of processes may be, so that a wrong one cannot hold us.
        for _ in 0..64 {
            if roots.contains(&at) {
                return true;
            }
            match self.0.get(&at) {
                Some(process) => at = process.parent,
                None => return false,
            }
        }
        false
    }
}

/// The fields behind the name, which may hold anything: 4 is the parent, 14 to 17 are the times.
fn parse(stat: &str) -> Option<Process> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let times = fields.get(11..15)?;
    Some(Process {
        parent: fields.get(1)?.parse().ok()?,
        ticks: times
            .iter()
            .filter_map(|time| time.parse::<u64>().ok())
            .sum(),
    })
}

/// Resident memory of these and of all that they have started, in KiB.
pub(crate) fn resident(roots: &[u32]) -> Result<u64> {
    let mut sum = 0;
    for id in Snapshot::take()?.tree(roots) {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        sum += kib.unwrap_or_default();
    }
    Ok(sum)
}

/// Open descriptors of these and of all that they have started.
pub(crate) fn descriptors(roots: &[u32]) -> Result<usize> {
    let mut sum = 0;
    for id in Snapshot::take()?.tree(roots) {
        let folder = format!("/proc/{id}/fd");
        sum += std::fs::read_dir(&folder)
            .with_context(|| format!("reading {folder}"))?
            .count();
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_move_the_fields() {
        let stat = "7 (a) b) S 3 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0";
        let process = parse(stat).unwrap();
        assert_eq!((process.parent, process.ticks), (3, 100));
    }

    #[test]
    fn grandchildren_are_a_part_of_the_tree_and_kernel_threads_are_foreign_to_none() {
        let process = |parent, ticks| Process { parent, ticks };
        let all = [
            (1, process(0, 1)),
            (2, process(0, 2)),
            (5, process(1, 4)),
            (6, process(5, 8)),
            (7, process(6, 16)),
            (8, process(2, 32)),
        ];
        let snapshot = Snapshot(all.into_iter().collect());
        assert_eq!(snapshot.time(&[5]), TICK * 28);
        assert_eq!(snapshot.tree(&[6]), [6, 7]);
        assert_eq!(snapshot.foreign_time(&[5]), TICK * 1);
    }

    #[test]
    fn this_process_has_memory_and_descriptors() {
        let own = [std::process::id()];
        assert!(resident(&own).unwrap() > 0);
        assert!(descriptors(&own).unwrap() > 2);
    }
}
