//! `deploy/split-debug`, which `make release` runs on each program.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::paths::project;
use e2e::process::output_of;

const PROGRAM: &str = "program";

/// Compiles a small program with debug information, as a release build of cargo has it, too.
fn compile(folder: &Path) -> PathBuf {
    let (source, program) = (folder.join("main.c"), folder.join("built"));
    std::fs::write(&source, "int main(void) { return 42; }\n").unwrap();
    let mut compiler = Command::new("cc");
    output_of(compiler.arg("-g").arg("-o").arg(&program).arg(&source)).unwrap();
    program
}

fn split(folder: &Path) {
    let mut command = Command::new(project().join("deploy/split-debug"));
    output_of(command.arg(folder).arg(PROGRAM)).unwrap();
}

fn sections(file: &Path) -> String {
    let mut command = Command::new("readelf");
    output_of(command.args(["--section-headers", "--wide"]).arg(file)).unwrap()
}

fn has_section(file: &Path, section: &str) -> bool {
    sections(file).contains(&format!(" {section} "))
}

#[test]
fn a_released_program_is_stripped_and_its_debug_information_lies_beside_it() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("a release");
    std::fs::create_dir(&folder).unwrap();
    let (built, program) = (compile(place.path()), folder.join(PROGRAM));
    // As cargo does: two names of one file.
    std::fs::hard_link(&built, &program).unwrap();
    let whole = sections(&built);
    split(&folder);
    let debug = folder.join(format!("{PROGRAM}.debug"));
    for section in [".debug_info", ".debug_line", ".symtab"] {
        assert!(!has_section(&program, section), "{section}");
        assert!(has_section(&debug, section), "{section}");
    }
    assert!(has_section(&program, ".gnu_debuglink"));
    assert_eq!(
        sections(&built),
        whole,
        "the file that cargo keeps lost its symbols"
    );
    let status = Command::new(&program).status().unwrap();
    assert_eq!(status.code(), Some(42));
}

#[test]
fn splitting_twice_keeps_the_debug_information_and_a_new_build_replaces_it() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("release");
    std::fs::create_dir(&folder).unwrap();
    let (built, program) = (compile(place.path()), folder.join(PROGRAM));
    let debug = folder.join(format!("{PROGRAM}.debug"));
    let files = || [&program, &debug].map(|file| std::fs::read(file).unwrap());
    std::fs::copy(&built, &program).unwrap();
    split(&folder);
    let first = files();
    split(&folder);
    assert!(files() == first);
    std::fs::copy(&built, &program).unwrap();
    split(&folder);
    assert!(!has_section(&program, ".symtab") && has_section(&debug, ".debug_info"));
    let left = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(left, 2, "something else was left behind");
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(project().join("deploy/split-debug"));
    let output = command.arg(place.path()).arg(PROGRAM).output().unwrap();
    assert!(!output.status.success());
}
