//! MySQL's and MariaDB's opening exchange, from the greeting to OK or ERR.
//!
//! [`Login`] stands between an application and a database, renumbers what passes, and makes the two ends' ideas
//! of a secure transport fit. Facts are measured or from MySQL's and MariaDB's own manuals ("Connection Phase").

mod authentication;
mod bridge;
mod change_user;
mod commands;
mod greeting;
mod introduction;
mod legs;
mod login;
mod packet;
mod proxy;
mod reader;
mod refusing;
mod response;
mod rsa;

pub use bridge::DatabaseLeg;
pub use change_user::ChangeUser;
pub use commands::{Commands, InDoubt, Seen, Stop};
pub use introduction::Introduction;
pub use login::{InnerTls, LoggedIn, Login, LoginOptions, Outcome, UnknownInnerTls};
pub use packet::{error_behind, error_instead_of_greeting};
pub use proxy::proxy_header;
pub use refusing::{Refused, Refusing};
pub use rsa::{RsaKey, RsaKeyError};

/// Capability flags that this code looks at (MySQL internals manual, "Capabilities Flags").
mod capability {
    /// What an application is never offered and a database never asked for: the tunnel is encrypted already.
    ///
    /// MySQL sets `SSL_VERIFY_SERVER_CERT` with `SSL`, so both go.
    pub(super) const TLS: u32 = SSL | SSL_VERIFY_SERVER_CERT;
    /// Hides the commands of a session.
    pub(super) const COMPRESSION: u32 = COMPRESS | ZSTD_COMPRESSION;
    /// MySQL offers it always, and MariaDB never.
    pub(super) const LONG_PASSWORD: u32 = 0x0000_0001;
    /// `LOAD DATA LOCAL`: the database may ask for a file of the application's.
    pub(super) const LOCAL_FILES: u32 = 0x0000_0080;
    /// A schema is named in the handshake response.
    pub(super) const CONNECT_WITH_DB: u32 = 0x0000_0008;
    /// Offer of, and wish for, zlib.
    pub(super) const COMPRESS: u32 = 0x0000_0020;
    /// Offer of, and wish for, TLS.
    pub(super) const SSL: u32 = 0x0000_0800;
    /// The handshake response has today's shape.
    pub(super) const PROTOCOL_41: u32 = 0x0000_0200;
    /// The authentication response has a length byte.
    pub(super) const SECURE_CONNECTION: u32 = 0x0000_8000;
    /// A plugin is named.
    pub(super) const PLUGIN_AUTH: u32 = 0x0008_0000;
    /// The authentication response has a length-encoded length.
    pub(super) const PLUGIN_AUTH_LENENC: u32 = 0x0020_0000;
    /// Offer of, and wish for, zstd.
    pub(super) const ZSTD_COMPRESSION: u32 = 0x0400_0000;
    /// MySQL sets it together with `SSL`.
    pub(super) const SSL_VERIFY_SERVER_CERT: u32 = 0x4000_0000;
}
