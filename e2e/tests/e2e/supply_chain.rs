//! What is linked in is what `deny.toml` allows: no banned crate, no other licence, nothing from elsewhere than crates.io.
//!
//! `make lint` asks cargo-deny, where it is installed; this is the floor everywhere.

#[path = "supply_chain/licence.rs"]
mod licence;

use std::collections::BTreeSet;
use std::process::Command;

use e2e::paths::project;
use e2e::process::output_of;
use serde::Deserialize;
use serde_json::Value;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// `deny.toml`, as far as it is checked here.
#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    wildcards: String,
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    name: String,
    version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    unknown_registry: String,
    unknown_git: String,
}

/// `Cargo.lock`.
#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Clone, Deserialize)]
struct Locked {
    name: String,
    source: Option<String>,
    checksum: Option<String>,
}

/// A crate that is compiled for some target of ours: with its tests and build scripts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Linked {
    name: String,
    version: String,
    licence: String,
}

fn read<T: for<'de> Deserialize<'de>>(file: &str) -> T {
    toml::from_str(&std::fs::read_to_string(project().join(file)).unwrap()).unwrap()
}

/// Not `--offline`: the crates of other systems are part of the tree, and no build has downloaded them.
fn cargo(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).arg("--locked");
    output_of(command.current_dir(project())).unwrap()
}

/// The lock file lists crates that no feature of ours switches on; the tree does not.
fn linked() -> BTreeSet<Linked> {
    let tree = cargo(&[
        "tree",
        "--workspace",
        "--target=all",
        "--edges=normal,build,dev",
        "--prefix=none",
        "--format={l}\t{p}",
    ]);
    let parse = |line: &str| {
        let (licence, package) = line.split_once('\t').unwrap();
        let (name, rest) = package.split_once(" v").unwrap();
        Linked {
            name: name.to_owned(),
            version: rest.split(' ').next().unwrap().to_owned(),
            licence: licence.to_owned(),
        }
    };
    let lines = tree.lines().filter(|line| !line.is_empty());
    lines.map(parse).collect()
}

fn numbers(version: &str) -> Vec<u64> {
    let core = version.split(['-', '+']).next().unwrap();
    core.split('.').map(|part| part.parse().unwrap()).collect()
}

/// Reads `<1.2.3`, the only form in use.
fn is_banned(ban: &Ban, package: &Linked) -> bool {
    ban.name == package.name
        && ban.version.as_ref().is_none_or(|below| {
            let limit = below.strip_prefix('<').expect("a ban of the form <1.2.3");
            numbers(&package.version) < numbers(limit)
        })
}

fn complaints(rules: &Rules, linked: &BTreeSet<Linked>, lock: &[Locked]) -> Vec<String> {
    let mut found = Vec::new();
    for package in linked {
        let Linked {
            name,
            version,
            licence,
        } = package;
        if rules.bans.deny.iter().any(|ban| is_banned(ban, package)) {
            found.push(format!("{name} {version} is banned"));
        }
        if !licence::is_allowed(licence, &rules.licenses.allow) {
            found.push(format!("{name} has licence {licence:?}"));
        }
    }
    for Locked {
        name,
        source,
        checksum,
    } in lock
    {
        let is_ours = source.is_none() && OURS.contains(&name.as_str());
        let is_published = source.as_deref() == Some(CRATES_IO) && checksum.is_some();
        if !is_ours && !is_published {
            found.push(format!("{name} comes from {source:?}"));
        }
    }
    found
}

const OURS: [&str; 7] = [
    "ca-service",
    "daemon",
    "e2e",
    "proto",
    "proxy-client",
    "proxy-server",
    "transport",
];

#[test]
fn every_crate_is_allowed_and_comes_from_crates_io() {
    let (rules, lock): (Rules, Lock) = (read("deny.toml"), read("Cargo.lock"));
    let linked = linked();
    assert!(linked.len() > 200, "{}", linked.len());
    assert!(lock.package.len() >= linked.len());
    for known in ["rustls", "aws-lc-rs", "tokio", "rcgen"] {
        assert!(linked.iter().any(|package| package.name == known));
    }
    assert_eq!(
        complaints(&rules, &linked, &lock.package),
        Vec::<String>::new()
    );
}

#[test]
fn the_rules_are_the_ones_that_are_checked_here() {
    let rules: Rules = read("deny.toml");
    assert_eq!(rules.sources.unknown_registry, "deny");
    assert_eq!(rules.sources.unknown_git, "deny");
    assert_eq!(rules.bans.wildcards, "deny");
    for banned in ["ring", "rsa", "openssl", "openssl-sys", "native-tls"] {
        let ban = rules.bans.deny.iter().find(|ban| ban.name == banned);
        assert!(ban.is_some_and(|ban| ban.version.is_none()), "{banned}");
    }
    assert!(!rules.licenses.allow.is_empty());
}

#[test]
fn whatever_is_not_allowed_is_found() {
    let (rules, lock): (Rules, Lock) = (read("deny.toml"), read("Cargo.lock"));
    let planted = |name: &str, version: &str, licence: &str| {
        let package = Linked {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: licence.to_owned(),
        };
        complaints(&rules, &BTreeSet::from([package]), &[])
    };
    for ban in &rules.bans.deny {
        let version = if ban.version.is_some() {
            "0.0.1"
        } else {
            "99.0.0"
        };
        let found = planted(&ban.name, version, "MIT");
        assert_eq!(found, [format!("{} {version} is banned", ban.name)]);
    }
    assert_eq!(planted("jsonwebtoken", "10.3.0", "MIT").len(), 0);
    assert_eq!(planted("jsonwebtoken", "10.2.9", "MIT").len(), 1);
    assert_eq!(planted("new", "1.0.0", "GPL-3.0-only").len(), 1);
    assert_eq!(planted("new", "1.0.0", "").len(), 1);
    let mut one = lock.package;
    one.retain(|package| package.name == "tokio");
    assert_eq!(complaints(&rules, &BTreeSet::new(), &one).len(), 0);
    for source in [
        Some("git+https://example.com/tokio#1"),
        Some("registry+https://example.com/index"),
        None,
    ] {
        one[0].source = source.map(str::to_owned);
        let found = complaints(&rules, &BTreeSet::new(), &one);
        assert_eq!(found.len(), 1, "{source:?}");
    }
    one[0].source = Some(CRATES_IO.to_owned());
    one[0].checksum = None;
    assert_eq!(complaints(&rules, &BTreeSet::new(), &one).len(), 1);
}

/// Crates of the workspace and the dependencies that they ask for without saying which version.
fn wildcards(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().unwrap();
    let of = |package: &Value| {
        let name = package["name"].as_str().unwrap().to_owned();
        let dependencies = package["dependencies"].as_array().unwrap().clone();
        dependencies
            .into_iter()
            .filter(|dependency| dependency["req"] == "*" && dependency["path"].is_null())
            .map(move |dependency| format!("{name} wants any {}", dependency["name"]))
    };
    packages.iter().flat_map(of).collect()
}

#[test]
fn every_dependency_says_which_version_it_wants() {
    let metadata = cargo(&["metadata", "--format-version=1", "--no-deps"]);
    let mut metadata: Value = serde_json::from_str(&metadata).unwrap();
    assert_eq!(metadata["packages"].as_array().unwrap().len(), OURS.len());
    assert_eq!(wildcards(&metadata), Vec::<String>::new());
    metadata["packages"][0]["dependencies"][0]["req"] = "*".into();
    metadata["packages"][0]["dependencies"][0]["path"] = Value::Null;
    assert_eq!(wildcards(&metadata).len(), 1);
}
