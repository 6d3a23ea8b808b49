//! The result, as a Markdown table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;

use crate::load::Measure;

/// Figures of all rounds, by measure.
pub(crate) struct Table {
    direct: BTreeMap<Measure, Vec<f64>>,
    tunnel: BTreeMap<Measure, Vec<f64>>,
    cpu: BTreeMap<Measure, Vec<f64>>,
    memory: Vec<(&'static str, u64)>,
}

impl Table {
    pub(crate) const fn new() -> Self {
        Self {
            direct: BTreeMap::new(),
            tunnel: BTreeMap::new(),
            cpu: BTreeMap::new(),
            memory: Vec::new(),
        }
    }

    pub(crate) fn direct(&mut self, measure: Measure, figure: f64) {
        self.direct.entry(measure).or_default().push(figure);
    }

    pub(crate) fn tunnel(&mut self, measure: Measure, figure: f64) {
        self.tunnel.entry(measure).or_default().push(figure);
    }

    pub(crate) fn cpu(&mut self, measure: Measure, time: Duration) {
        let (work, _) = measure.work();
        self.cpu
            .entry(measure)
            .or_default()
            .push(time.as_secs_f64() / work);
    }

    pub(crate) fn memory(&mut self, end: &'static str, bytes: u64) {
        self.memory.push((end, bytes));
    }

    pub(crate) fn print(&self) -> Result<()> {
        let mut text = String::from(
            "| measure | direct | tunnel | tunnel / direct | both ends of the tunnel |\n|---|---|---|---|---|\n",
        );
        for measure in Measure::ALL {
            let median = |figures: &BTreeMap<Measure, Vec<f64>>| {
                median(figures.get(&measure).map_or(&[], Vec::as_slice))
            };
            let (direct, tunnel, cpu) = (
                median(&self.direct),
                median(&self.tunnel),
                median(&self.cpu),
            );
            writeln!(
                text,
                "| {} | {direct:.2} | {tunnel:.2} | {:.2} | {cpu:.2} {} |",
                measure.name(),
                tunnel / direct,
                measure.work().1
            )?;
        }
        for (end, bytes) in &self.memory {
            let kib = bytes / 1024;
            writeln!(
                text,
                "| idle memory per session after 256 KiB each way, {end}, KiB | - | {kib} | - | - |"
            )?;
        }
        std::io::stdout().lock().write_all(text.as_bytes())?;
        Ok(())
    }
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
