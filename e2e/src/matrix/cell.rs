//! What one login is made of.

use std::fmt;

use crate::clients::Client;
use crate::databases::{DatabaseOptions, Flavor, PAM_USER, Pam};

/// A database, started in a certain way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// MySQL 9.
    MySql9,
    /// MySQL 9 that offers no TLS.
    MySql9WithoutTls,
    /// MariaDB 10.11.
    MariaDb10,
    /// MariaDB 10.11 that offers no TLS, and whose PAM asks for the password in the clear.
    MariaDb10WithoutTls,
    /// MariaDB 11.8 with a certificate that it makes in memory.
    MariaDb11,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::MySql9,
        Self::MySql9WithoutTls,
        Self::MariaDb10,
        Self::MariaDb10WithoutTls,
        Self::MariaDb11,
    ];

    /// The server.
    pub const fn flavor(self) -> Flavor {
        match self {
            Self::MySql9 | Self::MySql9WithoutTls => Flavor::MySql9,
            Self::MariaDb10 | Self::MariaDb10WithoutTls => Flavor::MariaDb10,
            Self::MariaDb11 => Flavor::MariaDb11,
        }
    }

    /// Whether it offers TLS.
    pub const fn has_tls(self) -> bool {
        !matches!(self, Self::MySql9WithoutTls | Self::MariaDb10WithoutTls)
    }

    /// How it is started.
    pub fn options(self) -> DatabaseOptions {
        let options = DatabaseOptions::default();
        match self {
            Self::MySql9 => options,
            Self::MySql9WithoutTls => options.without_tls(),
            Self::MariaDb10 | Self::MariaDb11 => options.pam(Pam::Dialog),
            Self::MariaDb10WithoutTls => options.without_tls().pam(Pam::Clear),
        }
    }

    /// The plugins of its accounts.
    pub const fn plugins(self) -> &'static [Plugin] {
        match self {
            Self::MySql9 | Self::MySql9WithoutTls => &[Plugin::CachingSha2, Plugin::Sha256],
            Self::MariaDb10 => &[
                Plugin::Native,
                Plugin::Ed25519,
                Plugin::PamDialog,
                Plugin::Socket,
            ],
            Self::MariaDb10WithoutTls => &[Plugin::Native, Plugin::Ed25519, Plugin::PamClear],
            Self::MariaDb11 => &[
                Plugin::Native,
                Plugin::Ed25519,
                Plugin::Parsec,
                Plugin::PamDialog,
                Plugin::Socket,
            ],
        }
    }

    /// All its cells with one client.
    pub fn cells(self, client: Client) -> impl Iterator<Item = Cell> {
        let ways =
            ways().filter(move |(far, near)| self.has_tls() || !needs_tls_there(*far, *near));
        let accounts = self.plugins().iter().copied();
        accounts.flat_map(move |plugin| {
            ways.clone().map(move |(far, near)| Cell {
                kind: self,
                plugin,
                client,
                near,
                far,
            })
        })
    }
}

/// Every pair of legs that there is.
pub(super) fn ways() -> impl Iterator<Item = (Far, Near)> + Clone {
    Far::ALL
        .into_iter()
        .flat_map(|far| Near::ALL.into_iter().map(move |near| (far, near)))
        .filter(|way| *way != (Far::Direct, Near::Listener))
}

/// Whether the database itself has to speak TLS.
const fn needs_tls_there(far: Far, near: Near) -> bool {
    matches!((far, near), (Far::Tls, _) | (Far::Direct, Near::Tls))
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.flavor().name())?;
        f.write_str(if self.has_tls() { "" } else { " without TLS" })
    }
}

/// How an account's password, or who asks, is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plugin {
    /// MySQL's usual one.
    CachingSha2,
    /// Its predecessor.
    Sha256,
    /// MariaDB's usual one.
    Native,
    /// MariaDB, by signature.
    Ed25519,
    /// MariaDB 11, by signature with a salted key.
    Parsec,
    /// MariaDB's PAM with the client's `dialog` plugin.
    PamDialog,
    /// MariaDB's PAM with the client's `mysql_clear_password` plugin.
    PamClear,
    /// Who asks is read from the Unix socket.
    Socket,
}

impl Plugin {
    /// Its name, as the databases say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CachingSha2 => "caching_sha2_password",
            Self::Sha256 => "sha256_password",
            Self::Native => "mysql_native_password",
            Self::Ed25519 => "ed25519",
            Self::Parsec => "parsec",
            Self::PamDialog => "PAM (dialog)",
            Self::PamClear => "PAM (mysql_clear_password)",
            Self::Socket => "unix_socket",
        }
    }

    /// The account that uses it; for `unix_socket`, the one that a new MariaDB has for root of the operating system.
    pub const fn user(self) -> &'static str {
        match self {
            Self::CachingSha2 | Self::Native => "app",
            Self::Sha256 => "app_sha256",
            Self::Ed25519 => "app_ed25519",
            Self::Parsec => "app_parsec",
            Self::PamDialog | Self::PamClear => PAM_USER,
            Self::Socket => "root",
        }
    }
}

/// How the application connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Near {
    /// TCP in the clear.
    Tcp,
    /// TCP with TLS of its own.
    Tls,
    /// A Unix socket.
    Socket,
    /// TCP with TLS to the agent's own listener (`--mysql-listen`), without the client in between.
    Listener,
}

impl Near {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::Socket, Self::Listener];

    /// Whether the application speaks TLS.
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Listener)
    }

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Socket => "socket",
            Self::Listener => "listener",
        }
    }
}

/// How the database is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Far {
    /// By the application itself, with nothing in between: what the rest is compared with.
    Direct,
    /// Through the tunnel; the agent uses the database's Unix socket.
    Unix,
    /// Through the tunnel; the agent uses TCP in the clear.
    Tcp,
    /// Through the tunnel; the agent uses TLS of its own.
    Tls,
}

impl Far {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Unix, Self::Tcp, Self::Tls];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Unix => "unix:",
            Self::Tcp => "tcp:",
            Self::Tls => "tls:",
        }
    }
}

/// One login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The database.
    pub kind: Kind,
    /// The account.
    pub plugin: Plugin,
    /// The client.
    pub client: Client,
    /// The application's leg.
    pub near: Near,
    /// The database's leg.
    pub far: Far,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, plugin, client) = (self.kind, self.plugin.name(), self.client);
        let (near, far) = (self.near.name(), self.far.name());
        write!(f, "{kind}, {plugin}, {client}, {near}, {far}")
    }
}
