//! The opening frame of `csql/1`, in whatever pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::frame::{Answer, Hello, decode};

fuzz_target!(|bytes: &[u8]| {
    drop(decode::<Hello>(&mut bytes.to_vec()));
    drop(decode::<Answer>(&mut bytes.to_vec()));
});
