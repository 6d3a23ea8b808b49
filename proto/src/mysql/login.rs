//! The machine that follows a login, facing application and database at once.

use super::authentication::{Authentication, ERR, Turn, error_number};
use super::bridge::{Bridge, DatabaseLeg};
use super::capability;
use super::greeting::Greeting;
use super::legs::{Legs, MAX_INPUT};
use super::response::{self, HandshakeResponse, Response, SslRequest};
use super::rsa::RsaKey;
use crate::frame::Transport;
use crate::machine::{Face, Inputs, Machine, Step, Violation};
use crate::refusal::{Code, Refusal};

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
    /// Whether the application may speak TLS to us inside what it reached us by.
    pub inner_tls: InnerTls,
}

/// Whether TLS is offered to the application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum InnerTls {
    /// Not offered; an application that asks for it all the same is refused.
    #[default]
    Off,
    /// Offered, whether the database offers it or not.
    Allow,
    /// Offered, and an application that does not take it is refused.
    Require,
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
    /// How the application reached us in the end: TLS may have begun during the login.
    pub application: Transport,
    /// Whether what follows is compressed.
    pub compressed: bool,
}

/// How a login ended, or paused. Whatever the application is told has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The application's TLS begins here: what is left of its input is the TLS peer's, never the machine's. Step again
    /// with what TLS gives.
    StartTls,
    /// The database said OK; bytes pass untouched from here.
    LoggedIn(LoggedIn),
    /// The database said no, with this error number, and the application has its words.
    RefusedByDatabase(u16),
    /// We said no, and the application has our words.
    Refused(Refusal),
}

/// A text is not one of the modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected off, allow or require")]
pub struct UnknownInnerTls;

impl std::str::FromStr for InnerTls {
    type Err = UnknownInnerTls;

    fn from_str(text: &str) -> Result<Self, UnknownInnerTls> {
        match text {
            "off" => Ok(Self::Off),
            "allow" => Ok(Self::Allow),
            "require" => Ok(Self::Require),
            _ => Err(UnknownInnerTls),
        }
    }
}

impl LoginOptions {
    /// Whether the commands of a session must be watched for a change of user: because the grant names users, or
    /// because the two legs differ and the bridge is needed again. What is compressed cannot be watched.
    pub fn watches(&self, login: &LoggedIn) -> bool {
        let differs = is_secure(login.application) != self.database.is_secure();
        !login.compressed && (differs || !self.allowed_users.is_empty())
    }

    /// Capabilities that neither side shall see.
    ///
    /// Compression hides commands. Sessions of restricted users go without, and so do those whose change of user
    /// could not succeed: over plain TCP the database wants RSA, which an application that sees TLS does not do.
    fn withheld(&self) -> u32 {
        let may_be_secure = is_secure(self.application) || self.inner_tls != InnerTls::Off;
        if self.allowed_users.is_empty() && (self.database.is_secure() || !may_be_secure) {
            capability::TLS
        } else {
            capability::TLS | capability::COMPRESSION
        }
    }

    /// The bridge of one authentication phase.
    pub(super) fn bridge(&self, plugin: String, nonce: Vec<u8>) -> Bridge {
        let secure = is_secure(self.application);
        Bridge::new(self.database, secure, self.rsa_key.clone(), plugin, nonce)
    }

    /// Whether the grant allows this user and schema.
    pub(super) fn admit(&self, user: &[u8], schema: Option<&[u8]>) -> Result<(), Refusal> {
        let users = &self.allowed_users;
        if !users.is_empty() && !users.iter().any(|allowed| allowed.as_bytes() == user) {
            return Err(Refusal::new(
                Code::NoGrant,
                "the service account's grant does not allow this database user",
                "use a user that the grant names, or ask the administrator of the CA to add it",
            ));
        }
        let schemas = &self.allowed_schemas;
        let allowed = |named| schemas.iter().any(|allowed| allowed.as_bytes() == named);
        if !schemas.is_empty() && !schema.is_none_or(allowed) {
            return Err(Refusal::new(
                Code::NoGrant,
                "the service account's grant does not allow this schema",
                "use a schema that the grant names, or ask the administrator of the CA to add it",
            ));
        }
        Ok(())
    }
}

/// Whether drivers send passwords in clear over it.
const fn is_secure(application: Transport) -> bool {
    matches!(application, Transport::Unix | Transport::Tls)
}

enum State {
    /// The database speaks first.
    Greeting,
    /// The application answers.
    Response(Greeting),
    /// The application has asked for TLS with this front of its response, and answers inside it.
    ResponseInTls(Greeting, SslRequest),
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
    response_seen: bool,
}

impl Login {
    /// Begins before the greeting.
    pub fn new(options: LoginOptions) -> Self {
        Self {
            options,
            state: State::Greeting,
            legs: Legs::default(),
            response_seen: false,
        }
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
        let shown = greeting.shown(self.options.withheld(), offered, payload);
        self.state = State::Response(greeting);
        self.send(Face::Application, &shown)
    }

    fn response(&mut self, payload: &[u8], greeting: Greeting) -> Result<Step<Outcome>, Violation> {
        self.response_seen = true;
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
        let payload = request.front_of(payload)?;
        match Response::parse(&payload)? {
            Response::Login(response) => self.login(&payload, &response, greeting),
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
        let withheld = self.options.withheld();
        let plugin = response.plugin.clone().unwrap_or(greeting.plugin);
        let authentication = Authentication {
            login: LoggedIn {
                user: String::from_utf8_lossy(&response.user).into_owned(),
                schema: response
                    .schema
                    .as_deref()
                    .map(|s| String::from_utf8_lossy(s).into_owned()),
                plugin: plugin.clone(),
                connection_id: greeting.connection_id,
                application: self.options.application,
                compressed: response.capabilities & capability::COMPRESSION & !withheld != 0,
            },
            bridge: self.options.bridge(plugin, greeting.nonce),
        };
        self.state = State::Authentication(Box::new(authentication));
        self.send(Face::Database, &response::without(withheld, payload))
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
            State::Authentication(_) => true,
            State::Over(_) => false,
        }
    }

    fn max_input(&self) -> usize {
        MAX_INPUT
    }

    fn farewell(&self, refusal: &Refusal) -> Vec<u8> {
        self.legs.error(refusal, self.response_seen)
    }
}

fn tls_is_not_offered() -> Refusal {
    Refusal::new(
        Code::Protocol,
        "TLS inside the tunnel is not offered",
        "the tunnel is encrypted already: connect without TLS (ssl-mode=DISABLED or PREFERRED)",
    )
}

fn tls_is_required() -> Refusal {
    Refusal::new(
        Code::TlsRequired,
        "connections without TLS are not allowed here",
        "connect with ssl-mode=REQUIRED or better",
    )
}

#[cfg(test)]
mod tests;
