//! What tests of many clients have in common: the clients, what they ask, and what is noted of their answers.

use std::fmt::Display;

use e2e::clients::{Answer, Client, Login};
use e2e::databases::{PASSWORD, SCHEMA};

/// The clients that the acceptance list names most often.
pub(super) const USUAL: [Client; 6] = [
    Client::MysqlCli,
    Client::MariadbCli11,
    Client::PyMySql,
    Client::Mysql2,
    Client::PhpMysqli,
    Client::ConnectorJ,
];

/// What [`is_user`] reads.
pub(super) const SHOW_USER: &str = "SELECT CURRENT_USER()";

/// The clients that can be told to insist on TLS: DBD::mysql, as Debian builds it, cannot.
pub(super) fn with_tls() -> impl Iterator<Item = Client> {
    let insists = |client: &Client| *client != Client::PerlMysql;
    Client::ALL.into_iter().filter(insists)
}

/// The account that every database has.
pub(super) fn app() -> Login {
    Login::new("app", PASSWORD, SCHEMA)
}

/// Fails unless the answer is the account that is logged in.
pub(super) fn is_user(answer: Answer, user: &str, check: &str) {
    let mut failures = Failures::default();
    failures.unless_user(answer, user, check);
    failures.none();
}

/// What went wrong in a test of many clients: all of it is told.
#[derive(Default)]
pub(super) struct Failures(Vec<String>);

impl Failures {
    /// Notes what is said unless it holds.
    pub(super) fn unless(&mut self, holds: bool, what: impl Display) {
        if !holds {
            self.0.push(what.to_string());
        }
    }

    /// Notes an answer other than the account that is logged in.
    pub(super) fn unless_user(&mut self, answer: Answer, user: &str, check: &str) {
        let expected = [[Some(format!("{user}@%"))]];
        let holds = answer.as_ref().is_ok_and(|rows| *rows == expected);
        self.unless(holds, format_args!("{check}: {answer:?}"));
    }

    /// Fails with all that was noted.
    pub(super) fn none(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}
