//! The service at the end of the tunnel: takes bytes, gives bytes, or echoes, as the first byte of a connection says.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::Result;

/// What is asked for, in the first byte.
pub(crate) mod request {
    /// Take all bytes until the end, then answer one byte.
    pub(crate) const TAKE: u8 = b'T';
    /// Give [`super::BULK`] bytes, then end.
    pub(crate) const GIVE: u8 = b'G';
    /// Send back what comes.
    pub(crate) const ECHO: u8 = b'E';
}

/// Bytes of one bulk transfer.
pub(crate) const BULK: usize = 512 * 1024 * 1024;
/// Bytes written or read at a time by both ends of the benchmark.
pub(crate) const CHUNK: usize = 256 * 1024;

/// Listens on a free loopback port as long as the process lives.
pub(crate) struct Service(SocketAddr);

impl Service {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(stream));
            }
        });
        Ok(Self(address))
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.0
    }
}

/// A peer that goes away ends its connection and nothing else.
fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0];
    stream.read_exact(&mut request)?;
    let mut buffer = vec![0; CHUNK];
    match request {
        [request::TAKE] => {
            while stream.read(&mut buffer)? > 0 {}
            stream.write_all(&[0])
        }
        [request::GIVE] => (0..BULK / CHUNK).try_for_each(|_| stream.write_all(&buffer)),
        [request::ECHO] => loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                length => stream.write_all(buffer.get(..length).unwrap_or_default())?,
            }
        },
        _ => Err(ErrorKind::InvalidData.into()),
    }
}
