//! From an instance to an open tunnel: fresh information, a socket, TLS, and the agent's consent.

mod dial;
mod opening;
mod places;
mod reach;
mod spares;

use std::sync::Arc;
use std::time::Duration;

use proto::frame::Hello;
use proto::machine::Inputs;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::debug;
use transport::error::{DialError, chain};
use transport::socket::{Names, Proxies, TcpOptions};
use transport::tls::{Dialect, TlsStream};

use crate::config::ConnectTo;
use crate::error::SessionError;
use crate::legs::Legs;
use crate::refresh::{ConnectionInfo, Refresher};
pub use reach::{Reach, Sign};
use spares::Spare;
pub use spares::Spares;

/// The options of a leg whose tunnel is kept ready: that the network is gone shows soon, and sooner still when it is used,
/// for then an application waits.
const WHILE_SPARE: TcpOptions = TcpOptions {
    keepalive_time: Duration::from_secs(10),
    keepalive_interval: Duration::from_secs(5),
    keepalive_retries: 2,
    user_timeout: Some(Duration::from_secs(2)),
};

/// Opens tunnels to one instance.
pub struct Connector {
    /// Keeps what it needs fresh.
    pub refresher: Arc<Refresher>,
    /// The port of the agents.
    pub tunnel_port: u16,
    /// Where the agent is, whatever the CA says.
    pub connect_to: Option<ConnectTo>,
    /// Which way out is taken.
    pub proxies: Proxies,
    /// Options of the TCP leg.
    pub tcp: TcpOptions,
    /// Who resolves names.
    pub names: Names,
    /// Tunnels that are kept ready.
    pub spares: Spares,
    /// The last sign of life of the agent.
    pub reach: Reach,
}

/// Longest time of a check.
const CHECK: Duration = Duration::from_secs(5);

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
    /// Whether it was kept ready: then no handshake was to be waited for.
    pub was_ready: bool,
}

impl Connector {
    /// A tunnel for an application: one that was kept ready where there is one, else as [`Self::connect`] opens it.
    ///
    /// # Errors
    /// [`SessionError`] says what the application is to be told.
    pub async fn open(
        self: &Arc<Self>,
        hello: Hello,
        deadline: Instant,
    ) -> Result<Tunnel, SessionError> {
        let begun = Instant::now();
        let info = self.refresher.info(deadline).await?;
        let certificate = begun.elapsed();
        let ready = match self.spares.take(&info) {
            Some(spare) => self.open_spare(spare, &hello, deadline).await,
            None => None,
        };
        let lost = begun.elapsed().saturating_sub(certificate);
        let opened = match ready {
            Some(opened) => opened,
            // What a dead one has cost is a part of the agent's silence.
            None => self.connect(hello, deadline).await.map(|mut tunnel| {
                tunnel.legs.opening = tunnel.legs.opening.saturating_add(lost);
                tunnel
            }),
        };
        if opened.is_ok() {
            self.spares.refill(self);
        }
        opened.map(|mut tunnel| {
            tunnel.legs.certificate = tunnel.legs.certificate.max(certificate);
            tunnel
        })
    }

    /// Opens a tunnel that was kept ready; `None` where a fresh one may do better. Nothing of the application's is lost
    /// with it: no byte of its was sent.
    async fn open_spare(
        &self,
        mut spare: Spare,
        hello: &Hello,
        deadline: Instant,
    ) -> Option<Result<Tunnel, SessionError>> {
        let opened = match spare.watch_here() {
            Ok(()) => open(spare.stream, Dialect::Framed, &spare.info, hello, deadline).await,
            Err(error) => Err(SessionError::Closed(Some(error))),
        };
        match opened {
            Ok((mut tunnel, patience)) => {
                if let Err(error) = tunnel.stream.tune(&self.tcp) {
                    debug!(%error, "a tunnel keeps the options that it was made with");
                }
                tunnel.was_ready = true;
                self.refresher.worked(&spare.info);
                self.spares.learn(None, patience);
                self.spares.used();
                Some(Ok(tunnel))
            }
            Err(error) if error.is_mended_by_another_tunnel() => {
                debug!(
                    error = chain(&error),
                    "a tunnel that was kept ready was dead"
                );
                self.spares.was_dead();
                None
            }
            Err(error) => {
                self.spares.used();
                Some(Err(error))
            }
        }
    }

    /// Opens a tunnel. When the agent refuses what we show, or shows what we refuse, tries once more with news from the CA.
    ///
    /// # Errors
    /// [`SessionError`] says what the application is to be told.
    pub async fn connect(&self, hello: Hello, deadline: Instant) -> Result<Tunnel, SessionError> {
        let begun = Instant::now();
        let info = self.refresher.info(deadline).await?;
        let certificate = begun.elapsed();
        let opened = match self.attempt(&info, &hello, deadline).await {
            Err(error) => match self.mended(&info, &error, deadline).await {
                Some(Ok(newer)) => self.attempt(&newer, &hello, deadline).await,
                // What the CA says explains the refusal better, but only if it says something.
                Some(Err(_)) | None => Err(error),
            },
            done => done,
        };
        opened.map(|mut tunnel| {
            tunnel.legs.certificate = certificate;
            tunnel
        })
    }

    /// What another attempt may succeed with: the domain leads to another instance, or the CA has something newer.
    async fn mended(
        &self,
        info: &ConnectionInfo,
        error: &SessionError,
        deadline: Instant,
    ) -> Option<Result<Arc<ConnectionInfo>, SessionError>> {
        let is_mended = error.is_mended_by_refresh();
        let may_be_elsewhere = is_mended || matches!(error, SessionError::Dial(_));
        if may_be_elsewhere && self.refresher.leads_elsewhere(info.number()).await {
            return Some(self.refresher.info(deadline).await);
        }
        if !is_mended {
            return None;
        }
        self.refresher.newer_than(info, deadline).await
    }

    async fn attempt(
        &self,
        info: &Arc<ConnectionInfo>,
        hello: &Hello,
        deadline: Instant,
    ) -> Result<Tunnel, SessionError> {
        let mut legs = Legs::default();
        let begun = Instant::now();
        let reached = async {
            let socket = self.dial(info, &self.tcp, deadline).await;
            let socket = socket.inspect_err(|_| self.refresher.suspect())?;
            legs.tcp = begun.elapsed();
            Ok(info.tls.begin(socket, deadline).await?)
        };
        let reached = reached.await;
        self.reach.note(&reached);
        let (stream, dialect) = reached?;
        let took = begun.elapsed();
        legs.tls = took.saturating_sub(legs.tcp);
        let (mut tunnel, patience) = open(stream, dialect, info, hello, deadline).await?;
        legs.opening = tunnel.legs.opening;
        tunnel.legs = legs;
        self.refresher.worked(info);
        self.spares.learn(Some(took), patience);
        Ok(tunnel)
    }

    /// A connection to an agent.
    async fn dial(
        &self,
        info: &ConnectionInfo,
        options: &TcpOptions,
        deadline: Instant,
    ) -> Result<TcpStream, DialError> {
        let places = self.places(info, deadline).await?;
        dial::any(places, (&self.proxies, &self.names), options, deadline).await
    }

    /// A tunnel as far as it goes without the database.
    async fn handshake(
        &self,
        info: &ConnectionInfo,
        deadline: Instant,
    ) -> Result<(TlsStream, Dialect), SessionError> {
        let reached = async {
            let socket = self.dial(info, &WHILE_SPARE, deadline).await?;
            Ok(info.tls.connect(socket, deadline).await?)
        };
        let reached = reached.await;
        self.reach.note(&reached);
        reached
    }

    /// Shakes hands with the agent, as for a tunnel that is kept ready, and leaves: the database is not reached.
    ///
    /// Nothing without a certificate: what hinders that is known without a check.
    pub async fn check(&self) {
        let Some(info) = self.refresher.valid() else {
            return;
        };
        let checked = self.handshake(&info, Instant::now() + CHECK).await;
        if matches!(checked, Ok((_, Dialect::Bare))) {
            self.reach.never_check();
        }
    }
}

/// Opens a tunnel on a stream.
async fn open(
    mut stream: TlsStream,
    dialect: Dialect,
    info: &Arc<ConnectionInfo>,
    hello: &Hello,
    deadline: Instant,
) -> Result<(Tunnel, Option<u32>), SessionError> {
    let begun = Instant::now();
    let hello = Hello {
        instance: info.name.to_string(),
        ..hello.clone()
    };
    let opened = opening::run(&mut stream, dialect, info.engine, &hello, deadline).await?;
    let tunnel = Tunnel {
        stream,
        rest: opened.rest,
        info: Arc::clone(info),
        legs: Legs {
            opening: begun.elapsed(),
            ..Legs::default()
        },
        was_ready: false,
    };
    Ok((tunnel, opened.patience))
}
