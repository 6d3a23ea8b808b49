//! `deploy/split-debug`, which `make release` runs on each program.

use std::path::Path;
use std::process::Command;

use e2e::paths::{binary, project};
use e2e::process::output_of;

const PROGRAM: &str = "cloudsql-ca";

fn split(folder: &Path) {
    let mut command = Command::new(project().join("deploy/split-debug"));
    output_of(command.arg(folder).arg(PROGRAM)).unwrap();
}

fn has_section(file: &Path, section: &str) -> bool {
    let mut command = Command::new("readelf");
    let sections = command.args(["--section-headers", "--wide"]).arg(file);
    output_of(sections)
        .unwrap()
        .contains(&format!(" {section} "))
}

fn size(file: &Path) -> u64 {
    std::fs::metadata(file).unwrap().len()
}

#[test]
fn a_released_program_is_stripped_and_its_debug_information_lies_beside_it() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("a release");
    std::fs::create_dir(&folder).unwrap();
    let (built, program) = (place.path().join("built"), folder.join(PROGRAM));
    std::fs::copy(binary(PROGRAM).unwrap(), &built).unwrap();
    // As cargo does: two names of one file.
    std::fs::hard_link(&built, &program).unwrap();
    let whole = size(&built);
    split(&folder);
    let debug = folder.join(format!("{PROGRAM}.debug"));
    for section in [".debug_info", ".symtab"] {
        assert!(!has_section(&program, section), "{section}");
        assert!(has_section(&debug, section), "{section}");
    }
    assert!(has_section(&program, ".gnu_debuglink"));
    assert!(size(&program) < whole);
    assert_eq!(
        size(&built),
        whole,
        "what cargo keeps of it lost its symbols"
    );
    let version = Command::new(&program).arg("--version").output().unwrap();
    assert!(version.status.success(), "{version:?}");
}

#[test]
fn splitting_twice_keeps_the_debug_information() {
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join(PROGRAM);
    std::fs::copy(binary(PROGRAM).unwrap(), &program).unwrap();
    let debug = place.path().join(format!("{PROGRAM}.debug"));
    let sizes = || {
        split(place.path());
        (size(&program), size(&debug))
    };
    assert_eq!(sizes(), sizes());
    assert!(has_section(&debug, ".debug_info"));
    let left = std::fs::read_dir(place.path()).unwrap().count();
    assert_eq!(left, 2, "something else was left behind");
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(project().join("deploy/split-debug"));
    let output = command.arg(place.path()).arg(PROGRAM).output().unwrap();
    assert!(!output.status.success());
}
