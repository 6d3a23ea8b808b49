//! The table in the document.

use std::path::Path;

use proto::{Code, Numbers};

use super::drivers::Program;

/// Before and behind the table.
const BEGIN: &str = "<!-- table of hosts: WRITE_DOCS=1 cargo test -p e2e --test e2e hosts -->\n";
const END: &str = "<!-- end of the table of hosts -->\n";

/// The reaction of all programs to codes with the same numbers.
pub(super) struct Row {
    pub(super) numbers: Numbers,
    pub(super) codes: Vec<Code>,
    pub(super) cells: Vec<bool>,
}

/// The whole table, one row for the numbers and one line of codes for each.
pub(super) fn table(programs: &[Program], rows: &[Row]) -> String {
    let mut text = String::from("| codes | MySQL | PostgreSQL |");
    for program in programs {
        text += &format!(" {} |", program.name());
    }
    text += &format!("\n|---|---|---|{}\n", "---|".repeat(programs.len()));
    for row in rows {
        let codes: Vec<String> = row.codes.iter().map(|code| format!("`{code}`")).collect();
        let numbers = row.numbers;
        text += &format!(
            "| {} | {}/{} | {} |",
            codes.join(", "),
            numbers.mysql,
            numbers.mysql_state,
            numbers.postgres_state
        );
        for goes_on in &row.cells {
            text += if *goes_on { " next |" } else { " stop |" };
        }
        text.push('\n');
    }
    text
}

/// Compares the document with the table, or writes it there where `WRITE_DOCS` is set.
pub(super) fn check_or_write(path: &Path, table: &str) {
    let document = std::fs::read_to_string(path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (written, behind) = rest.split_once(END).unwrap();
    if std::env::var_os("WRITE_DOCS").is_some() {
        let whole = format!("{before}{BEGIN}{table}{END}{behind}");
        std::fs::write(path, whole).unwrap();
    } else {
        assert_eq!(written, table, "write it with WRITE_DOCS=1");
    }
}
