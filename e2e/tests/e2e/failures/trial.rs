//! One failure put to the test.

use std::process::{Command, Output};

use e2e::clients::{Answer, Client, Runner, SqlError, Target};
use e2e::databases::Flavor;
use e2e::paths::binary;
use e2e::process::output_of;
use e2e::proxy::{Mount, Proxy};
use e2e::tally;
use e2e::world::World;
use serde_json::Value;

/// The drivers that most people use, one of each family.
const DRIVERS: [Client; 6] = [
    Client::MysqlCli,
    Client::MariadbCli,
    Client::PyMySql,
    Client::ConnectorPythonPure,
    Client::GoSqlDriver,
    Client::Mysql2,
];
/// How often each of them tries.
const ATTEMPTS: usize = 2;

/// What a failure is to look like.
pub(super) struct Failure {
    /// For reports.
    pub(super) name: &'static str,
    /// MySQL's number of the error.
    pub(super) number: u32,
    /// Its code.
    pub(super) code: &'static str,
    /// Words of the sentence.
    pub(super) says: &'static [&'static str],
    /// Where the doctor finds it.
    pub(super) rung: &'static str,
    /// Words of what it says to do.
    pub(super) fix: &'static str,
}

/// Six drivers at work.
pub(super) struct Trial {
    runners: Vec<Runner>,
    wrong: Vec<String>,
}

/// How the client is started, and the doctor.
pub(super) type Prepare<'a> = &'a dyn Fn(&mut Command);

impl Trial {
    pub(super) fn new() -> Self {
        let runners = DRIVERS.map(|client| Runner::start(client).unwrap());
        Self {
            runners: runners.into(),
            wrong: Vec::new(),
        }
    }

    /// Starts a client for `instance` and has it fail: at the drivers, in its log, at the doctor, on paper.
    pub(super) fn fails(
        &mut self,
        world: &World,
        instance: &str,
        prepare: Prepare<'_>,
        failure: &Failure,
    ) {
        let mount = Mount::tcp(&world.place, instance).unwrap();
        let target = target(&mount);
        let mut proxy = Proxy::start_in(&world.place, &[mount], prepare).unwrap();
        self.fails_at(&mut proxy, &target, failure, failure.says);
        self.is_found(instance, prepare, failure);
    }

    /// The same at a client that has started before, and without the doctor. `logged` are the words of its log.
    pub(super) fn fails_at(
        &mut self,
        proxy: &mut Proxy,
        target: &Target,
        failure: &Failure,
        logged: &[&str],
    ) {
        for (client, answers) in self.ask(target) {
            for answer in answers {
                match answer {
                    Err(error) if is_told(&error, failure) => {}
                    other => self.note(failure, format_args!("{client}: {other:?}")),
                }
            }
            tally::passed(Flavor::MySql9.name(), client.name(), failure.name).unwrap();
        }
        let log = proxy.process().log();
        let lines = |word: &str| log.lines().filter(|line| line.contains(word)).count();
        let told = lines(&format!("code={}", failure.code));
        if told != 1 || !logged.iter().all(|word| log.contains(word)) {
            self.note(
                failure,
                format_args!("told {told} times in the log:\n{log}"),
            );
        }
    }

    /// Asks all drivers side by side, each one more than once.
    pub(super) fn ask(&mut self, target: &Target) -> Vec<(Client, Vec<Answer>)> {
        let ask = |runner: &mut Runner| {
            let mut answers = Vec::new();
            for _ in 0..ATTEMPTS {
                answers.push(runner.query(target, "SELECT 42").unwrap());
            }
            (runner.client(), answers)
        };
        std::thread::scope(|scope| {
            let asked = self.runners.iter_mut();
            let asked: Vec<_> = asked
                .map(|runner| scope.spawn(move || ask(runner)))
                .collect();
            asked.into_iter().map(|one| one.join().unwrap()).collect()
        })
    }

    /// The doctor stops at the rung and prints what to do, and the code has a page.
    pub(super) fn is_found(&mut self, instance: &str, prepare: Prepare<'_>, failure: &Failure) {
        let (code, rungs) = diagnosis(instance, prepare);
        let broken = rungs.iter().find(|rung| rung["state"] == "broken");
        let found = broken.is_some_and(|rung| is_rung(rung, failure));
        if !found || code != Some(1) {
            self.note(
                failure,
                format_args!("the doctor ends with {code:?}: {rungs:#?}"),
            );
        }
        let mut explain = Command::new(binary("cloudsql-proxy").unwrap());
        let page = output_of(explain.args(["explain", failure.code])).unwrap();
        if !page.starts_with(failure.code) || !page.contains("**Fix.**") {
            self.note(failure, format_args!("no page, but {page}"));
        }
    }

    pub(super) fn note(&mut self, failure: &Failure, what: std::fmt::Arguments<'_>) {
        self.wrong.push(format!("{}: {what}", failure.name));
    }

    /// Fails with all that was noted.
    pub(super) fn end(self) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }
}

pub(super) fn target(mount: &Mount) -> Target {
    let [login, _] = Flavor::MySql9.logins();
    Target::usual(mount.address().clone(), login)
}

/// The exit code of the doctor, and its rungs.
pub(super) fn diagnosis(instance: &str, prepare: Prepare<'_>) -> (Option<i32>, Vec<Value>) {
    let mut doctor = Command::new(binary("cloudsql-proxy").unwrap());
    doctor.args(["doctor", "--json", "--instance", instance]);
    prepare(&mut doctor);
    let Output { status, stdout, .. } = doctor.output().unwrap();
    let reports: Value = serde_json::from_slice(&stdout).unwrap();
    let rungs = reports[0]["rungs"].as_array().unwrap().clone();
    (status.code(), rungs)
}

/// MariaDB's command line puts an error that comes before TLS behind words and a number of its own.
fn is_told(error: &SqlError, failure: &Failure) -> bool {
    let mut words = failure.says.iter();
    let disbelieves = error.message.contains("before completion of TLS handshake")
        && error.message.contains(&format!("{} - ", failure.number));
    (error.code == failure.number || disbelieves)
        && error.message.contains(&format!("[{}]", failure.code))
        && words.all(|word| error.message.contains(word))
}

fn is_rung(rung: &Value, failure: &Failure) -> bool {
    let text = |member: &str| rung[member].as_str().unwrap_or_default().to_owned();
    text("rung") == failure.rung
        && text("code") == failure.code
        && text("fix").contains(failure.fix)
        && failure
            .says
            .iter()
            .all(|word| text("detail").contains(word) || text("fix").contains(word))
}
