//! The arrows between our crates go down only, and what ARCHITECTURE.md says of files is so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use e2e::paths::project;
use e2e::process::output_of;
use serde_json::Value;

/// Each crate, and which of ours it may import. `e2e` may import any, for its tests.
const ALLOWED: [(&str, &[&str]); 7] = [
    ("proto", &[]),
    ("daemon", &[]),
    ("transport", &["proto"]),
    ("proxy-client", &["transport", "daemon", "proto"]),
    ("proxy-server", &["transport", "daemon", "proto"]),
    ("ca-service", &["transport", "daemon", "proto"]),
    (
        "e2e",
        &[
            "proto",
            "daemon",
            "transport",
            "proxy-client",
            "proxy-server",
            "ca-service",
        ],
    ),
];

/// Every crate of the workspace with those of its dependencies, of all kinds, that are ours.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(project());
    let metadata: Value = serde_json::from_str(&output_of(&mut command).unwrap()).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let imports = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap();
        let imported: BTreeSet<String> = dependencies.iter().map(name).collect();
        imported.intersection(&ours).cloned().collect()
    };
    packages
        .iter()
        .map(|package| (name(package), imports(package)))
        .collect()
}

fn wrong(arrows: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let allowed = BTreeMap::from(ALLOWED);
    let mut wrong = Vec::new();
    for (from, imports) in arrows {
        let Some(allowed) = allowed.get(from.as_str()) else {
            wrong.push(format!(
                "{from} has no floor: name it in this test and in ARCHITECTURE.md"
            ));
            continue;
        };
        let beyond = imports.iter().filter(|to| !allowed.contains(&to.as_str()));
        wrong.extend(beyond.map(|to| format!("{from} imports {to}")));
    }
    wrong
}

#[test]
fn no_crate_imports_one_of_its_own_floor_or_above() {
    let arrows = arrows();
    assert_eq!(arrows.len(), ALLOWED.len(), "{:?}", arrows.keys());
    assert_eq!(wrong(&arrows), Vec::<String>::new());
}

#[test]
fn an_arrow_between_two_daemons_would_be_found() {
    let mut arrows = arrows();
    arrows
        .get_mut("proxy-client")
        .unwrap()
        .insert("proxy-server".to_owned());
    arrows.insert("new".to_owned(), BTreeSet::new());
    let found = wrong(&arrows);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.contains(&"proxy-client imports proxy-server".to_owned()));
}

/// What a text in backquotes says is a file or folder: `*` stands for the rest of a name.
fn is_path(text: &str) -> bool {
    let of_path = |c: char| c.is_ascii_alphanumeric() || "_./*-".contains(c);
    let is_named = [".rs", ".md", ".toml"]
        .iter()
        .any(|end| text.ends_with(end));
    text.chars().all(of_path)
        && (is_named || text.contains('/'))
        && text.contains(char::is_alphabetic)
}

fn exists(path: &Path) -> bool {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return false;
    };
    let Some((start, end)) = name.to_str().unwrap().split_once('*') else {
        return path.exists();
    };
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .any(|name| name.starts_with(start) && name.ends_with(end))
}

/// Paths that a document names, and those of them that lead nowhere. A path is meant from the root, or else from the
/// folder of the last one from the root in the same paragraph or row.
fn paths(document: &str) -> (usize, Vec<String>) {
    let (mut count, mut wrong) = (0, Vec::new());
    let paragraphs = document.replace("|\n", "|\n\n");
    for paragraph in paragraphs.split("\n\n") {
        let mut beside = project();
        for path in paragraph
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|text| is_path(text))
        {
            count += 1;
            let whole = project().join(path);
            if exists(&whole) {
                beside = whole.parent().unwrap().to_owned();
            } else if !exists(&beside.join(path)) {
                wrong.push(path.to_owned());
            }
        }
    }
    (count, wrong)
}

#[test]
fn every_path_that_the_architecture_names_exists() {
    let document = std::fs::read_to_string(project().join("ARCHITECTURE.md")).unwrap();
    let (count, wrong) = paths(&document);
    assert_eq!(wrong, Vec::<String>::new());
    assert!(count > 40, "{count}");
}

#[test]
fn a_path_that_leads_nowhere_would_be_found() {
    let document = "`proto/src/lib.rs`, `machine.rs`, `admin/*.rs`, `x.rs`\n\n`machine.rs` and `proto/*.zip`\n\n\
                    | a | `proto/src/lib.rs` |\n| b | `machine.rs` | `cargo metadata` |\n";
    let wrong = ["x.rs", "machine.rs", "proto/*.zip", "machine.rs"];
    assert_eq!(paths(document), (8, wrong.map(str::to_owned).to_vec()));
}
