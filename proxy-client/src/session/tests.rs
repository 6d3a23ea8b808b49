//! What a session costs while nothing happens.

use super::*;

/// What a task of this function's takes for as long as it lives.
fn size_of_task<F, A, B, C>(_: impl FnOnce(A, B, C) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn a_session_takes_little_memory_while_it_rests() {
    let size = size_of_task(run);
    assert!(size <= 2048, "{size} bytes");
}
