//! How MySQL 9 is initialised and started.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{DatabaseOptions, PASSWORD, accounts, application, tree_options};
use crate::paths::installed;
use crate::process::output_of;

/// The server on a data directory; it makes its own certificates and switches TLS on by itself.
pub(super) fn command(data: &Path, options: &DatabaseOptions) -> Result<Command> {
    let mut command = Command::new(installed("bin/mysqld9")?);
    tree_options(&mut command, "mysql9", "usr/share/mysql")?;
    command
        .arg(format!("--datadir={}", data.display()))
        .args(["--secure-file-priv=", "--mysqlx=OFF", "--skip-log-bin"])
        .args([
            "--innodb-redo-log-capacity=16M",
            "--innodb-flush-log-at-trx-commit=0",
        ])
        .args(["--innodb-doublewrite=OFF", "--innodb-buffer-pool-size=64M"])
        .args(["--max-connections=500"])
        .args(options.rsa_arguments());
    if !options.has_tls() {
        command.arg("--tls-version=");
    }
    Ok(command)
}

/// Fills an empty data directory.
pub(super) fn initialise(data: &Path) -> Result<()> {
    let sql = data.with_extension("sql");
    let own = [
        application(
            "app",
            &format!("WITH caching_sha2_password BY '{PASSWORD}'"),
        ),
        application(
            "app_sha256",
            &format!("WITH sha256_password BY '{PASSWORD}'"),
        ),
    ];
    std::fs::write(&sql, accounts(&own.concat()))?;
    let mut command = command(data, &DatabaseOptions::default())?;
    command
        .arg("--initialize-insecure")
        .arg(format!("--init-file={}", sql.display()));
    output_of(&mut command).map(drop)
}
