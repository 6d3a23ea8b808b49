//! What the three programs share on the wire, pure: no I/O, no clock, no log.
//!
//! * names: [`InstanceName`], [`AccountName`], and the [`Identity`] that a client certificate carries
//! * [`admin`]: the JSON of Google's Admin API and of our additions to it
//! * [`frame`]: the opening frame of our own dialect (`csql/1`)
//! * [`mysql`], [`postgres`]: database opening exchanges as sans-I/O machines
//! * [`refusal`]: why we say no, and how that reads in the protocol of whoever asked
//! * [`schedule`]: when to renew, how long to wait after a failure

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![warn(clippy::wildcard_enum_match_arm)]

pub mod account;
pub mod admin;
pub mod claims;
pub mod engine;
pub mod frame;
pub mod identity;
pub mod instance;
pub mod key_file;
pub mod machine;
pub mod mysql;
pub mod postgres;
pub mod refusal;
pub mod schedule;

pub use account::AccountName;
pub use engine::Engine;
pub use identity::Identity;
pub use instance::InstanceName;
pub use refusal::{Code, Numbers, Refusal};

/// ALPN protocol of our own dialect. A peer that does not negotiate it speaks Google's bare dialect.
pub const ALPN: &[u8] = b"csql/1";

/// The TCP port of the tunnel: a constant in every Cloud SQL connector.
pub const TUNNEL_PORT: u16 = 3307;
