//! A wrong clock for one program.

use std::process::Command;

use anyhow::Result;

use crate::paths::installed;

/// Has a command believe that it is this many seconds later, or earlier where they are negative. Its stopwatch is right.
pub fn set_clock(command: &mut Command, seconds: f64) -> Result<()> {
    command
        .env("LD_PRELOAD", installed("libfaketime.so")?)
        .env("FAKETIME", format!("{seconds:+}"))
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Ok(())
}
