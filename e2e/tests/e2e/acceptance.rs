//! The login acceptance list against real databases and real clients, one test a row; the row's number is in the
//! test's name. Rows share what is in [`shared`].

#[path = "acceptance/caching_sha2.rs"]
mod caching_sha2;
#[path = "acceptance/change_user.rs"]
mod change_user;
#[path = "acceptance/checks.rs"]
mod checks;
#[path = "acceptance/compression.rs"]
mod compression;
#[path = "acceptance/drivers.rs"]
mod drivers;
#[path = "acceptance/legs.rs"]
mod legs;
#[path = "acceptance/mariadb.rs"]
mod mariadb;
#[path = "acceptance/mysql_cli.rs"]
mod mysql_cli;
#[path = "acceptance/proxy_protocol.rs"]
mod proxy_protocol;
#[path = "acceptance/refusals.rs"]
mod refusals;
#[path = "acceptance/servers.rs"]
mod servers;
#[path = "acceptance/shared.rs"]
mod shared;
#[path = "acceptance/stage.rs"]
mod stage;
#[path = "acceptance/tls_modes.rs"]
mod tls_modes;
#[path = "acceptance/trace.rs"]
mod trace;
