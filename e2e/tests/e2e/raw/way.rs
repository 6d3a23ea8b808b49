//! The ways to a database.

/// How the agent reaches the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    /// Its Unix socket, through a meter.
    Unix,
    /// TCP, through a meter.
    Tcp,
    /// Its own Unix socket: the meter, which is another user than the agent, would pass for the agent.
    Own,
}

/// A way to a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing in between.
    Past(Leg),
    /// Client and agent, which offers TLS inside the tunnel.
    Tunnel(Leg),
    /// Client and agent by TCP, without TLS inside.
    Quiet,
    /// Client by Unix socket, and agent by TCP, which offers TLS inside the tunnel.
    Socket,
    /// The agent's listener for MySQL clients, which offers TLS.
    Direct(Leg),
}

impl Way {
    /// Those by which an application may speak TLS.
    pub(super) const TLS: [Self; 4] = [
        Self::Tunnel(Leg::Unix),
        Self::Tunnel(Leg::Tcp),
        Self::Direct(Leg::Unix),
        Self::Direct(Leg::Tcp),
    ];
    /// All that lead through the agent.
    pub(super) const ALL: [Self; 6] = [
        Self::Socket,
        Self::Tunnel(Leg::Unix),
        Self::Tunnel(Leg::Tcp),
        Self::Direct(Leg::Unix),
        Self::Direct(Leg::Tcp),
        Self::Quiet,
    ];

    /// How the agent reaches the database.
    pub(super) const fn leg(self) -> Leg {
        match self {
            Self::Past(leg) | Self::Tunnel(leg) | Self::Direct(leg) => leg,
            Self::Quiet | Self::Socket => Leg::Tcp,
        }
    }
}
