//! What a login is judged by, and what it is refused for.

use super::super::bridge::{Bridge, DatabaseLeg};
use super::super::capability;
use super::super::commands::{Commands, InDoubt};
use super::super::rsa::RsaKey;
use super::LoggedIn;
use crate::frame::Transport;
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
    /// The follower of a session's commands, where a change of user must be found: because the grant is restricted, or
    /// because the two legs differ and the bridge is needed again. A compressed session cannot be followed; a restricted
    /// one is never compressed.
    pub fn commands(&self, login: &LoggedIn) -> Option<Commands> {
        let differs = !self.database.fits(is_secure(login.application));
        let in_doubt = match self.is_restricted() {
            true => InDoubt::Stop,
            false => InDoubt::Pass,
        };
        (in_doubt == InDoubt::Stop || (differs && !login.compressed))
            .then(|| Commands::new(in_doubt, login.local_files))
    }

    /// Whether the grant names users or schemas.
    pub(super) const fn is_restricted(&self) -> bool {
        !self.allowed_users.is_empty() || !self.allowed_schemas.is_empty()
    }

    /// Whether an answer that an application made by `sha256_password` fits the database's leg as it is: it judges both
    /// legs alike, whatever the application's library holds for secure.
    pub(in crate::mysql) const fn takes_sha256(&self) -> bool {
        matches!(
            (self.application, self.database),
            (Transport::Tls, DatabaseLeg::Tls) | (Transport::Tcp, DatabaseLeg::Plain)
        )
    }

    /// Capabilities that the application is not offered.
    ///
    /// Compression hides commands. Restricted sessions go without, and so do those whose change of user could not succeed:
    /// over plain TCP the database wants RSA, which an application that sees TLS does not do. Whether a session will be
    /// restricted may show only in its TLS, and then it is too late to withhold anything.
    pub(super) fn withheld(&self, narrowed_later: bool) -> u32 {
        let may_be_secure = is_secure(self.application) || self.inner_tls != InnerTls::Off;
        let compression = if !narrowed_later && (self.database.is_secure() || !may_be_secure) {
            0
        } else {
            capability::COMPRESSION
        };
        capability::TLS | compression | self.unfollowed()
    }

    /// Capabilities of sessions that cannot be followed; a restricted one has none of them. Without `LOCAL_FILES` in the
    /// handshake response the database refuses `LOAD DATA LOCAL` by itself, with an error that says why.
    pub(super) const fn unfollowed(&self) -> u32 {
        if self.is_restricted() {
            capability::COMPRESSION | capability::LOCAL_FILES
        } else {
            0
        }
    }

    /// The bridge of one authentication phase.
    pub(in crate::mysql) fn bridge(&self, plugin: String, nonce: Vec<u8>) -> Bridge {
        let secure = is_secure(self.application);
        Bridge::new(self.database, secure, self.rsa_key.clone(), plugin, nonce)
    }

    /// Whether the grant allows this user and schema.
    pub(in crate::mysql) fn admit(
        &self,
        user: &[u8],
        schema: Option<&[u8]>,
    ) -> Result<(), Refusal> {
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

pub(super) fn compression_hides_commands() -> Refusal {
    Refusal::new(
        Code::Authentication,
        "compression is not possible where the grant names database users or schemas",
        "connect without compression, which is not offered here (compress=False)",
    )
}

pub(super) fn tls_is_not_offered() -> Refusal {
    Refusal::new(
        Code::Protocol,
        "TLS inside the tunnel is not offered",
        "the tunnel is encrypted already: connect without TLS (ssl-mode=DISABLED or PREFERRED)",
    )
}

pub(super) fn tls_is_required() -> Refusal {
    Refusal::new(
        Code::TlsRequired,
        "connections without TLS are not allowed here",
        "connect with ssl-mode=REQUIRED or better",
    )
}

pub(super) fn database_lacks_tls() -> Refusal {
    Refusal::new(
        Code::DatabaseRefused,
        "the database does not offer TLS",
        "give the database a certificate, or let the agent reach it by unix: or loopback tcp:",
    )
}
