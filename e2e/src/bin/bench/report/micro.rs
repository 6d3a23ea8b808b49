//! What `make bench-micro` left behind: criterion's own files beside this program.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::tables::none;
use crate::plot::number;

const INTRODUCTION: &str = "Single parts by themselves, each on one thread but for the CA, which is the real program: the copy loops of \
both ends with TLS between them, the machine that follows a MySQL login on captured bytes, a certificate from the request to the \
answer. Medians of the last `make bench-micro`, which may be older than the rest of this document, with intervals of 95 %.";
const NOT_RUN: &str = "Not run: `make bench-micro` before `make bench`.\n";

/// What was measured.
#[derive(Deserialize)]
struct Benchmark {
    title: String,
    throughput: Option<Throughput>,
}

/// What is done in one turn; other units than bytes say no more than the time does.
#[derive(Deserialize)]
struct Throughput {
    #[serde(rename = "Bytes")]
    bytes: Option<f64>,
}

/// What was found, in nanoseconds.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// The section's text. What criterion left is in `criterion` beside the folder of this program.
pub(super) fn section() -> String {
    let own = std::env::current_exe().unwrap_or_default();
    let target = own
        .ancestors()
        .nth(2)
        .unwrap_or_else(|| Path::new("target"));
    section_of(&target.join("criterion"))
}

fn section_of(folder: &Path) -> String {
    let mut found = Vec::new();
    find(folder, &mut found);
    if found.is_empty() {
        return NOT_RUN.to_owned();
    }
    let mut rows: Vec<String> = found.iter().map(|folder| row(folder)).collect();
    rows.sort();
    let head = "| micro-benchmark | time | throughput |\n|---|---|---|\n";
    format!("{INTRODUCTION}\n\n{head}{}", rows.concat())
}

/// Every folder with the newest figures of a benchmark, some floors deep: groups have folders of their own.
fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.join("estimates.json").is_file() {
            if path.ends_with("new") {
                found.push(path);
            }
        } else if path.is_dir() {
            find(&path, found);
        }
    }
}

/// A line of the table; one whose files cannot be read has no figures.
fn row(folder: &Path) -> String {
    let benchmark: Option<Benchmark> = read(&folder.join("benchmark.json"));
    let estimates: Option<Estimates> = read(&folder.join("estimates.json"));
    let (Some(benchmark), Some(Estimates { median })) = (benchmark, estimates) else {
        return format!("| {} | - | - |\n", folder.display());
    };
    let bytes = benchmark.throughput.and_then(|one| one.bytes);
    // Bytes in a nanosecond are GB in a second.
    let throughput = bytes.map_or_else(none, |bytes| {
        format!("{} GB/s", number(bytes / median.point_estimate))
    });
    let (unit, scale) = match median.point_estimate {
        short if short < 1e3 => ("ns", 1.0),
        middling if middling < 1e6 => ("us", 1e3),
        _ => ("ms", 1e6),
    };
    let Interval {
        lower_bound,
        upper_bound,
    } = median.confidence_interval;
    let [middle, least, most] =
        [median.point_estimate, lower_bound, upper_bound].map(|found| number(found / scale));
    let title = benchmark.title.replace('/', ": ");
    format!("| {title} | {middle} {unit} ({least} to {most}) | {throughput} |\n")
}

fn read<T: DeserializeOwned>(file: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(folder: &Path, benchmark: &str, estimates: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("benchmark.json"), benchmark).unwrap();
        fs::write(folder.join("estimates.json"), estimates).unwrap();
    }

    fn estimates(median: f64) -> String {
        let (least, most) = (median * 0.9, median * 1.1);
        format!(
            r#"{{"mean": {{"confidence_interval": {{"confidence_level": 0.95, "lower_bound": 1, "upper_bound": 3}},
            "point_estimate": 2, "standard_error": 0.1}}, "median": {{"confidence_interval": {{"confidence_level": 0.95,
            "lower_bound": {least}, "upper_bound": {most}}}, "point_estimate": {median}, "standard_error": 0.1}}, "slope": null}}"#
        )
    }

    #[test]
    fn without_figures_the_section_says_how_to_get_them() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(section_of(folder.path()), NOT_RUN);
        assert_eq!(section_of(&folder.path().join("nothing")), NOT_RUN);
    }

    #[test]
    fn the_newest_median_of_each_benchmark_is_shown_in_its_unit_with_its_throughput() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let bulk = r#"{"group_id": "copy", "function_id": "16 MiB up", "throughput": {"Bytes": 16777216}, "title": "copy/16 MiB up"}"#;
        left(&at("copy/16 MiB up/new"), bulk, &estimates(8_388_608.0));
        left(&at("copy/16 MiB up/base"), bulk, &estimates(1.0));
        let small =
            r#"{"group_id": "copy", "throughput": {"Elements": 1}, "title": "copy/64 bytes"}"#;
        left(&at("copy/64 bytes/new"), small, &estimates(2_000.0));
        let single = r#"{"group_id": "issue", "throughput": null, "title": "issue"}"#;
        left(&at("issue/new"), single, &estimates(500.0));
        fs::create_dir_all(at("report")).unwrap();
        let section = section_of(folder.path());
        let (_, rows) = section.split_once("|---|---|---|\n").unwrap();
        assert_eq!(
            rows,
            "| copy: 16 MiB up | 8.39 ms (7.55 to 9.23) | 2.00 GB/s |\n\
             | copy: 64 bytes | 2.00 us (1.80 to 2.20) | - |\n\
             | issue | 500 ns (450 to 550) | - |\n"
        );
    }

    #[test]
    fn what_cannot_be_read_is_seen_and_costs_nobody_the_document() {
        let folder = tempfile::tempdir().unwrap();
        left(&folder.path().join("copy/new"), "{}", "{");
        assert!(section_of(folder.path()).ends_with("copy/new | - | - |\n"));
    }
}
