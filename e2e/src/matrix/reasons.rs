//! Why some logins cannot work, each in a line, and for which cells.

use super::cell::{Cell, Far, Near, Plugin};
use crate::clients::Client;

/// A documented reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The client does not know the plugin.
    UnknownPlugin,
    /// The client does not know Unix sockets.
    NoUnixSockets,
    /// The client does not send this password unencrypted.
    WantsEncryption,
    /// The client sends the password in the clear where it must not.
    CleartextOverTcp,
    /// The client sends the password in the clear over a Unix socket, where `sha256_password` wants RSA.
    CleartextOverSocket,
    /// The client asks for an RSA key over a Unix socket, where the database gives none.
    KeyOverSocket,
    /// Who asks is read from a Unix socket, and this is none.
    SocketOnly,
    /// Who asks is read from the agent's own socket.
    AgentsOwnUser,
}

impl Reason {
    /// All of them, in the order of the document.
    pub const ALL: [Self; 8] = [
        Self::UnknownPlugin,
        Self::NoUnixSockets,
        Self::WantsEncryption,
        Self::CleartextOverTcp,
        Self::CleartextOverSocket,
        Self::KeyOverSocket,
        Self::SocketOnly,
        Self::AgentsOwnUser,
    ];

    /// The line.
    pub const fn text(self) -> &'static str {
        match self {
            Self::UnknownPlugin => {
                "The client has no such plugin; it cannot use the account directly either."
            }
            Self::NoUnixSockets => "The client has no Unix sockets.",
            Self::WantsEncryption => {
                "The client refuses by itself to send this password unencrypted (some over a Unix socket too). Use TLS: the tunnel offers it on the application's side even where the database has none."
            }
            Self::CleartextOverTcp => {
                "The client sends the password in the clear over TCP and the database refuses to read it there; the agent does not hide that. Use TLS or a Unix socket on the application's side."
            }
            Self::CleartextOverSocket => {
                "Only directly: the client takes a Unix socket for secure and sends the password in the clear, where the database wants it encrypted. The agent encrypts it."
            }
            Self::KeyOverSocket => {
                "Only directly: the client asks for the database's RSA key over a Unix socket, where the database gives none. The agent answers with a key of its own."
            }
            Self::SocketOnly => "The account is for a Unix socket, and this is TCP.",
            Self::AgentsOwnUser => {
                "On purpose: the database reads from the Unix socket which user of the operating system asks, and that is always the agent's own, unprivileged one. So nobody becomes root from afar."
            }
        }
    }

    /// Why this cell cannot work, if it cannot.
    pub fn of(cell: &Cell) -> Option<Self> {
        if is_unknown(cell.client, cell.plugin) {
            return Some(Self::UnknownPlugin);
        }
        if cell.client == Client::ConnectorJ && cell.near == Near::Socket {
            return Some(Self::NoUnixSockets);
        }
        match cell.plugin {
            Plugin::CachingSha2 => of_caching_sha2(cell),
            Plugin::Sha256 => of_sha256(cell),
            Plugin::Native | Plugin::Ed25519 | Plugin::Parsec => None,
            Plugin::PamDialog | Plugin::PamClear => {
                wants_encryption(cell).then_some(Self::WantsEncryption)
            }
            Plugin::Socket if cell.far != Far::Direct => Some(Self::AgentsOwnUser),
            Plugin::Socket => (cell.near != Near::Socket).then_some(Self::SocketOnly),
        }
    }
}

fn of_caching_sha2(cell: &Cell) -> Option<Reason> {
    match (cell.client, cell.near, cell.far) {
        (Client::ConnectorPythonC, Near::Tcp, _) => Some(Reason::WantsEncryption),
        (Client::ConnectorPythonPure, Near::Tcp, Far::Direct | Far::Tcp) => {
            Some(Reason::CleartextOverTcp)
        }
        (Client::Sqlx, Near::Socket, Far::Direct) => Some(Reason::KeyOverSocket),
        _ => None,
    }
}

fn of_sha256(cell: &Cell) -> Option<Reason> {
    match (cell.client, cell.near, cell.far) {
        (Client::ConnectorPythonPure, Near::Tcp | Near::Socket, _) => Some(Reason::WantsEncryption),
        (Client::PyMySql | Client::Aiomysql | Client::Asyncmy, Near::Socket, Far::Direct) => {
            Some(Reason::CleartextOverSocket)
        }
        _ => None,
    }
}

/// Clients that do not send PAM's password over just any connection.
fn wants_encryption(cell: &Cell) -> bool {
    match cell.client {
        Client::MariadbConnectorJ | Client::MariadbNode | Client::GoSqlDriver => {
            cell.near == Near::Tcp
        }
        Client::ConnectorJ | Client::ConnectorPythonPure => !cell.near.is_encrypted(),
        _ => false,
    }
}

fn is_unknown(client: Client, plugin: Plugin) -> bool {
    use Client as C;
    match plugin {
        Plugin::CachingSha2 | Plugin::Native | Plugin::PamClear | Plugin::Socket => false,
        Plugin::Sha256 => matches!(client, C::MariadbConnectorJ | C::MysqlAsync),
        Plugin::Ed25519 => matches!(
            client,
            C::MysqlCli
                | C::ConnectorPythonPure
                | C::ConnectorPythonC
                | C::Aiomysql
                | C::Mysql2
                | C::PhpMysqli
                | C::PhpPdo
                | C::ConnectorJ
                | C::Sqlx
        ),
        Plugin::Parsec => !matches!(
            client,
            C::MariadbCli11 | C::MariadbNode | C::MariadbConnectorJ | C::MysqlAsync
        ),
        Plugin::PamDialog => !matches!(
            client,
            C::MariadbCli
                | C::MariadbCli11
                | C::MysqlClient
                | C::MariadbNode
                | C::PerlMysql
                | C::PerlMariadb
                | C::MariadbConnectorJ
        ),
    }
}
