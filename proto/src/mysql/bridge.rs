//! The authentication bridge: makes two ends fit that disagree on whether their transport is secure.
//!
//! `caching_sha2_password` and `sha256_password` send the password in clear over a transport that they hold for
//! secure and RSA-encrypted over any other. Application and database each judge their own leg, and behind a tunnel
//! those differ. What the application really sends decides here, not what its leg should make it send.

use zeroize::Zeroizing;

use super::rsa::{RsaKey, encrypt};
use crate::machine::Violation;
use crate::refusal::{Code, Refusal};

/// First byte of AuthMoreData.
const MORE_DATA: u8 = 0x01;
/// First byte of AuthNextFactor (MySQL's multi-factor authentication).
const NEXT_FACTOR: u8 = 0x02;
/// First byte of AuthSwitchRequest.
const SWITCH: u8 = 0xFE;
/// `caching_sha2_password`: "send the password, it is not in my cache".
const FULL_AUTHENTICATION: [u8; 2] = [MORE_DATA, 0x04];

const CACHING_SHA2: &str = "caching_sha2_password";
pub(super) const SHA256: &str = "sha256_password";

/// How the database is reached, which is what it judges by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatabaseLeg {
    /// Plain TCP: secure for no plugin.
    Plain,
    /// A Unix socket: secure for `caching_sha2_password`, not for `sha256_password`.
    Unix,
    /// TLS: secure for both.
    Tls,
}

impl DatabaseLeg {
    /// Whether `caching_sha2_password` takes passwords in clear over it.
    pub(super) const fn is_secure(self) -> bool {
        Plugin::CachingSha2.holds_for_secure(self)
    }

    /// Whether both plugins judge this leg as the application judges its own.
    pub(super) const fn fits(self, application_is_secure: bool) -> bool {
        Plugin::CachingSha2.holds_for_secure(self) == application_is_secure
            && Plugin::Sha256.holds_for_secure(self) == application_is_secure
    }
}

/// What becomes of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// This goes to the opposite side.
    Pass(Vec<u8>),
    /// This goes back to where the packet came from.
    Reply(Vec<u8>),
    /// This login cannot work here, and the application is told why.
    Refuse(Refusal),
}

/// The two plugins that judge the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plugin {
    CachingSha2,
    Sha256,
}

impl Plugin {
    /// The packet by which an application asks for the RSA key.
    const fn key_request(self) -> u8 {
        match self {
            Self::CachingSha2 => 0x02,
            Self::Sha256 => 0x01,
        }
    }

    const fn holds_for_secure(self, leg: DatabaseLeg) -> bool {
        match (self, leg) {
            (_, DatabaseLeg::Tls) | (Self::CachingSha2, DatabaseLeg::Unix) => true,
            (_, DatabaseLeg::Plain) | (Self::Sha256, DatabaseLeg::Unix) => false,
        }
    }
}

enum State {
    /// Packets pass as they are.
    Passing,
    /// The application's next packet is the password, or a request for the key.
    PasswordDue(Plugin),
    /// The application asked a secure database for a key and got ours: its next packet is for us to decrypt.
    CiphertextDue,
    /// The application sent the password in clear to a database that wants it encrypted: its key was asked for.
    KeyDue(Zeroizing<Vec<u8>>),
}

/// Follows the authentication phase.
pub(super) struct Bridge {
    database: DatabaseLeg,
    application_is_secure: bool,
    key: Option<RsaKey>,
    plugin: String,
    nonce: Vec<u8>,
    state: State,
}

impl Bridge {
    /// Begins with the plugin of the handshake response and the greeting's nonce.
    pub(super) const fn new(
        database: DatabaseLeg,
        application_is_secure: bool,
        key: Option<RsaKey>,
        plugin: String,
        nonce: Vec<u8>,
    ) -> Self {
        Self {
            database,
            application_is_secure,
            key,
            plugin,
            nonce,
            state: State::Passing,
        }
    }

    /// The plugin in use.
    pub(super) fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Takes a packet of the database that is neither OK nor ERR.
    pub(super) fn on_database(&mut self, payload: Vec<u8>) -> Result<Action, Violation> {
        if let State::KeyDue(password) = std::mem::replace(&mut self.state, State::Passing) {
            let Some((&MORE_DATA, pem)) = payload.split_first() else {
                return Err(Violation(
                    "the database did not answer the request for its RSA key",
                ));
            };
            let ciphertext = encrypt(pem, &password, &self.nonce)?;
            return Ok(ciphertext.map_or_else(|| Action::Refuse(too_long()), Action::Reply));
        }
        match payload.split_first() {
            Some((&(SWITCH | NEXT_FACTOR), data)) if !data.is_empty() => self.switch(data),
            Some(_) if payload == FULL_AUTHENTICATION && self.plugin == CACHING_SHA2 => {
                self.state = State::PasswordDue(Plugin::CachingSha2);
            }
            _ => {}
        }
        Ok(Action::Pass(payload))
    }

    /// Takes a packet of the application.
    pub(super) fn on_application(
        &mut self,
        payload: Zeroizing<Vec<u8>>,
    ) -> Result<Action, Violation> {
        match std::mem::replace(&mut self.state, State::Passing) {
            State::PasswordDue(plugin) => self.password(plugin, payload),
            State::CiphertextDue => {
                let key = self
                    .key
                    .as_ref()
                    .ok_or(Violation("there is no RSA key to decrypt with"))?;
                let password = key.decrypt(&payload, &self.nonce)?;
                Ok(Action::Pass(password.to_vec()))
            }
            State::Passing => Ok(Action::Pass(payload.to_vec())),
            State::KeyDue(_) => Err(Violation(
                "a packet while the database's RSA key is awaited",
            )),
        }
    }

    fn password(
        &mut self,
        plugin: Plugin,
        payload: Zeroizing<Vec<u8>>,
    ) -> Result<Action, Violation> {
        let secure = plugin.holds_for_secure(self.database);
        let in_clear = payload.len() > 1 && payload.last() == Some(&0);
        if payload.as_slice() == [plugin.key_request()] {
            return Ok(match (&self.key, secure) {
                (Some(key), true) => {
                    self.state = State::CiphertextDue;
                    Action::Reply([&[MORE_DATA], key.public_pem().as_bytes()].concat())
                }
                _ => Action::Pass(payload.to_vec()),
            });
        }
        if !secure && in_clear && self.application_is_secure {
            self.state = State::KeyDue(payload);
            return Ok(Action::Pass(vec![plugin.key_request()]));
        }
        if secure && !self.application_is_secure && matches!(payload.len(), 256 | 384 | 512) {
            return Ok(Action::Refuse(pinned_key()));
        }
        Ok(Action::Pass(payload.to_vec()))
    }

    /// A plugin's name, NUL, and its data: a nonce with a NUL behind it for the plugins that need one.
    fn switch(&mut self, data: &[u8]) {
        let end = data
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(data.len());
        let (name, rest) = data.split_at_checked(end).unwrap_or((data, &[]));
        let nonce = rest.strip_prefix(&[0]).unwrap_or(rest);
        self.plugin = String::from_utf8_lossy(name).into_owned();
        self.nonce = nonce.strip_suffix(&[0]).unwrap_or(nonce).to_vec();
        if self.plugin == SHA256 {
            self.state = State::PasswordDue(Plugin::Sha256);
        }
    }
}
/// OAEP with SHA-1 takes 42 bytes less than the key has.
fn too_long() -> Refusal {
    Refusal::new(
        Code::Authentication,
        "the password is too long for the database's RSA key",
        "have the agent reach the database by unix: or tls:, or take a shorter password (213 bytes at most for a key of 2048 bits)",
    )
}

fn pinned_key() -> Refusal {
    Refusal::new(
        Code::Authentication,
        "the password is encrypted for a pinned key of the database, which its secure transport does not use",
        "take the key from the server instead (no --server-public-key-path), or have the agent reach the database by tcp:",
    )
}
