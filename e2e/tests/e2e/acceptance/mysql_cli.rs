//! The `mysql` 9 command line with arguments of the test's own.

use std::process::Command;

use e2e::clients::{Address, Login};
use e2e::paths::installed;

/// Runs one statement; gives back what is printed, or the first line of complaint that is an error.
pub(super) fn mysql(
    address: &Address,
    login: &Login,
    arguments: &[&str],
    sql: &str,
) -> Result<String, String> {
    let output = command(address, login, arguments)
        .arg(format!("--execute={sql}"))
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let error = complaint.lines().find(|line| line.starts_with("ERROR "));
    Err(error
        .unwrap_or_else(|| panic!("no ERROR in: {complaint}"))
        .to_owned())
}

/// The command, not started.
pub(super) fn command(address: &Address, login: &Login, arguments: &[&str]) -> Command {
    let plugins = installed("mysql9/usr/lib/mysql/plugin").unwrap();
    let mut command = Command::new(installed("bin/mysql9").unwrap());
    command
        .args([
            "--no-defaults",
            "--batch",
            "--skip-column-names",
            "--connect-timeout=20",
        ])
        .arg(format!("--plugin-dir={}", plugins.display()))
        .arg(format!("--user={}", login.user))
        .arg(format!("--password={}", login.password))
        .arg(format!("--database={}", login.database))
        .args(arguments);
    match address {
        Address::Tcp { host, port } => command
            .arg("--protocol=tcp")
            .arg(format!("--host={host}"))
            .arg(format!("--port={port}")),
        Address::Socket(path) => command
            .arg("--protocol=socket")
            .arg(format!("--socket={}", path.display())),
    };
    command
}
