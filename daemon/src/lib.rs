//! What every daemon has: settings, log, metrics, health, shutdown.
//!
//! * [`settings`]: flags over environment over file, with all complaints told together
//! * [`environment`], [`clock`]: the one place each where the process's surroundings and the time are read
//! * [`log`], [`metrics`], [`health`], [`notify`]: how the program tells others how it is
//! * [`shutdown`], [`exit`]: how it ends
//! * [`harden`]: what it gives up at its start

pub mod address_file;
pub mod clock;
pub mod environment;
pub mod exit;
pub mod harden;
pub mod health;
pub mod log;
pub mod metrics;
pub mod notify;
pub mod settings;
pub mod shutdown;
pub mod text;
