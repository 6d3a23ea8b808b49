//! One test program, one module per behaviour: linking is slow, so there is one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "e2e/acceptance.rs"]
mod acceptance;
#[path = "e2e/anchor.rs"]
mod anchor;
#[path = "e2e/cut.rs"]
mod cut;
#[path = "e2e/databases.rs"]
mod databases;
#[path = "e2e/deploy.rs"]
mod deploy;
#[path = "e2e/direct.rs"]
mod direct;
#[path = "e2e/documents.rs"]
mod documents;
#[path = "e2e/failures.rs"]
mod failures;
#[path = "e2e/google_connectors.rs"]
mod google_connectors;
#[path = "e2e/grants.rs"]
mod grants;
#[path = "e2e/hosts.rs"]
mod hosts;
#[path = "e2e/layout.rs"]
mod layout;
#[path = "e2e/matrix.rs"]
mod matrix;
#[path = "e2e/narrowing.rs"]
mod narrowing;
#[path = "e2e/openssl.rs"]
mod openssl;
#[path = "e2e/outage.rs"]
mod outage;
#[path = "e2e/raw.rs"]
mod raw;
#[path = "e2e/reach.rs"]
mod reach;
#[path = "e2e/release.rs"]
mod release;
#[path = "e2e/spares.rs"]
mod spares;
#[path = "e2e/sub_commands.rs"]
mod sub_commands;
#[path = "e2e/supply_chain.rs"]
mod supply_chain;
#[path = "e2e/traffic.rs"]
mod traffic;
#[path = "e2e/tunnel.rs"]
mod tunnel;
#[path = "e2e/waterfall.rs"]
mod waterfall;
