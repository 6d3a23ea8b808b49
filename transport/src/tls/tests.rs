//! Tests of TLS: certificates made on the spot, real sockets, real alerts.

mod client;
mod database;
mod ends;
mod hostile;
mod interop;
mod last_words;
mod material;
mod meeting;
mod new_keys;
mod pki;
mod server;
mod steady;
mod stream;
mod verify;
mod wrappers;
