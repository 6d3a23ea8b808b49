//! A thin cut through the login matrix; `make matrix` runs the whole of it.

use e2e::clients::Client;
use e2e::matrix::{Cell, Far, Kind, Near, Plugin, Verdict, expected, run, tables};
use e2e::paths::project;
use e2e::tally;

/// Every client logs in over TLS through one database leg, with and without our client, and in the clear over TCP or a
/// socket through another.
fn is_in_the_cut(cell: &Cell) -> bool {
    let usual = matches!(cell.plugin, Plugin::CachingSha2 | Plugin::Native);
    let number = Client::ALL.iter().position(|client| *client == cell.client);
    let turn = number.unwrap() % 2;
    let over_tls = (Near::Tls, [Far::Tcp, Far::Unix][turn]);
    let in_the_clear = [(Near::Socket, Far::Tcp), (Near::Tcp, Far::Unix)][turn];
    let listener = (Near::Listener, [Far::Unix, Far::Tcp][turn]);
    usual && [over_tls, in_the_clear, listener].contains(&(cell.near, cell.far))
}

fn a_cut_through_the_matrix_is_green(kind: Kind) {
    let report = run(&[kind], is_in_the_cut).unwrap();
    assert!(report.red().is_empty(), "{}", report.red().join("\n"));
    assert_eq!(report.clients.len(), Client::ALL.len());
    assert_eq!(report.outcomes.len(), 3 * Client::ALL.len());
    for outcome in &report.outcomes {
        let cell = outcome.cell;
        if outcome.verdict == Verdict::Works {
            tally::passed(kind.flavor().name(), cell.client.name(), &cell.to_string()).unwrap();
        }
        // Else one of the few documented cells; over TLS there is none.
        assert!(
            outcome.verdict == Verdict::Works || !cell.near.is_encrypted(),
            "{cell}"
        );
    }
}

#[test]
fn every_client_logs_in_cold_to_mysql_9() {
    a_cut_through_the_matrix_is_green(Kind::MySql9);
}

#[test]
fn every_client_logs_in_cold_to_mariadb_10_11() {
    a_cut_through_the_matrix_is_green(Kind::MariaDb10WithoutTls);
}

#[test]
fn every_client_logs_in_cold_to_mariadb_11_8() {
    a_cut_through_the_matrix_is_green(Kind::MariaDb11);
}

/// A green run writes what the reasons say, versions aside: so the document can be compared without a run.
#[test]
fn the_document_of_the_matrix_is_current_and_green() {
    let written = std::fs::read_to_string(project().join("docs/login-matrix.md")).unwrap();
    assert!(
        written.ends_with(&tables(&expected()).unwrap()),
        "docs/login-matrix.md is not what the reasons say: run `make matrix`"
    );
    for client in Client::ALL {
        let row = format!("\n| {client} | ");
        assert_eq!(
            written.matches(&row).count(),
            1 + all_accounts(),
            "{client}"
        );
    }
}

fn all_accounts() -> usize {
    Kind::ALL.iter().map(|kind| kind.plugins().len()).sum()
}
