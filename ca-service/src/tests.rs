//! Tests of the service as a whole: a real server on a free port, a real store, real HTTP.

mod agent;
mod answer;
mod bounds;
mod caller;
mod faults;
mod hosts;
mod https;
mod identities;
mod issuing;
mod malformed;
mod operator_certificate;
pub(crate) mod pki;
mod refusals;
mod replay;
mod secrets;
mod server_names;
mod store_failures;
mod timing;
mod world;

pub(crate) use world::World;
