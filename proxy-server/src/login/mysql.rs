//! MySQL's exchange, with its pauses: TLS of the application's, and our own to the database.

use proto::machine::{Face, Inputs};
use proto::mysql::{Login, Outcome};
use tokio::time::Instant;
use transport::handshake::Budget;

use super::timed::Timed;
use super::{Duplex, LoginError, Opened, Rules, Session, exchange, logged_in};
use crate::legs::Legs;

/// Where the two ends are spoken to now, and what was read from them.
struct Ends<'a> {
    app: Box<dyn Duplex + 'a>,
    db: Box<dyn Duplex + 'a>,
    rest: Inputs,
    /// The application speaks TLS of its own: only there it can be told anything.
    inside: bool,
}

/// Runs it. Where the application spoke TLS of its own, it has been told what went wrong.
pub(super) async fn run<'a>(
    rules: Rules<'_>,
    legs: &Legs,
    (app, db): (Box<dyn Duplex + 'a>, Box<dyn Duplex + 'a>),
    time: &mut Budget,
) -> Result<Opened<'a>, LoginError> {
    let login = match rules.gate {
        Some(_) => Login::anonymous(rules.options.clone()),
        None => Login::new(rules.options.clone()),
    };
    let mut login = Timed::new(login, legs);
    let mut ends = Ends {
        app,
        db,
        rest: Inputs::default(),
        inside: false,
    };
    loop {
        let outcome = match step(&rules, &mut login, &mut ends, time).await {
            Ok(outcome) => outcome,
            Err(error) if ends.inside => return Err(error.told_to(&mut ends.app).await),
            Err(error) => return Err(error),
        };
        ends = match outcome {
            Outcome::StartTls => application_tls(&rules, &mut login.login, ends, time).await?,
            Outcome::StartDatabaseTls => database_tls(&rules, &login.login, ends, time).await?,
            outcome => {
                login.ended();
                let options = login.login.options().clone();
                return match logged_in(outcome) {
                    Ok(logged_in) => Ok(Opened {
                        app: ends.app,
                        db: ends.db,
                        rest: ends.rest,
                        mysql: Some(Session { options, logged_in }),
                    }),
                    Err(error) if ends.inside => Err(error.told_to(&mut ends.app).await),
                    Err(error) => Err(error),
                };
            }
        };
    }
}

async fn step(
    rules: &Rules<'_>,
    login: &mut Timed<'_>,
    ends: &mut Ends<'_>,
    time: &mut Budget,
) -> Result<Outcome, LoginError> {
    let rest = std::mem::take(&mut ends.rest);
    let ended = exchange(rest, login, (&mut ends.app, &mut ends.db), time).await;
    let greeted = login.login.version();
    if let Some(version) = greeted {
        rules.version.note(version);
    }
    let (outcome, rest) = ended.map_err(|error| error.after_greeting(greeted.is_some()))?;
    ends.rest = rest;
    Ok(outcome)
}

/// Whatever came behind the request is TLS's: it was never encrypted, so it must not count as if it had been.
async fn application_tls<'a>(
    rules: &Rules<'_>,
    login: &mut Login,
    ends: Ends<'a>,
    time: &mut Budget,
) -> Result<Ends<'a>, LoginError> {
    let for_mariadb = rules.tls_for_mariadb.as_ref();
    let tls = for_mariadb
        .filter(|_| is_mariadb(login))
        .or(rules.tls.as_ref());
    let tls = tls.ok_or(LoginError::NoCertificate)?;
    let Ends { app, db, rest, .. } = ends;
    let begun = Instant::now();
    let deadline = time.deadline(Face::Application);
    let app = tls.accept(app, rest.application, deadline).await?;
    time.spend(Face::Application, begun);
    if let Some(gate) = rules.gate {
        login.identified(gate.admit(app.client()));
    }
    Ok(Ends {
        app: Box::new(app),
        db,
        rest: Inputs {
            application: Vec::new(),
            database: rest.database,
        },
        inside: true,
    })
}

/// MariaDB says so in its version: `11.8.6-MariaDB-...`, before 11.0 behind `5.5.5-`.
fn is_mariadb(login: &Login) -> bool {
    let names_it = |version: &[u8]| version.windows(7).any(|part| part == b"MariaDB");
    login.version().is_some_and(names_it)
}

async fn database_tls<'a>(
    rules: &Rules<'_>,
    login: &Login,
    ends: Ends<'a>,
    time: &mut Budget,
) -> Result<Ends<'a>, LoginError> {
    let tls = rules.database_tls.ok_or(LoginError::NoCertificate)?;
    let Ends {
        mut app,
        db,
        rest,
        inside,
    } = ends;
    let begun = Instant::now();
    let connected = tls.connect(db, time.deadline(Face::Database)).await;
    time.spend(Face::Database, begun);
    match connected {
        Ok(db) => Ok(Ends {
            app,
            db: Box::new(db),
            rest,
            inside,
        }),
        Err(source) => {
            let error = LoginError::database_tls(login, source);
            Err(if inside {
                error.told_to(&mut app).await
            } else {
                error
            })
        }
    }
}
