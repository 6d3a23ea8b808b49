//! Sockets, TLS, accept loop, copy loop, and the CA's API as a caller sees it.
//!
//! * [`socket`]: TCP and Unix sockets as one type, their options, dialling
//! * [`accept`]: listeners, and the loop that hands out connections under a limit
//! * [`tls`]: the only place with rustls types: both sides of the tunnel, and the judges of certificates
//! * [`handshake`]: the one driver of `proto`'s machines
//! * [`tunnel`]: the copy loop
//! * [`authority`]: the CA's API as a caller sees it
//! * [`traces`]: what is told of sessions to an OpenTelemetry collector

pub mod accept;
pub mod authority;
mod buffer;
mod deadline;
pub mod error;
pub mod handshake;
pub mod socket;
pub mod tls;
pub mod traces;
pub mod tunnel;

use std::sync::Arc;
use std::time::SystemTime;

pub use error::{Blame, Retry};

/// The clock that judges certificates, given by whoever runs the program.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;
