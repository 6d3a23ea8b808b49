//! 64 bytes there and back, one after the other on one connection.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Result;

use super::{Scale, Taken};
use crate::figures::quantile;
use crate::load::{echoing, round_trip};

const LENGTH: usize = 64;
const WARM_UP: u32 = 200;

pub(crate) fn run(entry: SocketAddr, scale: Scale) -> Result<Taken> {
    let trips = scale.of(10_000, 3_000);
    let mut stream = echoing(entry, LENGTH)?;
    let mut message = [7; LENGTH];
    for _ in 0..WARM_UP {
        round_trip(&mut stream, &mut message)?;
    }
    let mut times = Vec::new();
    for _ in 0..trips {
        let begun = Instant::now();
        round_trip(&mut stream, &mut message)?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(Taken {
        figures: vec![
            ("-p50", quantile(&mut times, 0.5)),
            ("-p99", quantile(&mut times, 0.99)),
        ],
        work: f64::from(trips + WARM_UP) / 1e5,
    })
}
