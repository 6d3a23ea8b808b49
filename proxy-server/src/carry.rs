//! A session after its login: bytes both ways, with a stop for each change of user.

use proto::machine::{Face, Inputs};
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;
use transport::handshake::Budget;
use transport::tunnel::{Ended, Limits, copy};

use crate::login::{Duplex, LoginError, Opened, Session, Stopped, Watched};

/// What bounds a session.
pub(crate) struct Bounds<'a> {
    /// Of the tunnel.
    pub(crate) limits: Limits,
    /// Of a change of user.
    pub(crate) login: Budget,
    /// Ends all tunnels.
    pub(crate) cut: &'a CancellationToken,
}

/// Carries bytes until the session ends. Where a change of user fails, the application has been told.
pub(crate) async fn run(opened: Box<Opened<'_>>, bounds: &Bounds<'_>) -> Result<Ended, LoginError> {
    let Opened {
        mut app,
        mut db,
        mut rest,
        mysql,
    } = *opened;
    let followed = mysql.and_then(|session| Some((session.commands()?, session)));
    match followed {
        Some((commands, session)) => {
            let early = std::mem::take(&mut rest.application);
            let app = Watched::new(&mut app, Some(commands), early);
            Box::pin(watched(session, app, &mut db, rest, bounds)).await
        }
        None => Ok(copy(&mut app, &mut db, rest, &bounds.limits, bounds.cut).await),
    }
}

async fn watched(
    mut session: Session,
    mut app: Watched<'_, Box<dyn Duplex + '_>>,
    database: &mut Box<dyn Duplex + '_>,
    mut rest: Inputs,
    bounds: &Bounds<'_>,
) -> Result<Ended, LoginError> {
    let from_database = |bytes| Inputs {
        application: Vec::new(),
        database: bytes,
    };
    let (mut up, mut down) = (0_u64, 0_u64);
    loop {
        let mut ended = copy(&mut app, database, rest, &bounds.limits, bounds.cut).await;
        (up, down) = (up.saturating_add(ended.up), down.saturating_add(ended.down));
        (ended.up, ended.down) = (up, down);
        let (command, stream) = match app.stopped() {
            None => return Ok(ended),
            Some(Stopped::OutOfStep(number, stream)) => {
                return Err(LoginError::out_of_step(number).told_to(stream).await);
            }
            Some(Stopped::ChangeOfUser(command, stream)) => (command, stream),
        };
        let mut time = bounds.login;
        let deadline = time.deadline(Face::Application);
        let unsent = &ended.unsent.database;
        if tokio::time::timeout_at(deadline, stream.write_all(unsent))
            .await
            .is_err()
        {
            return Ok(ended);
        }
        let left = match session
            .change_user(command, (&mut *stream, database), &mut time)
            .await
        {
            Ok(left) => left,
            Err(error) => return Err(error.told_to(stream).await),
        };
        app.go_on(session.commands(), left.application);
        rest = from_database(left.database);
    }
}
