//! Trying every cell: several databases side by side, and at each one login after the other, because a login fills the
//! cache that the next one must find empty.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, anyhow};

use super::cell::{Cell, Far, Kind, Plugin};
use super::reasons::Reason;
use super::stand::Stand;
use crate::clients::{Client, Runner, Target};

/// More than processors, because clients wait for databases most of the time.
const SIDE_BY_SIDE: usize = 4;
/// Clients that share a database in a whole run.
const CLIENTS_A_STAND: usize = 5;
const QUERY: &str = "SELECT CURRENT_USER(), 6 * 7, NULL";

/// What became of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The right user saw the right row.
    Works,
    /// It does not, and cannot.
    Explained(Reason),
    /// It should work and does not, or the other way round.
    Red(String),
}

/// A cell that was tried.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which.
    pub cell: Cell,
    /// What became of it.
    pub verdict: Verdict,
}

/// All that a run found out.
#[derive(Debug, Default)]
pub struct Report {
    /// Every cell.
    pub outcomes: Vec<Outcome>,
    /// The version of every client.
    pub clients: BTreeMap<&'static str, String>,
    /// The version of every database.
    pub databases: BTreeMap<&'static str, String>,
}

impl Report {
    /// The red cells, each with what went wrong.
    pub fn red(&self) -> Vec<String> {
        let red = |outcome: &Outcome| match &outcome.verdict {
            Verdict::Red(what) => Some(format!("{}: {what}", outcome.cell)),
            Verdict::Works | Verdict::Explained(_) => None,
        };
        self.outcomes.iter().filter_map(red).collect()
    }

    /// Reasons that explain nothing: they should go.
    pub fn idle_reasons(&self) -> Vec<Reason> {
        let used = |outcome: &Outcome| match outcome.verdict {
            Verdict::Explained(reason) => Some(reason),
            Verdict::Works | Verdict::Red(_) => None,
        };
        let used: HashSet<Reason> = self.outcomes.iter().filter_map(used).collect();
        Reason::ALL
            .into_iter()
            .filter(|reason| !used.contains(reason))
            .collect()
    }
}

/// What a run finds when every reason holds and nothing is red.
pub fn expected() -> Vec<Outcome> {
    let cells = Kind::ALL.into_iter().flat_map(|kind| {
        Client::ALL
            .into_iter()
            .flat_map(move |client| kind.cells(client))
    });
    let outcome = |cell| Outcome {
        cell,
        verdict: Reason::of(&cell).map_or(Verdict::Works, Verdict::Explained),
    };
    cells.map(outcome).collect()
}

/// Tries the cells that `wanted` picks, of the databases `kinds`; every client has a part in it.
pub fn run(kinds: &[Kind], wanted: impl Fn(&Cell) -> bool + Sync) -> Result<Report> {
    let jobs: Vec<(Kind, &[Client])> = kinds
        .iter()
        .flat_map(|kind| {
            Client::ALL
                .chunks(CLIENTS_A_STAND)
                .map(|clients| (*kind, clients))
        })
        .collect();
    let next = AtomicUsize::new(0);
    let report = Mutex::new(Report::default());
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            while let Some((kind, clients)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let part = try_all(*kind, clients, &wanted)?;
                let mut whole = report.lock().map_err(|_| anyhow!("a worker panicked"))?;
                whole.outcomes.extend(part.outcomes);
                whole.clients.extend(part.clients);
                whole.databases.extend(part.databases);
            }
            Ok(())
        };
        let workers: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .map_err(|_| anyhow!("a worker of the matrix panicked"))?
        })
    })?;
    report.into_inner().context("the report")
}

fn try_all(kind: Kind, clients: &[Client], wanted: impl Fn(&Cell) -> bool) -> Result<Report> {
    let mut stand = Stand::start(kind)?;
    let mut report = Report::default();
    report
        .databases
        .insert(kind.flavor().name(), stand.version()?);
    for client in clients {
        let mut runner = Runner::start(*client)?;
        report.clients.insert(client.name(), runner.version()?);
        for cell in kind.cells(*client).filter(&wanted) {
            let mut answer = log_in(&mut stand, &mut runner, &cell);
            for _ in 1..tries(&cell) {
                if !matches!(answer, Ok(Err(_))) {
                    break;
                }
                answer = log_in(&mut stand, &mut runner, &cell);
            }
            if answer.is_err() {
                // What a program does after it broke off in the middle says nothing.
                runner = Runner::start(*client)?;
            }
            let verdict = judge(&cell, answer);
            report.outcomes.push(Outcome { cell, verdict });
        }
    }
    Ok(report)
}

/// Measured: go-sql-driver 1.10 calls about one ed25519 exchange in 300 a malformed packet, directly too.
fn tries(cell: &Cell) -> usize {
    match (cell.client, cell.plugin) {
        (Client::GoSqlDriver, Plugin::Ed25519) => 3,
        _ => 1,
    }
}

/// One cold login, and a warm one where there is a cache. An error is a client that broke down; a refused login is a text.
fn log_in(stand: &mut Stand, runner: &mut Runner, cell: &Cell) -> Result<Result<(), String>> {
    stand.flush()?;
    let target = stand.target(cell)?;
    let cold = ask(runner, &target)?;
    if cold.is_err() || cell.plugin != Plugin::CachingSha2 {
        return Ok(cold);
    }
    Ok(ask(runner, &target)?.map_err(|error| format!("with the cache filled: {error}")))
}

fn ask(runner: &mut Runner, target: &Target) -> Result<Result<(), String>> {
    let rows = match runner.query(target, QUERY)? {
        Ok(rows) => rows,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let user = format!("{}@", target.login.user);
    let [row] = rows.as_slice() else {
        return Ok(Err(format!("{} rows instead of one", rows.len())));
    };
    Ok(match row.as_slice() {
        [Some(seen), Some(product), None] if seen.starts_with(&user) && product == "42" => Ok(()),
        other => Err(format!("a wrong row: {other:?}")),
    })
}

fn judge(cell: &Cell, answer: Result<Result<(), String>>) -> Verdict {
    match (answer, Reason::of(cell)) {
        (Err(broken), _) => Verdict::Red(format!("the client broke down: {broken:#}")),
        (Ok(Ok(())), None) => Verdict::Works,
        (Ok(Ok(())), Some(reason)) => {
            Verdict::Red(format!("works, in spite of: {}", reason.text()))
        }
        (Ok(Err(_)), Some(reason)) => Verdict::Explained(reason),
        (Ok(Err(error)), None) if cell.far == Far::Direct => {
            Verdict::Red(format!("not even directly: {error}"))
        }
        (Ok(Err(error)), None) => Verdict::Red(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Near;

    const ABLE: Cell = Cell {
        kind: Kind::MySql9,
        plugin: Plugin::CachingSha2,
        client: Client::PyMySql,
        near: Near::Tls,
        far: Far::Tcp,
    };
    const UNABLE: Cell = Cell {
        client: Client::MysqlAsync,
        plugin: Plugin::Sha256,
        ..ABLE
    };

    fn is_red(cell: &Cell, answer: Result<Result<(), String>>) -> bool {
        matches!(judge(cell, answer), Verdict::Red(_))
    }

    #[test]
    fn a_cell_without_a_reason_is_green_only_when_it_works() {
        assert_eq!(judge(&ABLE, Ok(Ok(()))), Verdict::Works);
        assert!(is_red(&ABLE, Ok(Err("denied".to_owned()))));
    }

    #[test]
    fn a_cell_with_a_reason_is_red_when_it_works_after_all() {
        let refused = judge(&UNABLE, Ok(Err("denied".to_owned())));
        assert_eq!(refused, Verdict::Explained(Reason::UnknownPlugin));
        assert!(is_red(&UNABLE, Ok(Ok(()))));
    }

    #[test]
    fn a_client_that_breaks_down_is_red_whatever_was_expected() {
        for cell in [ABLE, UNABLE] {
            assert!(is_red(&cell, Err(anyhow!("the driver does not answer"))));
        }
    }

    #[test]
    fn every_reason_explains_a_cell_and_no_cell_of_ours_over_tls_but_for_the_plugin_or_the_socket()
    {
        let report = Report {
            outcomes: expected(),
            ..Report::default()
        };
        assert_eq!(report.idle_reasons(), []);
        for outcome in report.outcomes {
            if outcome.cell.far != Far::Direct && outcome.cell.near.is_encrypted() {
                let explained = matches!(
                    outcome.verdict,
                    Verdict::Works
                        | Verdict::Explained(Reason::UnknownPlugin | Reason::AgentsOwnUser)
                );
                assert!(explained, "{}", outcome.cell);
            }
        }
    }
}
