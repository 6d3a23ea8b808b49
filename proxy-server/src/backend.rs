//! The database leg: where an instance's database stands beside the agent, and how it is reached.

mod place;

use std::net::SocketAddr;

pub(crate) use place::Database;
use proto::mysql::proxy_header;
use proto::{Code, Engine, Refusal};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};
use transport::error::DialError;
use transport::socket::{Socket, TcpOptions};
use transport::tls::DatabaseTls;

/// How one instance's database is reached.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    /// Where it stands.
    pub(crate) place: Database,
    /// What its certificate is judged by, where it is reached by TLS.
    pub(crate) tls: Option<DatabaseTls>,
    /// Whether it is told whose connections they are.
    pub(crate) proxy_protocol: bool,
    /// Options of its TCP leg.
    pub(crate) tcp: TcpOptions,
}

impl Backend {
    /// Whether it can be reached so, by what it speaks.
    pub(crate) fn check(&self, engine: Engine) -> Result<(), Refusal> {
        if engine == Engine::Mysql || !matches!(self.place, Database::Tls { .. }) {
            return Ok(());
        }
        Err(Refusal::new(
            Code::Settings,
            format!(
                "the agent reaches its database by tls:, which is for MySQL; this one speaks {engine}"
            ),
            "let the agent's --database name it by tcp: or unix:",
        ))
    }

    /// Connects to it, for somebody at that address if there is one.
    pub(crate) async fn dial(
        &self,
        source: Option<SocketAddr>,
        deadline: Instant,
    ) -> Result<Socket, DialError> {
        let mut socket = self.place.dial(&self.tcp, deadline).await?;
        if self.proxy_protocol {
            // Before anything else, or the database takes us for the client. A header that cannot be written shows at
            // once: the database is gone, and the login says so.
            let header = proxy_header(source);
            match timeout_at(deadline, socket.write_all(&header)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "the PROXY header was not taken"),
                Err(_) => tracing::debug!("the PROXY header was not taken in time"),
            }
        }
        Ok(socket)
    }
}
