//! The arrows between our crates go down only; ARCHITECTURE.md draws them.

use std::collections::{BTreeMap, BTreeSet};
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
