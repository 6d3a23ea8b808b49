//! From an instance to an open tunnel: fresh information, a socket, TLS, and the agent's consent.

mod dial;
mod opening;

use std::sync::Arc;

use proto::frame::Hello;
use proto::machine::Inputs;
use tokio::time::Instant;
use transport::socket::{Proxies, TcpOptions};
use transport::tls::TlsStream;

use crate::config::HostPort;
use crate::error::SessionError;
use crate::legs::Legs;
use crate::refresh::{ConnectionInfo, Refresher};

/// Opens tunnels to one instance.
pub struct Connector {
    /// Keeps what it needs fresh.
    pub refresher: Arc<Refresher>,
    /// The port of the agents.
    pub tunnel_port: u16,
    /// Where the agent is, whatever the CA says.
    pub connect_to: Option<HostPort>,
    /// Which way out is taken.
    pub proxies: Proxies,
}

/// An open tunnel, the database behind it.
pub struct Tunnel {
    /// The stream.
    pub stream: TlsStream,
    /// What the database has said already.
    pub rest: Inputs,
    /// What the tunnel was opened with.
    pub info: Arc<ConnectionInfo>,
    /// How long that took.
    pub legs: Legs,
}

impl Connector {
    /// Opens a tunnel. When the agent refuses what we show, or shows what we refuse, tries once more with news from the CA.
    ///
    /// # Errors
    /// [`SessionError`] says what the application is to be told.
    pub async fn connect(&self, hello: Hello, deadline: Instant) -> Result<Tunnel, SessionError> {
        let begun = Instant::now();
        let info = self.refresher.info(deadline).await?;
        let certificate = begun.elapsed();
        let opened = match self.attempt(&info, &hello, deadline).await {
            Err(error) if error.is_mended_by_refresh() => {
                match self.refresher.newer_than(&info, deadline).await {
                    Some(Ok(newer)) => self.attempt(&newer, &hello, deadline).await,
                    // What the CA says explains the refusal better, but only if it says something.
                    Some(Err(_)) | None => Err(error),
                }
            }
            done => done,
        };
        opened.map(|mut tunnel| {
            tunnel.legs.certificate = certificate;
            tunnel
        })
    }

    /// Where agents are dialled: whom they must prove to be does not depend on it.
    pub(crate) fn targets<'a>(&'a self, info: &'a ConnectionInfo) -> (&'a [String], u16) {
        match &self.connect_to {
            Some(HostPort { host, port }) => (std::slice::from_ref(host), *port),
            None => (&info.addresses, self.tunnel_port),
        }
    }

    async fn attempt(
        &self,
        info: &Arc<ConnectionInfo>,
        hello: &Hello,
        deadline: Instant,
    ) -> Result<Tunnel, SessionError> {
        let mut legs = Legs::default();
        let mut begun = Instant::now();
        let mut lap = || {
            let now = Instant::now();
            now - std::mem::replace(&mut begun, now)
        };
        let options = TcpOptions::default();
        let (addresses, port) = self.targets(info);
        let dialled = dial::any(addresses, port, &self.proxies, &options, deadline).await;
        let socket = match dialled {
            Ok(socket) => socket,
            Err(error) => {
                self.refresher.suspect();
                return Err(error.into());
            }
        };
        legs.tcp = lap();
        let (mut stream, dialect) = info.tls.connect(socket, deadline).await?;
        legs.tls = lap();
        let hello = Hello {
            instance: info.name.to_string(),
            ..hello.clone()
        };
        let rest = opening::run(&mut stream, dialect, info.engine, &hello, deadline).await?;
        legs.opening = lap();
        self.refresher.worked(info);
        Ok(Tunnel {
            stream,
            rest,
            info: Arc::clone(info),
            legs,
        })
    }
}
