//! The client as a library and as a program, against doubles of the CA and of the agent.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what goes wrong in a test ends it"
)]

mod activation;
mod agent;
mod anchor;
mod ca;
mod ca_certificate;
mod change;
mod commands;
mod doctor;
mod flags;
mod health;
mod instances;
mod limits;
mod listeners;
mod many;
mod outage;
mod pki;
mod program;
mod reach;
mod refusals;
mod reload;
mod renewal;
mod sessions;
mod time;
mod trial;
mod world;
mod waterfall;
