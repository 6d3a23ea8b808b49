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
mod dns;
mod doctor;
mod flags;
mod health;
mod instances;
mod limits;
mod listeners;
mod many;
mod names;
mod openings;
mod outage;
mod pki;
mod ports;
mod program;
mod reach;
mod refusals;
mod reload;
mod renewal;
mod sessions;
mod spares;
mod time;
mod traces;
mod trial;
mod waterfall;
mod world;
