//! The database's own opening exchange, driven between the application and the database.

mod error;
mod mysql;
mod timed;
mod watched;

pub(crate) use error::LoginError;
pub(crate) use watched::{Stopped, Watched};

use proto::machine::{Inputs, Machine};
use proto::mysql::{ChangeUser, Commands, LoggedIn, LoginOptions, Outcome};
use proto::postgres::Opening;
use proto::{Engine, Refusal};
use tokio::io::{AsyncRead, AsyncWrite};
use transport::handshake::{Budget, drive_from};
use transport::tls::{ClientIdentity, DatabaseTls, LocalTls};

use crate::legs::Legs;
use crate::material::Version;

/// One side of a session: a socket or a tunnel, or TLS inside it.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// How the exchange ended well.
pub(crate) struct Opened<'a> {
    /// Where the application is spoken to from here on.
    pub(crate) app: Box<dyn Duplex + 'a>,
    /// Where the database is.
    pub(crate) db: Box<dyn Duplex + 'a>,
    /// Bytes that were read and belong to what follows.
    pub(crate) rest: Inputs,
    /// Who logged in, where the engine tells.
    pub(crate) mysql: Option<Session>,
}

/// A MySQL session that is logged in.
pub(crate) struct Session {
    options: LoginOptions,
    /// Who.
    pub(crate) logged_in: LoggedIn,
}

/// Judges whoever may show a certificate in TLS of its own.
pub(crate) trait Gate: Send + Sync {
    /// The users and schemas of its grant, or why it is not let in.
    fn admit(&self, client: Option<&ClientIdentity>)
    -> Result<(Vec<String>, Vec<String>), Refusal>;
}

/// What the exchange goes by.
pub(crate) struct Rules<'r> {
    /// What the database speaks.
    pub(crate) engine: Engine,
    /// How MySQL logins are judged.
    pub(crate) options: LoginOptions,
    /// What ends an application's own TLS, if there is any.
    pub(crate) tls: Option<LocalTls>,
    /// What ends it instead where the database is a MariaDB.
    pub(crate) tls_for_mariadb: Option<LocalTls>,
    /// Who decides about applications that are known only by that TLS.
    pub(crate) gate: Option<&'r dyn Gate>,
    /// Our own TLS to the database, if it is reached so.
    pub(crate) database_tls: Option<&'r DatabaseTls>,
    /// Where the version in the database's greeting is kept.
    pub(crate) version: &'r Version,
}

/// Runs the exchange of the engine.
pub(crate) async fn run<'a, A, D>(
    rules: Rules<'_>,
    legs: &Legs,
    (app, db): (&'a mut A, &'a mut D),
    time: &mut Budget,
) -> Result<Opened<'a>, LoginError>
where
    A: Duplex,
    D: Duplex,
{
    let mut rest = Inputs::default();
    match rules.engine {
        Engine::Mysql => {
            return mysql::run(rules, legs, (Box::new(app), Box::new(db)), time).await;
        }
        Engine::Postgres => {
            let mut opening = Opening::default();
            let ends = (&mut *app, &mut *db);
            ((), rest) = exchange(rest, &mut opening, ends, time).await?;
        }
        Engine::Tcp => {}
    }
    Ok(Opened {
        app: Box::new(app),
        db: Box::new(db),
        rest,
        mysql: None,
    })
}

impl Session {
    /// The follower of its commands, where a change of user must be found.
    pub(crate) fn commands(&self) -> Option<Commands> {
        self.options.commands(&self.logged_in)
    }

    /// Runs a change of user, whose command begins `command`. Gives back what belongs to what follows: a database that
    /// refuses the new user goes on with the old one, or ends the session by itself.
    pub(crate) async fn change_user<A, D>(
        &mut self,
        command: Vec<u8>,
        ends: (&mut A, &mut D),
        time: &mut Budget,
    ) -> Result<Inputs, LoginError>
    where
        A: Duplex,
        D: Duplex,
    {
        let mut machine = ChangeUser::new(self.options.clone(), self.logged_in.clone());
        let input = Inputs {
            application: command,
            database: Vec::new(),
        };
        let (outcome, rest) = exchange(input, &mut machine, ends, time).await?;
        if let Outcome::RefusedByDatabase(number) = outcome {
            tracing::info!(db.error = number, "the database refused a change of user");
            return Ok(rest);
        }
        self.logged_in = logged_in(outcome)?;
        Ok(rest)
    }
}

fn logged_in(outcome: Outcome) -> Result<LoggedIn, LoginError> {
    match outcome {
        Outcome::LoggedIn(logged_in) => Ok(logged_in),
        Outcome::RefusedByDatabase(number) => Err(LoginError::RefusedByDatabase(number)),
        Outcome::Refused(refusal) => Err(LoginError::Refused(refusal)),
        Outcome::StartTls | Outcome::StartDatabaseTls => Err(LoginError::NoCertificate),
    }
}

async fn exchange<M, A, D>(
    input: Inputs,
    machine: &mut M,
    (app, db): (&mut A, &mut D),
    time: &mut Budget,
) -> Result<(M::Outcome, Inputs), LoginError>
where
    M: Machine,
    A: Duplex,
    D: Duplex,
{
    drive_from(input, machine, app, db, time)
        .await
        .map_err(|source| LoginError::broken(machine, source))
}
