//! Real databases and real clients against the real binaries: the harness that the tests and the quickstart share.
//!
//! A [`place::Place`] is a temporary folder with a loopback address of its own, so tests run side by side. In it live
//! a [`databases::Database`], the programs ([`authority::Authority`], [`agent::Agent`], [`proxy::Proxy`]), and against
//! them run the [`clients::Client`]s. Whatever is started ends when its value is dropped.

pub mod agent;
pub mod authority;
pub mod clients;
pub mod clock;
pub mod databases;
pub mod drivers;
pub mod enclave;
pub mod google;
pub mod impostor;
pub mod matrix;
pub mod nameserver;
pub mod network;
pub mod paths;
pub mod place;
pub mod probe;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod relay;
pub mod tally;
pub mod wait;
pub mod world;
