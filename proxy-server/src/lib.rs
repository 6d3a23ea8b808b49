//! `cloudsql-proxy-server`: the agent beside a database.
//!
//! Clients of the CA's reach it on port 3307 by mutual TLS; it lets in whom the CA has granted access, and carries their
//! bytes to the database beside it. Read it along the walk of a connection: [`serve()`], `session`, TLS (in
//! `transport`), `admission`, `backend`, `login`, the tunnel (in `transport`). Beside that walk, `enrolment` keeps
//! `material` fresh.

mod admission;
mod backend;
mod carry;
mod config;
mod direct;
mod enrolment;
mod error;
mod legs;
mod limits;
mod login;
mod material;
mod metrics;
mod preamble;
mod prepare;
mod readiness;
mod refuse;
mod run_as;
mod serve;
mod session;
mod settings;

pub use config::{Config, Deadlines};
pub use error::ServeError;
pub use prepare::{Prepared, prepare};
pub use serve::serve;
pub use settings::Settings;
