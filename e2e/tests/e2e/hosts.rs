//! The reaction of drivers that take several hosts, when the first one refuses: the table of docs/errors.md.

#[path = "hosts/drivers.rs"]
mod drivers;
#[path = "hosts/host.rs"]
mod host;
#[path = "hosts/table.rs"]
mod table;

use std::path::PathBuf;

use e2e::paths::project;
use proto::{Code, Numbers};

use drivers::Program;
use host::{Host, Moment};
use table::{Row, table};

/// Codes for which the host after the first is no remedy: it would refuse the same login.
const OF_THE_LOGIN: [Code; 6] = [
    Code::NoGrant,
    Code::Unauthenticated,
    Code::CertificateRefused,
    Code::CallerRefused,
    Code::Authentication,
    Code::TlsRequired,
];

/// The codes, those with the same numbers together, in their order.
fn groups() -> Vec<(Numbers, Vec<Code>)> {
    let mut groups: Vec<(Numbers, Vec<Code>)> = Vec::new();
    for code in Code::ALL {
        let numbers = code.numbers();
        match groups.iter_mut().find(|(known, _)| *known == numbers) {
            Some((_, codes)) => codes.push(code),
            None => groups.push((numbers, vec![code])),
        }
    }
    groups
}

/// Whether the program goes on to the second host after this refusal of the first.
fn goes_on(program: &mut Program, code: Code, moment: Moment) -> bool {
    let first = Host::refusing(code, program.engine(), moment);
    let second = Host::refusing(Code::NoGrant, program.engine(), moment);
    let said = program.connect(&[first.port(), second.port()]);
    assert!(first.was_asked(), "{program:?} {code}: {said}");
    second.was_asked()
}

/// The reaction of a program to each group.
fn column(program: &mut Program) -> Vec<bool> {
    let measure = |(_, codes): (Numbers, Vec<Code>)| {
        let mut moments = program.moments().iter();
        let found = goes_on(program, codes[0], *moments.next().unwrap());
        for moment in moments {
            let other = goes_on(program, codes[0], *moment);
            assert_eq!(found, other, "{program:?} {codes:?} {moment:?}");
        }
        found
    };
    groups().into_iter().map(measure).collect()
}

/// All programs side by side: they mostly wait.
fn measured(programs: &mut [Program]) -> Vec<Row> {
    let columns: Vec<Vec<bool>> = std::thread::scope(|scope| {
        let measure = |program| scope.spawn(move || column(program));
        let columns: Vec<_> = programs.iter_mut().map(measure).collect();
        let columns = columns.into_iter();
        columns.map(|column| column.join().unwrap()).collect()
    });
    let row = |(number, (numbers, codes))| Row {
        cells: columns.iter().map(|column| column[number]).collect(),
        numbers,
        codes,
    };
    groups().into_iter().enumerate().map(row).collect()
}

fn document() -> PathBuf {
    project().join("docs/errors.md")
}

/// With `WRITE_DOCS=1` the table is written instead.
#[test]
fn drivers_with_several_hosts_go_on_when_the_first_is_unreachable_and_the_table_says_so() {
    let mut programs = Program::all();
    let rows = measured(&mut programs);
    for row in &rows {
        for (program, goes_on) in programs.iter().zip(&row.cells) {
            let check = format!("{program:?} {:?}", row.codes);
            let is_of_the_login = OF_THE_LOGIN.contains(&row.codes[0]);
            if !is_of_the_login && program.goes_on_for(row.numbers) {
                assert!(goes_on, "{check}");
            } else if program.is_choosy() {
                assert!(!goes_on, "{check}");
            }
        }
    }
    table::check_or_write(&document(), &table(&programs, &rows));
}

/// They have no list of hosts: nothing must make them try again with the same password.
#[test]
fn drivers_without_a_list_of_hosts_report_any_code_after_one_attempt() {
    for program in &mut Program::single() {
        for (_, codes) in groups() {
            let host = Host::refusing(codes[0], program.engine(), Moment::Greeting);
            let said = program.connect(&[host.port()]);
            assert!(said.contains(codes[0].as_str()), "{said}");
            assert_eq!(host.attempts(), 1, "{program:?} {codes:?}: {said}");
        }
    }
}
