//! PostgreSQL's opening.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::machine::{Inputs, Machine as _, Step};
use proto::postgres::Opening;

fuzz_target!(|bytes: &[u8]| {
    let mut opening = Opening::default();
    let mut inputs = Inputs { application: bytes.to_vec(), database: vec![] };
    while let Ok(Step::Send(..)) = opening.step(&mut inputs) {}
});
