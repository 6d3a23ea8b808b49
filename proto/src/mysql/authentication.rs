//! The authentication phase: plugins talk until OK or ERR, at login and when the user is changed.

use zeroize::Zeroizing;

use super::bridge::{Action, Bridge};
use super::legs::Legs;
use super::login::{LoggedIn, Outcome};
use super::packet::ERR;
use crate::machine::{Face, Inputs, Step, Violation};
use crate::refusal::Refusal;

const OK: u8 = 0x00;

/// Whoever logs in, and the bridge between the two legs.
pub(super) struct Authentication {
    /// What is known once it succeeds; the plugin is the bridge's.
    login: LoggedIn,
    bridge: Bridge,
    /// The application's first command is here already.
    holds_command: bool,
}

/// What is next in the phase.
pub(super) enum Turn {
    /// Goes on.
    Next(Step<Outcome>),
    /// These are its last bytes, for the application, and this is how it ended.
    Last(Vec<u8>, Outcome),
}

impl Authentication {
    pub(super) const fn new(login: LoggedIn, bridge: Bridge) -> Self {
        Self {
            login,
            bridge,
            holds_command: false,
        }
    }

    /// See [`crate::machine::Machine::wants`]. A command that came early waits for OK, and what is behind it in the
    /// application's socket.
    pub(super) const fn wants(&self, face: Face) -> bool {
        matches!(face, Face::Database) || !self.holds_command
    }

    /// Takes a packet of the database first: it may end the phase.
    pub(super) fn step(&mut self, legs: &mut Legs, input: &mut Inputs) -> Result<Turn, Violation> {
        if let Some(payload) = legs.take(Face::Database, input)? {
            return self.on_database(legs, payload.to_vec());
        }
        self.holds_command = is_early_command(&input.application);
        if self.holds_command {
            return Ok(Turn::Next(Step::NeedInput));
        }
        match legs.take(Face::Application, input)? {
            Some(payload) => self.on_application(legs, payload),
            None => Ok(Turn::Next(Step::NeedInput)),
        }
    }

    fn on_database(&mut self, legs: &mut Legs, payload: Vec<u8>) -> Result<Turn, Violation> {
        let outcome = match payload.first() {
            Some(&OK) => {
                let plugin = self.bridge.plugin().to_owned();
                Outcome::LoggedIn(LoggedIn {
                    plugin,
                    ..self.login.clone()
                })
            }
            Some(&ERR) => Outcome::RefusedByDatabase(error_number(&payload)),
            _ => {
                let (face, payload) = match self.bridge.on_database(payload)? {
                    Action::Pass(payload) => (Face::Application, payload),
                    Action::Reply(payload) => (Face::Database, payload),
                    Action::Refuse(refusal) => return Ok(refused(legs, refusal)),
                };
                return Ok(Turn::Next(Step::Send(face, legs.encode(face, &payload)?)));
            }
        };
        Ok(Turn::Last(
            legs.encode(Face::Application, &payload)?,
            outcome,
        ))
    }

    fn on_application(
        &mut self,
        legs: &mut Legs,
        payload: Zeroizing<Vec<u8>>,
    ) -> Result<Turn, Violation> {
        let (face, payload) = match self.bridge.on_application(payload)? {
            Action::Pass(payload) => (Face::Database, Zeroizing::new(payload)),
            Action::Reply(payload) => (Face::Application, Zeroizing::new(payload)),
            Action::Refuse(refusal) => return Ok(refused(legs, refusal)),
        };
        Ok(Turn::Next(Step::Send(face, legs.encode(face, &payload)?)))
    }
}

fn refused(legs: &Legs, refusal: Refusal) -> Turn {
    Turn::Last(legs.error(&refusal, true), Outcome::Refused(refusal))
}

/// Applications may send their first command right behind their last authentication packet; it waits for OK.
fn is_early_command(input: &[u8]) -> bool {
    input.get(3) == Some(&0)
}

/// The error number of an ERR packet; 0 when it has none.
pub(super) fn error_number(payload: &[u8]) -> u16 {
    let number = payload.get(1..3).and_then(<[u8]>::first_chunk::<2>);
    number.map_or(0, |bytes| u16::from_le_bytes(*bytes))
}
