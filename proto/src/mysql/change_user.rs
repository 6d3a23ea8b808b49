//! `COM_CHANGE_USER`: a command that runs the whole authentication again, in the middle of a session.

use std::ops::Range;

use zeroize::Zeroizing;

use super::authentication::{Authentication, Turn};
use super::bridge::SHA256;
use super::legs::{Legs, MAX_INPUT};
use super::login::{LoggedIn, LoginOptions, Outcome};
use super::reader::Reader;
use super::response::text;
use crate::machine::{Face, Inputs, Machine, Step, Violation};
use crate::refusal::Refusal;

/// The command (MySQL internals manual, "COM_CHANGE_USER").
pub(super) const COMMAND: u8 = 0x11;

enum State {
    /// The command stands at the front of the application's input.
    Command,
    /// Plugins talk until OK or ERR.
    Authentication(Box<Authentication>),
    /// All is said.
    Over(Outcome),
}

/// Follows a change of user from its command to OK or ERR; see [`Machine`]. Its outcome is that of a login.
///
/// It stands between two stretches of a session: [`super::Commands`] finds its begin, and bytes pass untouched after OK.
pub struct ChangeUser {
    options: LoginOptions,
    before: LoggedIn,
    state: State,
    legs: Legs,
}

impl ChangeUser {
    /// Begins before the command. `before` is who is logged in until it succeeds.
    pub fn new(mut options: LoginOptions, before: LoggedIn) -> Self {
        options.application = before.application;
        Self {
            options,
            before,
            state: State::Command,
            legs: Legs::default(),
        }
    }

    fn command(&mut self, payload: &[u8]) -> Result<Step<Outcome>, Violation> {
        let Named {
            user,
            schema,
            plugin,
            answer,
        } = parse(payload)?;
        if let Err(refusal) = self.options.admit(user, schema) {
            let bytes = self.legs.error(&refusal, true);
            self.state = State::Over(Outcome::Refused(refusal));
            return Ok(Step::Send(Face::Application, bytes));
        }
        let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let plugin = plugin.map_or_else(|| self.before.plugin.clone(), shown);
        // It may be the password in clear. The database asks for it anyway, with a new nonce.
        let forwarded = if plugin == SHA256 && !self.options.takes_sha256() {
            without(answer, payload)
        } else {
            Zeroizing::new(payload.to_vec())
        };
        let authentication = Authentication::new(
            LoggedIn {
                user: shown(user),
                schema: schema.map(shown),
                ..self.before.clone()
            },
            // The database answers with a switch, which brings the nonce.
            self.options.bridge(plugin, Vec::new()),
        );
        self.state = State::Authentication(Box::new(authentication));
        Ok(Step::Send(
            Face::Database,
            self.legs.encode(Face::Database, &forwarded)?,
        ))
    }
}

/// The parts of the command that matter.
struct Named<'a> {
    user: &'a [u8],
    schema: Option<&'a [u8]>,
    plugin: Option<&'a [u8]>,
    /// The authentication response, with its length.
    answer: Range<usize>,
}

fn parse(payload: &[u8]) -> Result<Named<'_>, Violation> {
    let mut reader = Reader::new(payload);
    if reader.u8()? != COMMAND {
        return Err(Violation("a command other than the change of user"));
    }
    let user = reader.until_nul()?;
    let place = |reader: &Reader<'_>| payload.len().saturating_sub(reader.rest().len());
    let answer = place(&reader);
    let length = usize::from(reader.u8()?);
    reader.take(length)?;
    let answer = answer..place(&reader);
    let schema = text(&mut reader);
    // Character set, and then a plugin where the application names one.
    let plugin = reader.take(2).is_ok().then(|| text(&mut reader));
    Ok(Named {
        user,
        schema: Some(schema).filter(|s| !s.is_empty()),
        plugin: plugin.filter(|p| !p.is_empty()),
        answer,
    })
}

/// The command with an empty authentication response.
fn without(answer: Range<usize>, payload: &[u8]) -> Zeroizing<Vec<u8>> {
    let part = |range: Range<usize>| payload.get(range).unwrap_or_default();
    let parts = [part(0..answer.start), &[0], part(answer.end..payload.len())];
    Zeroizing::new(parts.concat())
}

impl Machine for ChangeUser {
    type Outcome = Outcome;

    fn step(&mut self, input: &mut Inputs) -> Result<Step<Outcome>, Violation> {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Command => match self.legs.take(Face::Application, input)? {
                Some(payload) => self.command(&payload),
                None => Ok(Step::NeedInput),
            },
            State::Authentication(mut authentication) => {
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
            State::Over(outcome) => {
                self.state = State::Over(outcome.clone());
                Ok(Step::Done(outcome))
            }
        }
    }

    fn wants(&self, face: Face) -> bool {
        match self.state {
            State::Command => face == Face::Application,
            State::Authentication(ref authentication) => authentication.wants(face),
            State::Over(_) => false,
        }
    }

    fn max_input(&self) -> usize {
        MAX_INPUT
    }

    fn farewell(&self, refusal: &Refusal) -> Vec<u8> {
        self.legs.error(refusal, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Transport;
    use crate::mysql::{DatabaseLeg, InnerTls, packet::encode};

    fn change_user(allowed: &[&str]) -> ChangeUser {
        let options = LoginOptions {
            application: Transport::Tcp,
            database: DatabaseLeg::Plain,
            rsa_key: None,
            allowed_users: allowed.iter().map(ToString::to_string).collect(),
            allowed_schemas: vec![],
            inner_tls: InnerTls::Allow,
        };
        let before = LoggedIn {
            user: "app".into(),
            schema: None,
            plugin: "caching_sha2_password".into(),
            connection_id: 7,
            application: Transport::Tls,
            compressed: false,
            local_files: false,
        };
        ChangeUser::new(options, before)
    }

    const PAYLOAD: &[u8] = b"\x11other\0\x03\x09\x09\x09shop\0\x2d\0caching_sha2_password\0";

    #[test]
    fn the_bridge_works_with_the_nonce_of_the_switch() {
        let mut machine = change_user(&[]);
        let command = encode(0, PAYLOAD).unwrap();
        let mut input = Inputs {
            application: command.clone(),
            database: vec![],
        };
        assert_eq!(
            machine.step(&mut input),
            Ok(Step::Send(Face::Database, command))
        );
        let switch = [&b"\xfecaching_sha2_password\0"[..], &[9; 20], &[0]].concat();
        for (face, bytes, expected) in [
            (
                Face::Database,
                encode(1, &switch).unwrap(),
                (Face::Application, 1),
            ),
            (
                Face::Application,
                encode(2, &[5; 32]).unwrap(),
                (Face::Database, 2),
            ),
            (
                Face::Database,
                encode(3, &[1, 4]).unwrap(),
                (Face::Application, 3),
            ),
            (
                Face::Application,
                encode(4, b"secret\0").unwrap(),
                (Face::Database, 4),
            ),
        ] {
            input.of(face).extend(bytes);
            let Ok(Step::Send(to, bytes)) = machine.step(&mut input) else {
                panic!("no packet")
            };
            assert_eq!((to, bytes[3]), expected);
        }
        let key = crate::mysql::RsaKey::generate().unwrap();
        let answer = [&[1], key.public_pem().as_bytes()].concat();
        input.database = encode(5, &answer).unwrap();
        let Ok(Step::Send(Face::Database, bytes)) = machine.step(&mut input) else {
            panic!()
        };
        assert_eq!(
            key.decrypt(&bytes[4..], &[9; 20]).unwrap().as_slice(),
            b"secret\0"
        );
        input.database = encode(7, &[0, 0, 0, 2, 0, 0, 0]).unwrap();
        machine.step(&mut input).unwrap();
        let Ok(Step::Done(Outcome::LoggedIn(login))) = machine.step(&mut input) else {
            panic!()
        };
        assert_eq!(
            (login.user.as_str(), login.schema.as_deref()),
            ("other", Some("shop"))
        );
        assert_eq!(login.connection_id, 7);
    }

    #[test]
    fn an_answer_made_by_sha256_password_reaches_no_leg_that_another_judges() {
        let payload = b"\x11other\0\x07secret\0shop\0\x2d\0sha256_password\0rest";
        let emptied = b"\x11other\0\0shop\0\x2d\0sha256_password\0rest";
        for (database, expected) in [
            (DatabaseLeg::Plain, &emptied[..]),
            (DatabaseLeg::Unix, emptied),
            (DatabaseLeg::Tls, payload),
        ] {
            let mut machine = change_user(&[]);
            machine.options.database = database;
            let mut input = Inputs {
                application: encode(0, payload).unwrap(),
                database: vec![],
            };
            let sent = Step::Send(Face::Database, encode(0, expected).unwrap());
            assert_eq!(machine.step(&mut input), Ok(sent), "{database:?}");
        }
    }

    #[test]
    fn a_user_outside_the_grant_never_reaches_the_database() {
        let mut machine = change_user(&["app"]);
        let mut input = Inputs {
            application: encode(0, PAYLOAD).unwrap(),
            database: vec![],
        };
        let Ok(Step::Send(Face::Application, bytes)) = machine.step(&mut input) else {
            panic!()
        };
        assert_eq!(bytes[3..13], *b"\x01\xff\x15\x04#28000");
        assert!(matches!(
            machine.step(&mut input),
            Ok(Step::Done(Outcome::Refused(_)))
        ));
    }

    #[test]
    fn a_command_cut_at_any_place_waits_and_a_broken_one_is_a_violation() {
        let whole = encode(0, PAYLOAD).unwrap();
        for cut in 0..whole.len() {
            let mut input = Inputs {
                application: whole[..cut].to_vec(),
                database: vec![],
            };
            assert_eq!(change_user(&[]).step(&mut input), Ok(Step::NeedInput));
        }
        for bad in [&b"\x03select 1"[..], b"\x11no nul", b"\x11u\0\x20short"] {
            let mut input = Inputs {
                application: encode(0, bad).unwrap(),
                database: vec![],
            };
            assert!(change_user(&[]).step(&mut input).is_err());
        }
    }
}
