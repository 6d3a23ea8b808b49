//! `cloudsql-proxy`: the client beside the application.
//!
//! The walk of a connection: [`mount`] binds, [`serve`] accepts, [`session`] tells the story, [`connector`] opens the
//! tunnel with what [`refresh`] keeps fresh, and `transport` carries the bytes.

pub mod admin;
pub mod command;
pub mod config;
pub mod connector;
pub mod conversations;
pub mod doctor;
pub mod error;
pub mod health;
pub mod legs;
pub mod metrics;
pub mod mount;
pub mod refresh;
pub mod serve;
pub mod session;
pub mod sessions;
pub mod settings;
