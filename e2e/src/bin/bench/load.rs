//! What the load generator does with one connection to a [`Service`](crate::service::Service).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::service::{CHUNK, request};

const PATIENCE: Duration = Duration::from_secs(60);

/// Opens a connection and says what it is for.
fn open(address: SocketAddr, request: u8, length: usize) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let [a, b, c, d, e, f, g, h] = (length as u64).to_be_bytes();
    stream.write_all(&[request, a, b, c, d, e, f, g, h])?;
    Ok(stream)
}

/// A connection that echoes messages of one length.
pub(crate) fn echoing(address: SocketAddr, length: usize) -> Result<TcpStream> {
    open(address, request::ECHO, length)
}

/// The same, once one byte has come from the far end.
pub(crate) fn greeted(address: SocketAddr, length: usize) -> Result<TcpStream> {
    let mut stream = open(address, request::GREET, length)?;
    stream.read_exact(&mut [0])?;
    Ok(stream)
}

/// Sends a message and waits for all of it to come back.
pub(crate) fn round_trip(stream: &mut TcpStream, message: &mut [u8]) -> Result<()> {
    stream.write_all(message)?;
    stream.read_exact(message)?;
    Ok(())
}

/// From nothing to the first byte back from the far end.
pub(crate) fn first_byte(address: SocketAddr) -> Result<Duration> {
    let begun = Instant::now();
    let mut stream = echoing(address, 1)?;
    round_trip(&mut stream, &mut [7])?;
    Ok(begun.elapsed())
}

pub(crate) fn bulk_up(address: SocketAddr, length: usize) -> Result<()> {
    let mut stream = open(address, request::TAKE, length)?;
    let buffer = vec![7; CHUNK];
    let mut left = length;
    while left > 0 {
        let part = left.min(CHUNK);
        stream.write_all(buffer.get(..part).unwrap_or_default())?;
        left -= part;
    }
    stream.read_exact(&mut [0])?;
    Ok(())
}

pub(crate) fn bulk_down(address: SocketAddr, length: usize) -> Result<()> {
    let mut stream = open(address, request::GIVE, length)?;
    let mut buffer = vec![0; CHUNK];
    let mut received = 0;
    while received < length {
        let part = stream.read(&mut buffer)?;
        ensure!(part > 0, "{received} of {length} bytes came");
        received += part;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::service::Service;

    #[test]
    fn the_service_takes_gives_echoes_and_greets() {
        let address = Service::start().unwrap().address();
        let odd = 3 * CHUNK + 17;
        bulk_up(address, odd).unwrap();
        bulk_down(address, odd).unwrap();
        assert!(first_byte(address).unwrap() > Duration::ZERO);
        let mut stream = greeted(address, CHUNK).unwrap();
        let sent: Vec<u8> = (0..=255).cycle().take(CHUNK).collect();
        for _ in 0..2 {
            let mut message = sent.clone();
            round_trip(&mut stream, &mut message).unwrap();
            assert!(message == sent);
        }
    }

    #[test]
    fn a_request_that_is_none_ends_the_connection() {
        let address = Service::start().unwrap().address();
        let mut stream = open(address, b'?', 1).unwrap();
        let ended = match stream.read(&mut [0]) {
            Ok(length) => length == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        };
        assert!(ended);
    }

    #[test]
    fn nobody_there_is_an_error_and_no_figure() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = gone.local_addr().unwrap();
        drop(gone);
        assert!(first_byte(address).is_err());
        assert!(bulk_down(address, 1).is_err());
    }
}
