//! What is shipped beside the programs: systemd units that systemd takes, and example settings that the programs take.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::paths::{binary, project};

/// Program, settings file, and flags with which it complains of one thing alone: [`Example::missing`].
struct Example {
    program: &'static str,
    settings: &'static str,
    flags: &'static [&'static str],
    missing: &'static str,
}

const EXAMPLES: [Example; 3] = [
    Example {
        program: "cloudsql-ca",
        settings: "ca.toml",
        flags: &["serve", "--data=/nonexistent"],
        missing: "there is no data directory",
    },
    Example {
        program: "cloudsql-proxy-server",
        settings: "proxy-server.toml",
        // Beside a Unix socket, root is refused.
        flags: &[
            "--run-as=65534:65534",
            "--credentials-file=/nonexistent.json",
        ],
        missing: "/nonexistent.json",
    },
    Example {
        program: "cloudsql-proxy",
        settings: "proxy.toml",
        flags: &["--credentials-file=/nonexistent.json"],
        missing: "/nonexistent.json",
    },
];

/// Not a unit that starts a program: it starts one of [`UNITS`].
const SOCKET: &str = "deploy/systemd/cloudsql-proxy.socket";

const UNITS: [&str; 3] = ["cloudsql-ca", "cloudsql-proxy-server", "cloudsql-proxy"];

fn shipped(folder: &str, end: &str) -> Vec<PathBuf> {
    let folder = project().join("deploy").join(folder);
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(
        files
            .iter()
            .all(|file| file.to_str().unwrap().ends_with(end))
    );
    files.sort();
    files
}

impl Example {
    fn text(&self) -> String {
        let path = project().join("deploy/settings").join(self.settings);
        std::fs::read_to_string(path).unwrap()
    }

    /// What the program complains of with these settings; it must complain.
    fn complaints(&self, settings: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(self.settings);
        std::fs::write(&path, settings).unwrap();
        let mut command = Command::new(binary(self.program).unwrap());
        command
            .env_clear()
            .args(self.flags)
            .arg("--config-file")
            .arg(&path);
        let Output { status, stderr, .. } = command.output().unwrap();
        let told = String::from_utf8(stderr).unwrap();
        assert!(!status.success(), "{}: {told}", self.program);
        told.replace(path.to_str().unwrap(), self.settings)
    }

    /// Asserts that nothing is wrong but what the flags leave out.
    fn is_taken(&self, settings: &str) {
        let told = self.complaints(settings);
        assert!(told.contains(self.missing), "{}: {told}", self.program);
        // That a short name means nothing without the key file follows from that.
        let expected = |line: &str| line.contains(self.missing) || line.contains("give a key file");
        let mut complaints = told.lines().filter(|line| line.starts_with("  "));
        assert!(complaints.all(expected), "{}: {told}", self.program);
        assert!(!told.contains(self.settings), "{}: {told}", self.program);
    }
}

/// The example with all that is commented out switched on.
fn uncommented(text: &str) -> String {
    let line = |line: &str| {
        let setting = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
        format!("{}\n", setting.unwrap_or(line))
    };
    text.lines().map(line).collect()
}

fn keys(text: &str) -> usize {
    let is_key = |line: &&str| !line.starts_with('#') && line.contains(" = ");
    text.lines().filter(is_key).count()
}

#[test]
fn every_example_of_settings_is_taken_by_its_program_with_all_its_keys() {
    let shipped = shipped("settings", ".toml");
    assert_eq!(shipped.len(), EXAMPLES.len(), "{shipped:?}");
    for example in &EXAMPLES {
        let text = example.text();
        let all = uncommented(&text);
        assert!(keys(&text) >= 2 && keys(&all) >= 10, "{}", example.settings);
        example.is_taken(&text);
        example.is_taken(&all);
    }
}

#[test]
fn a_wrong_key_in_an_example_would_be_refused() {
    for example in &EXAMPLES {
        let told = example.complaints(&format!("{}lisen = 1\n", example.text()));
        assert!(
            told.contains(&format!("{}: lisen", example.settings)),
            "{told}"
        );
        // A value of the wrong kind, too: what each of them has.
        let broken = uncommented(&example.text()).replace("log-level = \"info\"", "log-level = []");
        let told = example.complaints(&broken);
        assert!(
            told.contains(&format!("{}: log-level", example.settings)),
            "{told}"
        );
    }
}

/// What systemd says of a unit. The program of the machine's package is not installed here; ours stands in.
fn verify(name: &str, change: impl FnOnce(String) -> String) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{name}.service"));
    std::fs::write(&path, change(unit(name))).unwrap();
    verified(&path)
}

fn verified(path: &Path) -> (bool, String) {
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no"]).arg(path);
    let output = command.output();
    let Output { status, stderr, .. } = output.expect("systemd-analyze: run e2e/setup/all");
    (status.success(), String::from_utf8(stderr).unwrap())
}

/// A unit as shipped, but for the path of its program.
fn unit(name: &str) -> String {
    let path = project().join(format!("deploy/systemd/{name}.service"));
    let text = std::fs::read_to_string(path).unwrap();
    let installed = format!("ExecStart=/usr/bin/{name} ");
    assert_eq!(text.matches(&installed).count(), 1, "{name}");
    let built = binary(name).unwrap();
    text.replace(&installed, &format!("ExecStart={} ", built.display()))
}

#[test]
fn systemd_takes_every_unit_without_a_word() {
    let mut shipped = shipped("systemd", "");
    let socket = project().join(SOCKET);
    shipped.retain(|file| *file != socket);
    let is_service = |file: &PathBuf| file.extension().is_some_and(|end| end == "service");
    assert!(shipped.iter().all(is_service), "{shipped:?}");
    assert_eq!(shipped.len(), UNITS.len(), "{shipped:?}");
    for name in UNITS {
        assert_eq!(verify(name, |unit| unit), (true, String::new()), "{name}");
    }
}

#[test]
fn systemd_takes_the_socket_beside_its_service_and_its_name_is_an_instance_of_the_example() {
    let text = std::fs::read_to_string(project().join(SOCKET)).unwrap();
    let beside = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let service = folder.path().join("cloudsql-proxy.service");
        std::fs::write(service, unit("cloudsql-proxy")).unwrap();
        let path = folder.path().join("cloudsql-proxy.socket");
        std::fs::write(&path, text).unwrap();
        verified(&path)
    };
    assert_eq!(beside(&text), (true, String::new()));
    let (_, told) = beside(&text.replace("FileDescriptorName", "FileDescriptorNme"));
    assert!(told.contains("FileDescriptorNme"), "{told}");
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("FileDescriptorName="));
    let settings = project().join("deploy/settings/proxy.toml");
    let settings = std::fs::read_to_string(settings).unwrap();
    assert!(
        settings.contains(&format!("\"{}\"", name.unwrap())),
        "{name:?}"
    );
}

#[test]
fn a_mistake_in_a_unit_would_be_found() {
    for name in UNITS {
        let (_, told) = verify(name, |unit| unit.replace("ProtectSystem", "ProtectSytem"));
        assert!(told.contains("ProtectSytem"), "{name}: {told}");
        let missing = |unit: String| unit.replace("ExecStart=/", "ExecStart=/nonexistent/");
        let (taken, told) = verify(name, missing);
        assert!(!taken && told.contains("nonexistent"), "{name}: {told}");
    }
}

#[test]
fn units_name_settings_that_are_shipped_and_take_their_key_from_systemd() {
    for Example {
        program, settings, ..
    } in &EXAMPLES
    {
        let unit = unit(program);
        let line = |key: &str| unit.lines().find(|line| line.starts_with(key));
        let start = line("ExecStart=").unwrap();
        assert!(
            start.contains(&format!("/etc/cloudsql/{settings}")),
            "{start}"
        );
        assert!(Path::new(&project().join("deploy/settings").join(settings)).exists());
        assert_eq!(line("ProtectSystem="), Some("ProtectSystem=strict"));
        assert_eq!(line("NoNewPrivileges="), Some("NoNewPrivileges=yes"));
        assert_eq!(
            line("CapabilityBoundingSet="),
            Some("CapabilityBoundingSet=")
        );
        if *program != "cloudsql-ca" {
            assert_eq!(line("DynamicUser="), Some("DynamicUser=yes"), "{program}");
            let key = line("LoadCredential=").unwrap();
            let (name, _) = key["LoadCredential=".len()..].split_once(':').unwrap();
            let handed = format!("--credentials-file ${{CREDENTIALS_DIRECTORY}}/{name}");
            assert!(start.contains(&handed), "{start}");
        }
    }
}

#[test]
fn units_leave_little_to_see_and_nothing_to_write() {
    for name in UNITS {
        let path = project().join(format!("deploy/systemd/{name}.service"));
        let mut command = Command::new("systemd-analyze");
        // Out of 10; a unit without any of it has 9.6.
        command.args(["security", "--offline=true", "--threshold=20", "--no-pager"]);
        let output = command.arg(path).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}");
        assert!(told.contains("Overall exposure level"), "{told}");
    }
}
