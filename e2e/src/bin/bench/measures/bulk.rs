//! Bytes in one direction, as fast as they go.

use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};

use super::{Scale, Taken};
use crate::load::{bulk_down, bulk_up};

const MIB: usize = 1 << 20;

/// Seen from the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
}

#[expect(clippy::cast_precision_loss, reason = "bytes far below 2^52")]
pub(crate) fn run(
    direction: Direction,
    streams: usize,
    entry: SocketAddr,
    scale: Scale,
) -> Result<Taken> {
    let each = scale.of(512, 256) * MIB / streams;
    let begun = Instant::now();
    let work = move || match direction {
        Direction::Up => bulk_up(entry, each),
        Direction::Down => bulk_down(entry, each),
    };
    let threads: Vec<_> = (0..streams).map(|_| thread::spawn(work)).collect();
    for one in threads {
        one.join()
            .map_err(|_| anyhow!("a stream's thread panicked"))??;
    }
    let gigabytes = (each * streams) as f64 / 1e9;
    Ok(Taken {
        figures: vec![("", gigabytes / begun.elapsed().as_secs_f64())],
        work: gigabytes,
    })
}
