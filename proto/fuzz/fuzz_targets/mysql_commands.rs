//! The guard against a change of user: the verdict must not depend on how the stream is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::mysql::CommandGuard;

fuzz_target!(|bytes: &[u8]| {
    let whole = CommandGuard::default().inspect(bytes).is_ok();
    let mut guard = CommandGuard::default();
    let pieces = bytes.chunks(3).all(|piece| guard.inspect(piece).is_ok());
    assert_eq!(whole, pieces);
});
