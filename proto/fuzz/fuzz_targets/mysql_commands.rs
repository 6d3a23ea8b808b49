//! The watch for a change of user: what is found must not depend on how the stream is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::mysql::Commands;

fuzz_target!(|bytes: &[u8]| {
    let whole = Commands::default().look(bytes);
    let (mut commands, mut passed, mut held) = (Commands::default(), 0, Vec::new());
    for piece in bytes.chunks(3) {
        held.extend_from_slice(piece);
        let seen = commands.look(&held);
        passed += seen.pass;
        held.drain(..seen.pass);
        if seen.changes_user {
            break;
        }
    }
    assert_eq!(passed, whole.pass);
});
