//! A large result set, read as it comes.

use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, ensure};
use e2e::clients::{Address, Login};
use e2e::databases::{PASSWORD, SCHEMA};
use e2e::raw::{Raw, Wish};

use super::sysbench::ROWS;
use super::{Scale, Taken};
use crate::service::CHUNK;

/// What the time is given for, whatever part of it is read.
const WHOLE: f64 = 500e6;
/// The least that one row takes: four columns, two of them texts of 119 and 59 bytes, and the header.
const LEAST_ROW: usize = 4 + 2 + 2 + 120 + 60;
const QUERY: u8 = 3;
const QUIT: u8 = 1;

/// Seconds for 500 MB of sysbench's rows.
#[expect(clippy::cast_precision_loss, reason = "bytes far below 2^52")]
pub(crate) fn run(entry: SocketAddr, scale: Scale) -> Result<Taken> {
    let address = Address::Tcp {
        host: entry.ip(),
        port: entry.port(),
    };
    let login = Login::new("app", PASSWORD, SCHEMA);
    let mut raw = Raw::log_in(&address, &Wish::new(&login, false))?;
    let times = scale.of(256, 64);
    let sql = format!("SELECT a.* FROM sbtest1 a, (SELECT id FROM sbtest1 LIMIT {times}) b");
    let begun = Instant::now();
    raw.command(&[&[QUERY], sql.as_bytes()].concat())?;
    // The server closes once it has answered, so that the end is seen without looking into packets.
    raw.command(&[QUIT])?;
    let mut socket = raw.socket().twin()?;
    let mut buffer = vec![0; CHUNK];
    let mut received: usize = 0;
    loop {
        match socket.read(&mut buffer)? {
            0 => break,
            length => received += length,
        }
    }
    let expected = ROWS as usize * times * LEAST_ROW;
    ensure!(
        received >= expected,
        "{received} of {expected} bytes of a result set came"
    );
    let received = received as f64;
    Ok(Taken {
        figures: vec![("", begun.elapsed().as_secs_f64() * WHOLE / received)],
        work: received / 1e9,
    })
}
