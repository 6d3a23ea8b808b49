//! One test program, one module per behaviour: linking is slow, so there is one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "e2e/direct.rs"]
mod direct;
