//! The agent as a library, on ports of the kernel's choice, against doubles of the other processes: a CA, databases,
//! clients. `process` starts the program itself.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what goes wrong in a test ends it"
)]

mod ca;
mod client;
mod database;
mod mysql;
mod pki;
mod running;

mod certificates;
mod direct;
mod direct_certificates;
mod direct_refusals;
mod engines;
mod enrolment;
mod instances;
mod legs;
mod limits;
mod local_certificate;
mod log_level;
mod patience;
mod policy;
mod process;
mod proxy_protocol;
mod refusals;
mod scans;
mod spares;
mod stuck_log;
mod traces;
mod waterfall;
mod way_out;
