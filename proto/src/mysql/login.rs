//! The machine that follows a login, facing application and database at once.

mod options;
mod outcome;

use zeroize::Zeroizing;

use super::authentication::{Authentication, Turn, error_number};
use super::bridge::DatabaseLeg;
use super::capability;
use super::greeting::Greeting;
use super::legs::{Legs, MAX_INPUT};
use super::packet::ERR;
use super::response::{self, HandshakeResponse, Response, SslRequest};
use crate::frame::Transport;
use crate::machine::{Face, Inputs, Machine, Step, Violation};
use crate::refusal::Refusal;

pub use options::{InnerTls, LoginOptions, UnknownInnerTls};
use options::{
    compression_hides_commands, database_lacks_tls, tls_is_not_offered, tls_is_required,
};
pub use outcome::{LoggedIn, Outcome};

enum State {
    /// The database speaks first.
    Greeting,
    /// The application answers.
    Response(Greeting),
    /// The application has asked for TLS with this front of its response, and answers inside it.
    ResponseInTls(Greeting, SslRequest),
    /// The database has been asked for TLS; the response waits for it. The second time it is there.
    DatabaseTls(Box<Authentication>, Zeroizing<Vec<u8>>, bool),
    /// Plugins talk until OK or ERR.
    Authentication(Box<Authentication>),
    /// All is said.
    Over(Outcome),
}

/// Follows a login from the greeting to OK or ERR; see [`Machine`].
pub struct Login {
    options: LoginOptions,
    state: State,
    legs: Legs,
    /// Users may be named by whom the application's TLS speaks for.
    narrowed_later: bool,
    /// Why whoever speaks inside the application's TLS is not let in.
    unwelcome: Option<Refusal>,
    version: Option<Vec<u8>>,
}

impl Login {
    /// Begins before the greeting.
    pub fn new(options: LoginOptions) -> Self {
        Self {
            options,
            state: State::Greeting,
            legs: Legs::default(),
            narrowed_later: false,
            unwelcome: None,
            version: None,
        }
    }

    /// Begins before the greeting, where the application's TLS may tell who it is: [`Login::identified`] comes before
    /// the step inside that TLS.
    pub fn anonymous(options: LoginOptions) -> Self {
        Self {
            narrowed_later: true,
            ..Self::new(options)
        }
    }

    /// What was found out inside the application's TLS: the users and schemas of its grant, or why it is not let in.
    pub fn identified(&mut self, terms: Result<(Vec<String>, Vec<String>), Refusal>) {
        match terms {
            Ok((users, schemas)) => {
                self.options.allowed_users = users;
                self.options.allowed_schemas = schemas;
            }
            Err(refusal) => self.unwelcome = Some(refusal),
        }
    }

    /// What the login is judged by now.
    pub const fn options(&self) -> &LoginOptions {
        &self.options
    }

    /// The version in the database's greeting; the application has heard nothing as long as there is none.
    pub fn version(&self) -> Option<&[u8]> {
        self.version.as_deref()
    }

    fn greeting(&mut self, payload: &[u8]) -> Result<Step<Outcome>, Violation> {
        if payload.first() == Some(&ERR) {
            self.state = State::Over(Outcome::RefusedByDatabase(error_number(payload)));
            return self.send(Face::Application, payload);
        }
        let greeting = Greeting::parse(payload)?;
        let offered = match self.options.inner_tls {
            InnerTls::Off => 0,
            InnerTls::Allow | InnerTls::Require => capability::SSL,
        };
        self.version = Some(greeting.version(payload).to_vec());
        let withheld = self.options.withheld(self.narrowed_later);
        let shown = greeting.shown(withheld, offered, payload);
        self.state = State::Response(greeting);
        self.send(Face::Application, &shown)
    }

    fn response(&mut self, payload: &[u8], greeting: Greeting) -> Result<Step<Outcome>, Violation> {
        match (Response::parse(payload)?, self.options.inner_tls) {
            (Response::TlsWanted(_), InnerTls::Off) => Ok(self.refuse(tls_is_not_offered())),
            (Response::TlsWanted(request), InnerTls::Allow | InnerTls::Require) => {
                self.state = State::ResponseInTls(greeting, request);
                Ok(Step::Done(Outcome::StartTls))
            }
            (Response::Login(_), InnerTls::Require) => Ok(self.refuse(tls_is_required())),
            (Response::Login(response), InnerTls::Off | InnerTls::Allow) => {
                self.login(payload, &response, greeting)
            }
        }
    }

    /// The response inside TLS: the capabilities that count are those of the request for TLS.
    fn response_in_tls(
        &mut self,
        payload: &[u8],
        greeting: Greeting,
        request: &SslRequest,
    ) -> Result<Step<Outcome>, Violation> {
        self.options.application = Transport::Tls;
        let payload = request.front_of(payload, greeting.is_mariadb())?;
        match Response::parse(&payload)? {
            Response::Login(response) => match self.unwelcome.take() {
                Some(refusal) => Ok(self.refuse(refusal)),
                None => self.login(&payload, &response, greeting),
            },
            Response::TlsWanted(_) => Err(Violation("the application asks for TLS inside TLS")),
        }
    }

    fn login(
        &mut self,
        payload: &[u8],
        response: &HandshakeResponse,
        greeting: Greeting,
    ) -> Result<Step<Outcome>, Violation> {
        if let Err(refusal) = self
            .options
            .admit(&response.user, response.schema.as_deref())
        {
            return Ok(self.refuse(refusal));
        }
        let to_tls = self.options.database == DatabaseLeg::Tls;
        if to_tls && !greeting.offers_tls() {
            return Ok(self.refuse(database_lacks_tls()));
        }
        // An application that insists on compression begins with it, offered or not.
        let compressed = response.capabilities & capability::COMPRESSION != 0;
        if compressed && self.options.is_restricted() {
            return Ok(self.refuse(compression_hides_commands()));
        }
        let withheld = capability::TLS | self.options.unfollowed();
        let asks_anew = response.is_by_sha256() && !self.options.takes_sha256();
        let plugin = response.plugin.clone().unwrap_or(greeting.plugin);
        let authentication = Authentication::new(
            LoggedIn {
                user: String::from_utf8_lossy(&response.user).into_owned(),
                schema: response
                    .schema
                    .as_deref()
                    .map(|s| String::from_utf8_lossy(s).into_owned()),
                plugin: plugin.clone(),
                connection_id: greeting.connection_id,
                application: self.options.application,
                compressed,
                local_files: response.capabilities & !withheld & capability::LOCAL_FILES != 0,
            },
            self.options.bridge(plugin, greeting.nonce),
        );
        let forwarded = response::without(withheld, payload);
        let forwarded = if asks_anew {
            response.unanswered(&forwarded)
        } else {
            forwarded
        };
        let forwarded = Zeroizing::new(forwarded);
        if to_tls {
            let forwarded = response::with_tls(&forwarded);
            let request = response::front(&forwarded)?.to_vec();
            self.state = State::DatabaseTls(Box::new(authentication), forwarded, false);
            return self.send(Face::Database, &request);
        }
        self.state = State::Authentication(Box::new(authentication));
        self.send(Face::Database, &forwarded)
    }

    fn database_tls(
        &mut self,
        authentication: Box<Authentication>,
        response: Zeroizing<Vec<u8>>,
        begun: bool,
        input: &Inputs,
    ) -> Result<Step<Outcome>, Violation> {
        if begun {
            self.state = State::Authentication(authentication);
            return self.send(Face::Database, &response);
        }
        // What came before TLS was never encrypted, and must not count as if it had been.
        if !input.database.is_empty() {
            return Err(Violation("the database speaks before its TLS"));
        }
        self.state = State::DatabaseTls(authentication, response, true);
        Ok(Step::Done(Outcome::StartDatabaseTls))
    }

    fn authentication(
        &mut self,
        mut authentication: Box<Authentication>,
        input: &mut Inputs,
    ) -> Result<Step<Outcome>, Violation> {
        match authentication.step(&mut self.legs, input)? {
            Turn::Next(step) => {
                self.state = State::Authentication(authentication);
                Ok(step)
            }
            Turn::Last(bytes, outcome) => {
                self.state = State::Over(outcome);
                Ok(Step::Send(Face::Application, bytes))
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> Step<Outcome> {
        let bytes = self.legs.error(&refusal, true);
        self.state = State::Over(Outcome::Refused(refusal));
        Step::Send(Face::Application, bytes)
    }

    fn send(&mut self, face: Face, payload: &[u8]) -> Result<Step<Outcome>, Violation> {
        Ok(Step::Send(face, self.legs.encode(face, payload)?))
    }

    /// Nothing to take yet: the state stays.
    fn wait(&mut self, state: State) -> Step<Outcome> {
        self.state = state;
        Step::NeedInput
    }
}

impl Machine for Login {
    type Outcome = Outcome;

    fn step(&mut self, input: &mut Inputs) -> Result<Step<Outcome>, Violation> {
        match std::mem::replace(&mut self.state, State::Greeting) {
            State::Greeting => match self.legs.take(Face::Database, input)? {
                Some(payload) => self.greeting(&payload),
                None => Ok(Step::NeedInput),
            },
            State::Response(greeting) => match self.legs.take(Face::Application, input)? {
                Some(payload) => self.response(&payload, greeting),
                None => Ok(self.wait(State::Response(greeting))),
            },
            State::ResponseInTls(greeting, request) => {
                match self.legs.take(Face::Application, input)? {
                    Some(payload) => self.response_in_tls(&payload, greeting, &request),
                    None => Ok(self.wait(State::ResponseInTls(greeting, request))),
                }
            }
            State::DatabaseTls(authentication, response, begun) => {
                self.database_tls(authentication, response, begun, input)
            }
            State::Authentication(authentication) => self.authentication(authentication, input),
            State::Over(outcome) => {
                self.state = State::Over(outcome.clone());
                Ok(Step::Done(outcome))
            }
        }
    }

    fn wants(&self, face: Face) -> bool {
        match self.state {
            State::Greeting => face == Face::Database,
            State::Response(_) | State::ResponseInTls(..) => face == Face::Application,
            State::Authentication(ref authentication) => authentication.wants(face),
            State::DatabaseTls(..) | State::Over(_) => false,
        }
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
