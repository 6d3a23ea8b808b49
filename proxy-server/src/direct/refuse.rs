//! Saying no where the database has not greeted: behind a greeting of our own, inside TLS if it is asked for.

use std::time::Duration;

use proto::machine::{Inputs, Machine as _};
use proto::mysql::{InnerTls, Refused, Refusing};
use proto::{Code, Engine, Refusal};
use tokio::time::Instant;
use transport::handshake::{Budget, HandshakeError, drive_from};
use transport::socket::Socket;
use transport::tls::LocalTls;

use super::Direct;
use crate::login::Duplex;
use crate::refuse::say_and_close;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// Says no and closes.
pub(super) async fn refuse(direct: &Direct, socket: &mut Socket, refusal: &Refusal) {
    let deadline = Instant::now() + PATIENCE;
    let off = direct.config.tls == InnerTls::Off;
    let tls = direct.instance.local_tls().filter(|_| !off);
    if tls.is_none() && !off {
        // A greeting without TLS would make clients that insist on it complain of that.
        say_and_close(socket, &refusal.greeting(Engine::Mysql)).await;
        return;
    }
    let version = direct.instance.version.last();
    let mut machine = Refusing::new(refusal.clone(), version, nonce(), tls.is_some());
    let Some(inner) = play(&mut machine, Inputs::default(), socket, deadline).await else {
        return;
    };
    let accepted = match tls {
        Some(tls) => inside(&tls, inner, socket, deadline).await,
        None => None,
    };
    if let Some(mut stream) = accepted {
        play(&mut machine, Inputs::default(), &mut stream, deadline).await;
    }
}

/// Until the client has been told, and its connection closed; or until its TLS begins, with what it has sent of that.
async fn play<S: Duplex>(
    machine: &mut Refusing,
    inputs: Inputs,
    app: &mut S,
    deadline: Instant,
) -> Option<Vec<u8>> {
    let left = deadline.saturating_duration_since(Instant::now());
    let mut time = Budget::of_each(left);
    match drive_from(inputs, machine, app, &mut tokio::io::empty(), &mut time).await {
        Ok((Refused::StartTls, rest)) => Some(rest.application),
        Ok((Refused::Told, _)) => {
            say_and_close(app, &[]).await;
            None
        }
        Err(error) => {
            say_and_close(app, &farewell(machine, &error)).await;
            None
        }
    }
}

fn farewell(machine: &Refusing, error: &HandshakeError) -> Vec<u8> {
    let HandshakeError::Violation(violation) = error else {
        return Vec::new();
    };
    machine.farewell(&Refusal::new(
        Code::Protocol,
        violation.0,
        "check that the application speaks the database's protocol",
    ))
}

async fn inside<'a>(
    tls: &LocalTls,
    first: Vec<u8>,
    socket: &'a mut Socket,
    deadline: Instant,
) -> Option<impl Duplex + use<'a>> {
    match tls.accept(socket, first, deadline).await {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::debug!(
                error = transport::error::chain(&error),
                "a refused client's TLS failed"
            );
            None
        }
    }
}

/// A constant one is better than none: nobody logs in by it.
fn nonce() -> [u8; 20] {
    let mut nonce = [0x2A; 20];
    if aws_lc_rs::rand::fill(&mut nonce).is_err() {
        tracing::debug!("the system gives no randomness");
    }
    nonce
}
