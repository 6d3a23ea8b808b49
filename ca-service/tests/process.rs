//! The program as a process: commands, exit codes, files, signals, its log.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

#[path = "process/admin.rs"]
mod admin;
#[path = "process/crash.rs"]
mod crash;
#[path = "process/https.rs"]
mod https;
#[path = "process/log.rs"]
mod log;
#[path = "process/names.rs"]
mod names;
#[path = "process/program.rs"]
mod program;
#[path = "process/settings.rs"]
mod settings;
#[path = "process/store_faults.rs"]
mod store_faults;
#[path = "process/stuck_log.rs"]
mod stuck_log;
#[path = "process/told.rs"]
mod told;
