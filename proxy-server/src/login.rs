//! The database's own opening exchange, driven between the application and the database.

mod error;
mod watched;

pub(crate) use error::LoginError;
pub(crate) use watched::Watched;

use proto::Engine;
use proto::machine::{Inputs, Machine};
use proto::mysql::{ChangeUser, LoggedIn, Login, LoginOptions, Outcome};
use proto::postgres::Opening;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use transport::handshake::drive_from;
use transport::tls::LocalTls;

/// An application's side of a session: what it reached us by, or its own TLS inside that.
pub(crate) trait Application: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Application for S {}

/// How the exchange ended well.
pub(crate) struct Opened<'a> {
    /// Where the application is spoken to from here on.
    pub(crate) app: Box<dyn Application + 'a>,
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

/// What the exchange goes by.
pub(crate) struct Rules {
    /// What the database speaks.
    pub(crate) engine: Engine,
    /// How MySQL logins are judged.
    pub(crate) options: LoginOptions,
    /// What ends an application's own TLS, if there is any.
    pub(crate) tls: Option<LocalTls>,
}

/// Runs the exchange of the engine.
pub(crate) async fn run<'a, A, D>(
    rules: Rules,
    (app, db): (&'a mut A, &mut D),
    deadline: Instant,
) -> Result<Opened<'a>, LoginError>
where
    A: AsyncRead + AsyncWrite + Unpin + Send,
    D: AsyncRead + AsyncWrite + Unpin,
{
    let plain = |app: &'a mut A, rest| Opened {
        app: Box::new(app),
        rest,
        mysql: None,
    };
    match rules.engine {
        Engine::Mysql => mysql(rules, app, db, deadline).await,
        Engine::Postgres => {
            let mut opening = Opening::default();
            let ends = (&mut *app, db);
            let ((), rest) = exchange(Inputs::default(), &mut opening, ends, deadline).await?;
            Ok(plain(app, rest))
        }
        Engine::Tcp => Ok(plain(app, Inputs::default())),
    }
}

async fn mysql<'a, A, D>(
    rules: Rules,
    app: &'a mut A,
    db: &mut D,
    deadline: Instant,
) -> Result<Opened<'a>, LoginError>
where
    A: AsyncRead + AsyncWrite + Unpin + Send,
    D: AsyncRead + AsyncWrite + Unpin,
{
    let Rules { options, tls, .. } = rules;
    let mut login = Login::new(options.clone());
    let none = Inputs::default();
    let (outcome, rest) = exchange(none, &mut login, (&mut *app, &mut *db), deadline).await?;
    if outcome != Outcome::StartTls {
        let logged_in = logged_in(outcome)?;
        return Ok(Opened {
            app: Box::new(app),
            rest,
            mysql: Some(Session { options, logged_in }),
        });
    }
    // Whatever came behind the request is TLS's: it was never encrypted, so it must not count as if it had been.
    let tls = tls.ok_or(LoginError::NoCertificate)?;
    let mut app = tls.accept(app, rest.application, deadline).await?;
    let rest = Inputs {
        application: Vec::new(),
        database: rest.database,
    };
    let (outcome, rest) = match exchange(rest, &mut login, (&mut app, db), deadline).await {
        Ok(ended) => ended,
        Err(error) => return Err(error.told_to(&mut app).await),
    };
    match logged_in(outcome) {
        Ok(logged_in) => Ok(Opened {
            app: Box::new(app),
            rest,
            mysql: Some(Session { options, logged_in }),
        }),
        Err(error) => Err(error.told_to(&mut app).await),
    }
}

impl Session {
    /// Whether its commands must be watched for a change of user.
    pub(crate) fn is_watched(&self) -> bool {
        self.options.watches(&self.logged_in)
    }

    /// Runs a change of user, whose command begins `command`. Gives back what belongs to what follows.
    pub(crate) async fn change_user<A, D>(
        &mut self,
        command: Vec<u8>,
        ends: (&mut A, &mut D),
        deadline: Instant,
    ) -> Result<Inputs, LoginError>
    where
        A: AsyncRead + AsyncWrite + Unpin,
        D: AsyncRead + AsyncWrite + Unpin,
    {
        let mut machine = ChangeUser::new(self.options.clone(), self.logged_in.clone());
        let input = Inputs {
            application: command,
            database: Vec::new(),
        };
        let (outcome, rest) = exchange(input, &mut machine, ends, deadline).await?;
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
    deadline: Instant,
) -> Result<(M::Outcome, Inputs), LoginError>
where
    M: Machine,
    A: AsyncRead + AsyncWrite + Unpin,
    D: AsyncRead + AsyncWrite + Unpin,
{
    drive_from(input, machine, app, db, deadline)
        .await
        .map_err(|source| LoginError::broken(machine, source))
}
