//! The `mysql` and `mariadb` command lines.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Address, Answer, Client, SqlError, Target, Tls};
use crate::paths::installed;
use crate::process::output_of;

/// Runs one statement with `--execute`.
pub(super) fn query(client: Client, target: &Target, sql: &str) -> Result<Answer> {
    let mut command = program(client, target.tls)?;
    if let Some(ca) = &target.ca {
        command.arg(format!("--ssl-ca={}", ca.display()));
    }
    match &target.address {
        Address::Tcp { port, .. } => command
            .arg("--protocol=tcp")
            .arg(format!("--host={}", target.host().unwrap_or_default()))
            .arg(format!("--port={port}")),
        Address::Socket(path) => command
            .arg("--protocol=socket")
            .arg(format!("--socket={}", path.display())),
    };
    command
        .args(["--batch", "--skip-column-names", "--connect-timeout=20"])
        .arg(format!("--user={}", target.login.user))
        .arg(format!("--password={}", target.login.password))
        .arg(format!("--database={}", target.login.database))
        .arg(format!("--execute={sql}"));
    let output = command
        .output()
        .with_context(|| format!("running {client}"))?;
    if output.status.success() {
        return Ok(Ok(rows(&String::from_utf8_lossy(&output.stdout))));
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    match complaint.lines().find_map(error) {
        Some(error) => Ok(Err(error)),
        None => bail!("{client} ended with {}: {complaint}", output.status),
    }
}

/// What the program says of its version.
pub(super) fn version(client: Client) -> Result<String> {
    let text = output_of(Command::new(installed(binary(client))?).arg("--version"))?;
    // mysql: `Ver 9.7.4-2 for`; mariadb: `Distrib 10.11.19-MariaDB,` or `from 11.8.6-MariaDB,`.
    let words: Vec<&str> = text.split([' ', ',']).collect();
    let named = words.iter().find(|word| word.contains("-MariaDB"));
    let after = words.iter().skip_while(|word| **word != "Ver").nth(1);
    let word = named.or(after).context("a version")?;
    Ok(word.split('-').next().unwrap_or(word).to_owned())
}

const fn binary(client: Client) -> &'static str {
    match client {
        Client::MysqlCli => "bin/mysql9",
        Client::MariadbCli11 => "bin/mariadb11",
        _ => "bin/mariadb10",
    }
}

fn program(client: Client, tls: Tls) -> Result<Command> {
    let mut command = Command::new(installed(binary(client))?);
    command.arg("--no-defaults");
    match client {
        Client::MysqlCli => command
            // Without the first, a login in the clear is refused by the client itself, also without us.
            .args(["--get-server-public-key", "--enable-cleartext-plugin"])
            .arg(plugins("mysql9/usr/lib/mysql/plugin")?)
            .args(mysql_tls(tls)),
        Client::MariadbCli11 => command
            .arg(plugins("mariadb11/usr/lib/libmariadb3/plugin")?)
            .args(mariadb_tls(tls))
            .args((tls == Tls::Required).then_some("--skip-ssl-verify-server-cert")),
        _ => command
            .arg(plugins("mariadb10/usr/lib/libmariadb3/plugin")?)
            .args(mariadb_tls(tls)),
    };
    Ok(command)
}

const fn mysql_tls(tls: Tls) -> Option<&'static str> {
    match tls {
        Tls::Usual => None,
        Tls::Off => Some("--ssl-mode=DISABLED"),
        Tls::Required => Some("--ssl-mode=REQUIRED"),
        Tls::VerifyCa => Some("--ssl-mode=VERIFY_CA"),
        Tls::VerifyIdentity => Some("--ssl-mode=VERIFY_IDENTITY"),
    }
}

const fn mariadb_tls(tls: Tls) -> Option<&'static str> {
    match tls {
        Tls::Usual => None,
        Tls::Off => Some("--skip-ssl"),
        // It verifies the chain whenever it is told a CA.
        Tls::Required | Tls::VerifyCa => Some("--ssl"),
        Tls::VerifyIdentity => Some("--ssl-verify-server-cert"),
    }
}

fn plugins(folder: &str) -> Result<String> {
    Ok(format!("--plugin-dir={}", installed(folder)?.display()))
}

fn rows(text: &str) -> Vec<Vec<Option<String>>> {
    let field = |field: &str| (field != "NULL").then(|| field.to_owned());
    text.lines()
        .map(|line| line.split('\t').map(field).collect())
        .collect()
}

/// `ERROR 1045 (28000): Access denied`, with ` at line 1` behind the number once the login is over.
fn error(line: &str) -> Option<SqlError> {
    let (code, rest) = line.strip_prefix("ERROR ")?.split_once(' ')?;
    let (_, message) = rest.split_once(": ")?;
    Some(SqlError {
        code: code.parse().ok()?,
        message: message.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_both_command_lines_are_read() {
        let expected = SqlError {
            code: 1045,
            message: "Access denied: no".to_owned(),
        };
        assert_eq!(
            error("ERROR 1045 (28000): Access denied: no"),
            Some(expected.clone())
        );
        assert_eq!(
            error("ERROR 1045 (28000) at line 1: Access denied: no"),
            Some(expected)
        );
        assert_eq!(
            error("mysql: [Warning] Using a password is insecure."),
            None
        );
    }
}
