//! The database's own opening exchange, driven between the application and the database.

mod guarded;

pub(crate) use guarded::Guarded;

use proto::frame::{Hello, Transport};
use proto::machine::{Face, Inputs, Machine};
use proto::mysql::{DatabaseLeg, LoggedIn, Login, LoginOptions, Outcome, RsaKey};
use proto::postgres::Opening;
use proto::{Code, Engine, Refusal};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use transport::handshake::{HandshakeError, drive};

use crate::admission::Admitted;
use crate::backend::Database;

/// How the exchange ended well.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Bytes that were read and belong to what follows.
    pub(crate) rest: Inputs,
    /// Who logged in, where the engine tells.
    pub(crate) logged_in: Option<LoggedIn>,
}

/// How it ended otherwise.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    /// The database said no, and the application has its words.
    #[error("the database refused the login with error {0}")]
    RefusedByDatabase(u16),
    /// We said no, and the application has our words.
    #[error("the login was refused")]
    Refused(#[source] Refusal),
    /// It broke off.
    #[error("the login broke off")]
    Handshake {
        /// How.
        source: HandshakeError,
        /// What is left to say to the application, in its protocol.
        farewell: Vec<u8>,
    },
}

impl LoginError {
    /// What the application has not been told yet.
    pub(crate) fn farewell(&self) -> &[u8] {
        match self {
            Self::RefusedByDatabase(_) | Self::Refused(_) => &[],
            Self::Handshake { farewell, .. } => farewell,
        }
    }

    /// The refusal that the application is told, or was.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::RefusedByDatabase(_) => None,
            Self::Refused(refusal) => Some(refusal.clone()),
            Self::Handshake { source, .. } => refusal(source),
        }
    }
}

/// Runs the exchange of the engine.
pub(crate) async fn run<A, D>(
    admitted: &Admitted,
    hello: Option<&Hello>,
    place: &Database,
    rsa_key: Option<RsaKey>,
    (app, db): (&mut A, &mut D),
    deadline: Instant,
) -> Result<Opened, LoginError>
where
    A: AsyncRead + AsyncWrite + Unpin,
    D: AsyncRead + AsyncWrite + Unpin,
{
    match admitted.engine {
        Engine::Mysql => {
            let mut login = Login::new(options(admitted, hello, place, rsa_key));
            let (outcome, rest) = drive_to_end(&mut login, app, db, deadline).await?;
            match outcome {
                Outcome::LoggedIn(logged_in) => Ok(Opened {
                    rest,
                    logged_in: Some(logged_in),
                }),
                Outcome::RefusedByDatabase(number) => Err(LoginError::RefusedByDatabase(number)),
                Outcome::Refused(refusal) => Err(LoginError::Refused(refusal)),
            }
        }
        Engine::Postgres => {
            let ((), rest) = drive_to_end(&mut Opening::default(), app, db, deadline).await?;
            Ok(Opened {
                rest,
                logged_in: None,
            })
        }
        Engine::Tcp => Ok(Opened {
            rest: Inputs::default(),
            logged_in: None,
        }),
    }
}

/// A bare peer does not say how its application reached it, but what it reached us by is TLS, and the drivers inside
/// Google's connectors that look at their socket see just that.
fn options(
    admitted: &Admitted,
    hello: Option<&Hello>,
    place: &Database,
    rsa_key: Option<RsaKey>,
) -> LoginOptions {
    LoginOptions {
        application: hello.map_or(Transport::Tls, |hello| hello.transport),
        database: match place {
            Database::Unix(_) => DatabaseLeg::Unix,
            Database::Tcp { .. } => DatabaseLeg::Plain,
        },
        rsa_key,
        allowed_users: admitted.grant.db_users.clone(),
        allowed_schemas: admitted.grant.schemas.clone(),
    }
}

async fn drive_to_end<M, A, D>(
    machine: &mut M,
    app: &mut A,
    db: &mut D,
    deadline: Instant,
) -> Result<(M::Outcome, Inputs), LoginError>
where
    M: Machine,
    A: AsyncRead + AsyncWrite + Unpin,
    D: AsyncRead + AsyncWrite + Unpin,
{
    drive(machine, app, db, deadline).await.map_err(|source| {
        let farewell = refusal(&source)
            .map(|refusal| machine.farewell(&refusal))
            .unwrap_or_default();
        LoginError::Handshake { source, farewell }
    })
}

/// What the application is told of a broken exchange; nothing when the application itself is gone.
fn refusal(error: &HandshakeError) -> Option<Refusal> {
    let refusal = |code, reason: &str, hint: &str| Some(Refusal::new(code, reason, hint));
    match error {
        HandshakeError::Closed(Face::Application) | HandshakeError::Io(Face::Application, _) => {
            None
        }
        HandshakeError::Closed(Face::Database) | HandshakeError::Io(Face::Database, _) => refusal(
            Code::DatabaseUnreachable,
            "the database ended the connection during the login",
            "check the database's log on its host",
        ),
        HandshakeError::Violation(violation) => refusal(
            Code::Protocol,
            violation.0,
            "check that the application speaks the database's protocol",
        ),
        HandshakeError::Deadline => refusal(
            Code::Deadline,
            "the login took too long",
            "log in right after connecting, and check the load of the database",
        ),
    }
}
