//! Prints what a command has to say: a table for people, JSON for programs.

use std::io::{self, Write as _};
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Prints objects of text members: as a table with those columns, or as they are.
pub(super) fn list(format: Format, columns: &[&str], rows: &[Value]) -> Result<()> {
    match format {
        Format::Json => json(&Value::from(rows)),
        Format::Table => print(&table(columns, rows)),
    }
}

/// Prints one object: one member a line, or as it is.
pub(super) fn one(format: Format, object: &Value) -> Result<()> {
    match (format, object) {
        (Format::Table, Value::Object(members)) => {
            let width = members.keys().map(String::len).max().unwrap_or_default();
            let line =
                |(name, value): (&String, &Value)| format!("{name:width$}  {}\n", cell(value));
            print(&members.iter().map(line).collect::<String>())
        }
        _ => json(object),
    }
}

/// Prints JSON.
pub(super) fn json(value: &Value) -> Result<()> {
    print(&format!("{value:#}\n"))
}

/// Prints what to do next; to people only.
pub(super) fn hint(format: Format, text: &str) -> Result<()> {
    match format {
        Format::Table => print(text),
        Format::Json => Ok(()),
    }
}

fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        // Whoever reads has seen enough: `cloudsql-ca ... | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Error::file("write", Path::new("standard output"))),
    }
}

fn table(columns: &[&str], rows: &[Value]) -> String {
    let header = columns.iter().map(|column| heading(column)).collect();
    let cells = rows
        .iter()
        .map(|row| columns.iter().map(|name| cell(&row[*name])).collect());
    let lines: Vec<Vec<String>> = std::iter::once(header).chain(cells).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| {
            lines
                .iter()
                .filter_map(|line| line.get(at))
                .map(|cell| cell.chars().count())
                .max()
        })
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for line in lines {
        let padded: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// `databaseVersion` becomes `DATABASE VERSION`.
fn heading(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, character| {
        if character.is_uppercase() {
            text.push(' ');
        }
        text.extend(character.to_uppercase());
        text
    })
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| format!("{name}={}", cell(value));
            members.iter().map(member).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_a_heading_and_aligned_columns() {
        let rows = [
            json!({ "name": "db1", "databaseVersion": "MYSQL_8_4" }),
            json!({ "name": "longer" }),
        ];
        assert_eq!(
            table(&["name", "databaseVersion"], &rows),
            "NAME    DATABASE VERSION\ndb1     MYSQL_8_4\nlonger\n"
        );
    }
}
