//! Saying no where nobody has greeted the application yet: a greeting of our own, TLS if it is asked for, then ERR.
//!
//! An ERR packet instead of a greeting is shown by every client over plain TCP, but clients that insist on TLS drop its
//! text or doubt it. Behind a handshake all of them show it (measured with 13).

use super::capability;
use super::legs::{Legs, MAX_INPUT};
use super::response::Response;
use crate::machine::{Face, Inputs, Machine, Step, Violation};
use crate::refusal::Refusal;

/// The version in the greeting when the database's own is not known.
const NEUTRAL_VERSION: &[u8] = b"8.4.0-cloudsql-proxy-server";
/// What is offered: all that MySQL 9 and MariaDB offer alike but compression and several factors, so that every client
/// finds what it insists on.
const OFFERED: u32 = 0x01FF_F7DF & !capability::TLS & !capability::COMPRESSION;
/// Every client knows it, or answers in spite of it.
const PLUGIN: &[u8] = b"mysql_native_password";
/// utf8mb4_general_ci.
const CHARACTER_SET: u8 = 45;
/// `SERVER_STATUS_AUTOCOMMIT`.
const STATUS: [u8; 2] = [2, 0];
/// Bytes of the nonce and the NUL behind it.
const AUTH_DATA: u8 = 21;

/// How it ended, or paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The application's TLS begins here, as in [`super::Outcome::StartTls`].
    StartTls,
    /// The application has been told.
    Told,
}

enum State {
    Greeting,
    Response,
    Over,
}

/// Follows an application that is refused, from a greeting of ours to ERR; see [`Machine`]. There is no database.
pub struct Refusing {
    refusal: Refusal,
    version: Option<Vec<u8>>,
    nonce: [u8; 20],
    offers_tls: bool,
    state: State,
    legs: Legs,
}

impl Refusing {
    /// Begins before the greeting. `version` is the one that the database last had in its own; `nonce` is random: it
    /// keeps what clients make of their passwords from being of use to anybody.
    pub const fn new(
        refusal: Refusal,
        version: Option<Vec<u8>>,
        nonce: [u8; 20],
        offers_tls: bool,
    ) -> Self {
        Self {
            refusal,
            version,
            nonce,
            offers_tls,
            state: State::Greeting,
            legs: Legs::new(),
        }
    }

    fn greeting(&self) -> Vec<u8> {
        let version = self.version.as_deref().unwrap_or(NEUTRAL_VERSION);
        let tls = if self.offers_tls { capability::SSL } else { 0 };
        let [a, b, c, d] = (OFFERED | tls).to_le_bytes();
        // A NUL would end the nonce early: clients read it as text.
        let nonce = self.nonce.map(|byte| (byte & 0x7F).max(1));
        let (first, second) = nonce.split_at(8);
        [
            &[10],
            version,
            &[0],
            &[0; 4],
            first,
            &[0, a, b, CHARACTER_SET],
            &STATUS,
            &[c, d, AUTH_DATA],
            &[0; 10],
            second,
            &[0],
            PLUGIN,
            &[0],
        ]
        .concat()
    }

    fn response(&mut self, payload: &[u8]) -> Result<Step<Refused>, Violation> {
        if let (Response::TlsWanted(_), true) = (Response::parse(payload)?, self.offers_tls) {
            // Once is enough: inside TLS it is not offered again.
            self.offers_tls = false;
            return Ok(Step::Done(Refused::StartTls));
        }
        self.state = State::Over;
        let words = self.legs.error(&self.refusal, true);
        Ok(Step::Send(Face::Application, words))
    }
}

impl Machine for Refusing {
    type Outcome = Refused;

    fn step(&mut self, input: &mut Inputs) -> Result<Step<Refused>, Violation> {
        match self.state {
            State::Greeting => {
                self.state = State::Response;
                let greeting = self.greeting();
                let bytes = self.legs.encode(Face::Application, &greeting)?;
                Ok(Step::Send(Face::Application, bytes))
            }
            State::Response => match self.legs.take(Face::Application, input)? {
                Some(payload) => self.response(&payload),
                None => Ok(Step::NeedInput),
            },
            State::Over => Ok(Step::Done(Refused::Told)),
        }
    }

    fn wants(&self, face: Face) -> bool {
        matches!((&self.state, face), (State::Response, Face::Application))
    }

    fn max_input(&self) -> usize {
        MAX_INPUT
    }

    fn farewell(&self, refusal: &Refusal) -> Vec<u8> {
        self.legs.error(refusal, self.legs.application_has_spoken())
    }
}

#[cfg(test)]
mod tests;
