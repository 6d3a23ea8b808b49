//! The machine that follows a login, facing application and database at once.

use zeroize::Zeroizing;

use super::bridge::{Action, Bridge, DatabaseLeg};
use super::capability;
use super::greeting::Greeting;
use super::packet::{self, Packet};
use super::response::{self, HandshakeResponse, Response};
use super::rsa::RsaKey;
use crate::frame::Transport;
use crate::machine::{Face, Inputs, Machine, Step, Violation};
use crate::refusal::{Code, Refusal};

/// Longest packet of the opening exchange; attributes alone may take 64 KiB.
const MAX_PACKET: usize = 256 * 1024;
/// Most packets of an authentication phase, both ways together.
const MAX_PACKETS: u16 = 64;
const OK: u8 = 0x00;
const ERR: u8 = 0xFF;

/// What a login is judged by.
#[derive(Clone, Debug)]
pub struct LoginOptions {
    /// How the application reached us.
    pub application: Transport,
    /// How we reach the database.
    pub database: DatabaseLeg,
    /// Our own key for applications that ask a secure database for one; without it they are refused by the database.
    pub rsa_key: Option<RsaKey>,
    /// Database users that may log in; empty: any.
    pub allowed_users: Vec<String>,
    /// Schemas that may be named at login; empty: any, and none.
    pub allowed_schemas: Vec<String>,
}

/// A login that the database accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedIn {
    /// The database user.
    pub user: String,
    /// The schema named at login.
    pub schema: Option<String>,
    /// The authentication plugin that was used last.
    pub plugin: String,
    /// `CONNECTION_ID()` of the session.
    pub connection_id: u32,
}

/// How a login ended. Whatever the application is told has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The database said OK; bytes pass untouched from here.
    LoggedIn(LoggedIn),
    /// The database said no, with this error number, and the application has its words.
    RefusedByDatabase(u16),
    /// We said no, and the application has our words.
    Refused(Refusal),
}

enum State {
    /// The database speaks first.
    Greeting,
    /// The application answers.
    Response(Greeting),
    /// Plugins talk until OK or ERR.
    Authentication(Box<Authentication>),
    /// All is said.
    Over(Outcome),
}

struct Authentication {
    response: HandshakeResponse,
    connection_id: u32,
    bridge: Bridge,
}

/// Follows a login from the greeting to OK or ERR; see [`Machine`].
///
/// Each leg has its own sequence number, because what the bridge says by itself is said on one leg only.
pub struct Login {
    options: LoginOptions,
    state: State,
    application_sequence: u8,
    database_sequence: u8,
    packets: u16,
    response_seen: bool,
}

impl Login {
    /// Begins before the greeting.
    pub const fn new(options: LoginOptions) -> Self {
        Self {
            options,
            state: State::Greeting,
            application_sequence: 0,
            database_sequence: 0,
            packets: 0,
            response_seen: false,
        }
    }

    fn greeting(&mut self, payload: &[u8]) -> Result<Step<Outcome>, Violation> {
        if payload.first() == Some(&ERR) {
            self.state = State::Over(Outcome::RefusedByDatabase(error_number(payload)));
            return self.send(Face::Application, payload);
        }
        let greeting = Greeting::parse(payload)?;
        let shown = greeting.without(self.withheld(), payload);
        self.state = State::Response(greeting);
        self.send(Face::Application, &shown)
    }

    fn response(&mut self, payload: &[u8], greeting: Greeting) -> Result<Step<Outcome>, Violation> {
        self.response_seen = true;
        let response = match Response::parse(payload)? {
            Response::Login(response) => response,
            Response::TlsWanted => return self.refuse(tls_is_not_offered()),
        };
        if let Err(refusal) = self.admit(&response) {
            return self.refuse(refusal);
        }
        let plugin = response.plugin.clone().unwrap_or(greeting.plugin);
        let bridge = Bridge::new(
            self.options.database,
            matches!(self.options.application, Transport::Unix | Transport::Tls),
            self.options.rsa_key.clone(),
            plugin,
            greeting.nonce,
        );
        let connection_id = greeting.connection_id;
        let authentication = Authentication {
            response,
            connection_id,
            bridge,
        };
        self.state = State::Authentication(Box::new(authentication));
        self.send(Face::Database, &response::without(self.withheld(), payload))
    }

    /// Capabilities that neither side shall see.
    ///
    /// Compression hides commands from [`super::CommandGuard`], so restricted sessions go without.
    const fn withheld(&self) -> u32 {
        if self.options.allowed_users.is_empty() {
            capability::TLS
        } else {
            capability::TLS | capability::COMPRESSION
        }
    }

    /// Whether the grant allows this user and schema.
    fn admit(&self, response: &HandshakeResponse) -> Result<(), Refusal> {
        let users = &self.options.allowed_users;
        if !users.is_empty() && !users.iter().any(|user| user.as_bytes() == response.user) {
            return Err(Refusal::new(
                Code::NoGrant,
                "the service account's grant does not allow this database user",
                "use a user that the grant names, or ask the administrator of the CA to add it",
            ));
        }
        let schemas = &self.options.allowed_schemas;
        let named = response.schema.as_ref();
        if !schemas.is_empty()
            && named.is_some_and(|named| !schemas.iter().any(|schema| schema.as_bytes() == *named))
        {
            return Err(Refusal::new(
                Code::NoGrant,
                "the service account's grant does not allow this schema",
                "use a schema that the grant names, or ask the administrator of the CA to add it",
            ));
        }
        Ok(())
    }

    fn on_database(&mut self, payload: Vec<u8>) -> Result<Step<Outcome>, Violation> {
        let State::Authentication(authentication) = &mut self.state else {
            return Err(Violation("the database spoke out of turn"));
        };
        match payload.first() {
            Some(&OK) => {
                let response = &authentication.response;
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let logged_in = LoggedIn {
                    user: text(&response.user),
                    schema: response.schema.as_deref().map(text),
                    plugin: authentication.bridge.plugin().to_owned(),
                    connection_id: authentication.connection_id,
                };
                self.state = State::Over(Outcome::LoggedIn(logged_in));
                self.send(Face::Application, &payload)
            }
            Some(&ERR) => {
                self.state = State::Over(Outcome::RefusedByDatabase(error_number(&payload)));
                self.send(Face::Application, &payload)
            }
            _ => match authentication.bridge.on_database(payload)? {
                Action::Pass(payload) => self.send(Face::Application, &payload),
                Action::Reply(payload) => self.send(Face::Database, &payload),
            },
        }
    }

    fn on_application(&mut self, payload: Zeroizing<Vec<u8>>) -> Result<Step<Outcome>, Violation> {
        let State::Authentication(authentication) = &mut self.state else {
            return Err(Violation("the application spoke out of turn"));
        };
        match authentication.bridge.on_application(payload)? {
            Action::Pass(payload) => self.send(Face::Database, &Zeroizing::new(payload)),
            Action::Reply(payload) => self.send(Face::Application, &payload),
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> Result<Step<Outcome>, Violation> {
        let bytes = packet::error(self.application_sequence, &refusal, true);
        self.state = State::Over(Outcome::Refused(refusal));
        Ok(Step::Send(Face::Application, bytes))
    }

    fn send(&mut self, face: Face, payload: &[u8]) -> Result<Step<Outcome>, Violation> {
        let sequence = self.sequence(face);
        let bytes = packet::encode(*sequence, payload)?;
        *sequence = sequence.wrapping_add(1);
        Ok(Step::Send(face, bytes))
    }

    const fn sequence(&mut self, face: Face) -> &mut u8 {
        match face {
            Face::Application => &mut self.application_sequence,
            Face::Database => &mut self.database_sequence,
        }
    }

    /// The next whole packet of a face, with its number checked.
    fn take(
        &mut self,
        face: Face,
        input: &mut Inputs,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Violation> {
        let Some(packet) = Packet::take(input.of(face), MAX_PACKET)? else {
            return Ok(None);
        };
        let Packet { sequence, payload } = packet;
        let payload = Zeroizing::new(payload);
        self.packets = self.packets.saturating_add(1);
        if self.packets > MAX_PACKETS {
            return Err(Violation("too many packets for a login"));
        }
        let expected = self.sequence(face);
        if sequence != *expected {
            return Err(Violation("packets out of order"));
        }
        *expected = expected.wrapping_add(1);
        Ok(Some(payload))
    }
}

impl Machine for Login {
    type Outcome = Outcome;

    fn step(&mut self, input: &mut Inputs) -> Result<Step<Outcome>, Violation> {
        match std::mem::replace(&mut self.state, State::Greeting) {
            State::Greeting => match self.take(Face::Database, input)? {
                Some(payload) => self.greeting(&payload),
                None => Ok(Step::NeedInput),
            },
            State::Response(greeting) => match self.take(Face::Application, input)? {
                Some(payload) => self.response(&payload, greeting),
                None => {
                    self.state = State::Response(greeting);
                    Ok(Step::NeedInput)
                }
            },
            State::Authentication(authentication) => {
                self.state = State::Authentication(authentication);
                if let Some(payload) = self.take(Face::Database, input)? {
                    return self.on_database(payload.to_vec());
                }
                if is_early_command(&input.application) {
                    return Ok(Step::NeedInput);
                }
                match self.take(Face::Application, input)? {
                    Some(payload) => self.on_application(payload),
                    None => Ok(Step::NeedInput),
                }
            }
            State::Over(outcome) => {
                self.state = State::Over(outcome.clone());
                Ok(Step::Done(outcome))
            }
        }
    }

    fn wants(&self, face: Face) -> bool {
        match self.state {
            State::Greeting => face == Face::Database,
            State::Response(_) => face == Face::Application,
            State::Authentication(_) => true,
            State::Over(_) => false,
        }
    }

    fn max_input(&self) -> usize {
        MAX_PACKET.saturating_add(packet::HEADER)
    }

    fn farewell(&self, refusal: &Refusal) -> Vec<u8> {
        packet::error(self.application_sequence, refusal, self.response_seen)
    }
}

/// Applications may send their first command right behind their last authentication packet; it waits for OK.
fn is_early_command(input: &[u8]) -> bool {
    input.get(3) == Some(&0)
}

/// The error number of an ERR packet; 0 when it has none.
fn error_number(payload: &[u8]) -> u16 {
    payload
        .get(1..3)
        .and_then(|bytes| bytes.first_chunk::<2>())
        .map_or(0, |b| u16::from_le_bytes(*b))
}

fn tls_is_not_offered() -> Refusal {
    Refusal::new(
        Code::Protocol,
        "TLS inside the tunnel is not offered",
        "the tunnel is encrypted already: connect without TLS (ssl-mode=DISABLED or PREFERRED)",
    )
}

#[cfg(test)]
mod tests;
