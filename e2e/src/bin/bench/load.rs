//! What is measured, and how.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::service::{BULK, CHUNK, request};

const ROUND_TRIPS: usize = 5_000;
const CONNECTIONS: usize = 200;

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// One stream towards the database.
    BulkUp,
    /// One stream from the database.
    BulkDown,
    /// 64 bytes there and back, one after the other: the median.
    RoundTrip,
    /// New connection, one byte there and back, one after the other.
    Connect,
}

impl Measure {
    pub(crate) const ALL: [Self; 4] =
        [Self::BulkUp, Self::BulkDown, Self::RoundTrip, Self::Connect];

    /// The row's name, with the unit of [`Measure::run`].
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BulkUp => "bulk up, 1 stream, GB/s",
            Self::BulkDown => "bulk down, 1 stream, GB/s",
            Self::RoundTrip => "round trip of 64 bytes, p50, us",
            Self::Connect => "new connections and 1 byte, sequential, per s",
        }
    }

    /// How many GB, thousands of round trips, or hundreds of connections one run is, and its unit for CPU time.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(crate) fn work(self) -> (f64, &'static str) {
        match self {
            Self::BulkUp | Self::BulkDown => (BULK as f64 / 1e9, "CPU s per GB"),
            Self::RoundTrip => (ROUND_TRIPS as f64 / 1e5, "CPU s per 100k round trips"),
            Self::Connect => (CONNECTIONS as f64 / 1e3, "CPU ms per connection"),
        }
    }

    /// Runs it once against an address.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(crate) fn run(self, address: SocketAddr) -> Result<f64> {
        let begun = Instant::now();
        let per_second = |count: usize| count as f64 / begun.elapsed().as_secs_f64();
        Ok(match self {
            Self::BulkUp => {
                bulk_up(address)?;
                per_second(BULK) / 1e9
            }
            Self::BulkDown => {
                bulk_down(address)?;
                per_second(BULK) / 1e9
            }
            Self::RoundTrip => round_trips(address)?.as_secs_f64() * 1e6,
            Self::Connect => {
                (0..CONNECTIONS).try_for_each(|_| connect(address).and_then(|s| echo(s, 1)))?;
                per_second(CONNECTIONS)
            }
        })
    }
}

/// Opens sessions that have echoed 256 KiB and now say nothing.
pub(crate) fn idle(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    (0..count)
        .map(|_| {
            let stream = connect(address)?;
            echo(stream.try_clone()?, CHUNK)?;
            Ok(stream)
        })
        .collect()
}

fn open(address: SocketAddr, request: u8) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(&[request])?;
    Ok(stream)
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    open(address, request::ECHO)
}

fn echo(mut stream: TcpStream, length: usize) -> Result<()> {
    let mut buffer = vec![7; length];
    stream.write_all(&buffer)?;
    stream.read_exact(&mut buffer)?;
    Ok(())
}

fn bulk_up(address: SocketAddr) -> Result<()> {
    let mut stream = open(address, request::TAKE)?;
    let buffer = vec![7; CHUNK];
    for _ in 0..BULK / CHUNK {
        stream.write_all(&buffer)?;
    }
    stream.shutdown(Shutdown::Write)?;
    stream.read_exact(&mut [0])?;
    Ok(())
}

fn bulk_down(address: SocketAddr) -> Result<()> {
    let mut stream = open(address, request::GIVE)?;
    let mut buffer = vec![0; CHUNK];
    let mut received = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            length => received += length,
        }
    }
    ensure!(received == BULK, "{received} of {BULK} bytes came");
    Ok(())
}

/// The median of many round trips.
fn round_trips(address: SocketAddr) -> Result<Duration> {
    let mut stream = connect(address)?;
    let mut message = [7; 64];
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let begun = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times.get(ROUND_TRIPS / 2).copied().unwrap_or_default())
}
