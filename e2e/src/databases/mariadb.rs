//! How MariaDB 10.11 is initialised and started.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{PASSWORD, accounts, application, tree_options};
use crate::paths::installed;
use crate::process::output_of;

/// What `mariadb-install-db` feeds to the server, in its order.
const SYSTEM_TABLES: [&str; 6] = [
    "mysql_system_tables.sql",
    "mysql_performance_tables.sql",
    "mysql_system_tables_data.sql",
    "fill_help_tables.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "mysql_sys_schema.sql",
];

/// The server on a data directory, with the certificate that `initialise` put there.
pub(super) fn command(data: &Path) -> Result<Command> {
    let mut command = bare_command(data)?;
    command
        .arg(format!(
            "--ssl-cert={}",
            data.join("server-cert.pem").display()
        ))
        .arg(format!(
            "--ssl-key={}",
            data.join("server-key.pem").display()
        ))
        .args([
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-doublewrite=OFF",
        ])
        .args(["--performance-schema=ON", "--max-connections=500"]);
    Ok(command)
}

fn bare_command(data: &Path) -> Result<Command> {
    let mut command = Command::new(installed("bin/mariadbd10")?);
    tree_options(&mut command, "mariadb10")?;
    command
        .arg(format!("--datadir={}", data.display()))
        .args([
            "--plugin-load-add=auth_ed25519",
            "--innodb-log-file-size=16M",
        ])
        .args(["--innodb-buffer-pool-size=64M"]);
    Ok(command)
}

/// Fills an empty data directory. 10.11 makes no certificate by itself, so it gets one.
pub(super) fn initialise(data: &Path) -> Result<()> {
    let sql = data.with_extension("sql");
    write_sql(&sql)?;
    let mut command = bare_command(data)?;
    command
        .args([
            "--bootstrap",
            "--enforce-storage-engine=",
            "--log-warnings=0",
        ])
        .args(["--max-allowed-packet=8M", "--net-buffer-length=16K"])
        .stdin(File::open(&sql)?);
    output_of(&mut command)?;
    write_certificate(data)
}

fn write_sql(path: &Path) -> Result<()> {
    let share = installed("mariadb10/usr/share/mysql")?;
    let mut file = File::create(path)?;
    // The server reads one statement a line. Debian's root account: by Unix socket, without password.
    file.write_all(b"create database mysql;\nuse mysql;\nset @auth_root_socket='root';\n")?;
    for name in SYSTEM_TABLES {
        let part = std::fs::read(share.join(name)).with_context(|| format!("reading {name}"))?;
        file.write_all(&part)?;
    }
    let own = [
        application(
            "app",
            &format!("VIA mysql_native_password USING PASSWORD('{PASSWORD}')"),
        ),
        application(
            "app_ed25519",
            &format!("VIA ed25519 USING PASSWORD('{PASSWORD}')"),
        ),
    ];
    file.write_all(accounts(&own.concat()).as_bytes())?;
    Ok(())
}

fn write_certificate(data: &Path) -> Result<()> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(data.join("server-cert.pem"), made.cert.pem())?;
    std::fs::write(
        data.join("server-key.pem"),
        made.signing_key.serialize_pem(),
    )?;
    Ok(())
}
