//! New connections, each with one byte there and back.

use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::{Scale, Taken};
use crate::figures::quantile;
use crate::load;

/// Between two connections of [`first_byte`]: what is prepared ahead of need has this long.
const SPACE: Duration = Duration::from_millis(25);
const PARALLEL: usize = 50;

/// How many a second, `at_once` at a time; work is counted in thousands, so that CPU is in ms a connection.
pub(crate) fn rate(entry: SocketAddr, at_once: usize, scale: Scale) -> Result<Taken> {
    let span = Duration::from_millis(scale.of(800, 500));
    let begun = Instant::now();
    let work = move || -> Result<u32> {
        let mut count = 0;
        while begun.elapsed() < span {
            load::first_byte(entry)?;
            count += 1;
        }
        Ok(count)
    };
    let threads: Vec<_> = (0..at_once).map(|_| thread::spawn(work)).collect();
    let mut count = 0;
    for one in threads {
        count += one.join().map_err(|_| anyhow!("a thread panicked"))??;
    }
    let count = f64::from(count);
    Ok(Taken {
        figures: vec![("", count / begun.elapsed().as_secs_f64())],
        work: count / 1e3,
    })
}

/// From nothing to the first byte, with time to breathe between two.
pub(crate) fn first_byte(entry: SocketAddr, scale: Scale) -> Result<Taken> {
    let count = scale.of(50, 30);
    let mut times = Vec::new();
    for _ in 0..count {
        pause(SPACE);
        times.push(load::first_byte(entry)?.as_secs_f64() * 1e6);
    }
    Ok(Taken {
        figures: vec![
            ("-p50", quantile(&mut times, 0.5)),
            ("-p99", quantile(&mut times, 0.99)),
        ],
        work: f64::from(count) / 1e3,
    })
}

/// Many at the same moment, several times over.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn parallel(entry: SocketAddr, scale: Scale) -> Result<Taken> {
    let times_over = scale.of(10, 4);
    let mut times = Vec::new();
    for _ in 0..times_over {
        pause(SPACE);
        let start = Arc::new(Barrier::new(PARALLEL));
        let work = |start: Arc<Barrier>| {
            move || {
                start.wait();
                load::first_byte(entry)
            }
        };
        let threads: Vec<_> = (0..PARALLEL)
            .map(|_| thread::spawn(work(Arc::clone(&start))))
            .collect();
        for one in threads {
            let time = one.join().map_err(|_| anyhow!("a thread panicked"))??;
            times.push(time.as_secs_f64() * 1e6);
        }
    }
    let (half, most) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
    Ok(Taken {
        figures: vec![("-p50", half), ("-p99", most), ("-spread", most / half)],
        work: times.len() as f64 / 1e3,
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the load generator's own thread, which has nothing else to do"
)]
pub(crate) fn pause(span: Duration) {
    thread::sleep(span);
}
