//! How MariaDB 10.11 and 11.8 are initialised and started.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{DatabaseOptions, Flavor, PASSWORD, accounts, application, certificate, tree_options};
use crate::paths::installed;
use crate::process::output_of;

/// What `mariadb-install-db` feeds to the server, in its order; `*` is a word that differs between versions.
const SYSTEM_TABLES: [&str; 6] = [
    "*_system_tables.sql",
    "*_performance_tables.sql",
    "*_system_tables_data.sql",
    "fill_help_tables.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "*_sys_schema.sql",
];

/// The tree of packages, and where it keeps the server's own files.
const fn tree(flavor: Flavor) -> [&'static str; 3] {
    match flavor {
        Flavor::MariaDb11 => ["mariadb11", "usr/share/mariadb", "bin/mariadbd11"],
        _ => ["mariadb10", "usr/share/mysql", "bin/mariadbd10"],
    }
}

/// The server on a data directory. 10.11 shows the certificate that `initialise` put there; 11.8 makes one of its own,
/// in memory, unless it is told to show that one too.
pub(super) fn command(flavor: Flavor, data: &Path, options: &DatabaseOptions) -> Result<Command> {
    let mut command = bare_command(flavor, data)?;
    command
        .args([
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-doublewrite=OFF",
        ])
        .args(["--performance-schema=ON", "--max-connections=500"]);
    let file = |option: &str, name: &str| format!("--{option}={}", data.join(name).display());
    if !options.has_tls() {
        command.arg("--skip-ssl");
    } else if flavor == Flavor::MariaDb10 || options.has_certificate_file() {
        command
            .arg(file("ssl-cert", "server-cert.pem"))
            .arg(file("ssl-key", "server-key.pem"))
            .arg(file("ssl-ca", "ca.pem"));
    }
    command.args(options.pam_arguments());
    Ok(command)
}

fn bare_command(flavor: Flavor, data: &Path) -> Result<Command> {
    let [tree, share, program] = tree(flavor);
    let mut command = Command::new(installed(program)?);
    tree_options(&mut command, tree, share)?;
    command
        .arg(format!("--datadir={}", data.display()))
        .args([
            "--plugin-load-add=auth_ed25519",
            "--innodb-log-file-size=16M",
        ])
        .args(["--innodb-buffer-pool-size=64M"]);
    if flavor == Flavor::MariaDb11 {
        command.arg("--plugin-load-add=auth_parsec");
    }
    Ok(command)
}

/// Fills an empty data directory. 10.11 makes no certificate by itself, so it gets one.
pub(super) fn initialise(flavor: Flavor, data: &Path) -> Result<()> {
    let sql = data.with_extension("sql");
    write_sql(flavor, &sql)?;
    let mut command = bare_command(flavor, data)?;
    command
        .args([
            "--bootstrap",
            "--enforce-storage-engine=",
            "--log-warnings=0",
        ])
        .args(["--max-allowed-packet=8M", "--net-buffer-length=16K"])
        .stdin(File::open(&sql)?);
    output_of(&mut command)?;
    certificate::write(data)
}

fn write_sql(flavor: Flavor, path: &Path) -> Result<()> {
    let [tree, share, _] = tree(flavor);
    let share = installed(tree)?.join(share);
    let mut file = File::create(path)?;
    // The server reads one statement a line. Debian's root account: by Unix socket, without password.
    file.write_all(b"create database mysql;\nuse mysql;\nset @auth_root_socket='root';\n")?;
    let word = match flavor {
        Flavor::MariaDb11 => "mariadb",
        _ => "mysql",
    };
    for name in SYSTEM_TABLES {
        let part = std::fs::read(share.join(name.replace('*', word)))
            .with_context(|| format!("reading {name}"))?;
        file.write_all(&part)?;
    }
    let via = |user, plugin: &str| {
        application(user, &format!("VIA {plugin} USING PASSWORD('{PASSWORD}')"))
    };
    let mut own = via("app", "mysql_native_password") + &via("app_ed25519", "ed25519");
    if flavor == Flavor::MariaDb11 {
        own += &via("app_parsec", "parsec");
    }
    file.write_all(accounts(&own).as_bytes())?;
    Ok(())
}
