//! A grant that names database users lets in nobody else, whatever the engine and however it is tried.

#[path = "narrowing/engines.rs"]
mod engines;
#[path = "narrowing/straddling.rs"]
mod straddling;
