//! The service at the end of the tunnel: takes bytes, gives bytes, echoes, or holds, as the first bytes of a connection say.

use std::io::{ErrorKind, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::Result;

/// What is asked for, in the first byte; a big-endian length of eight bytes follows.
pub(crate) mod request {
    /// Take so many bytes, then answer one byte.
    pub(crate) const TAKE: u8 = b'T';
    /// Give so many bytes, then end.
    pub(crate) const GIVE: u8 = b'G';
    /// Take messages of this length and send each back, until the end.
    pub(crate) const ECHO: u8 = b'E';
    /// The same after one byte at once: a database speaks first, too.
    pub(crate) const GREET: u8 = b'H';
}

/// Bytes written or read at a time by both ends of the benchmark.
pub(crate) const CHUNK: usize = 256 * 1024;

/// Thousands of connections stay open, each with a thread of its own.
const STACK: usize = 64 * 1024;

/// Listens on a free loopback port as long as the process lives.
pub(crate) struct Service(SocketAddr);

impl Service {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let work = move || drop(serve(stream));
                if thread::Builder::new()
                    .stack_size(STACK)
                    .spawn(work)
                    .is_err()
                {
                    break;
                }
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
    let mut request = [0; 9];
    stream.read_exact(&mut request)?;
    let [kind, length @ ..] = request;
    let length = u64::from_be_bytes(length);
    match kind {
        request::TAKE => {
            let mut buffer = vec![0; CHUNK];
            let mut left = length;
            while left > 0 {
                match stream.read(&mut buffer)? {
                    0 => return Err(ErrorKind::UnexpectedEof.into()),
                    taken => left = left.saturating_sub(taken as u64),
                }
            }
            stream.write_all(&[0])
        }
        request::GIVE => {
            let buffer = vec![7; CHUNK];
            let mut left = length;
            while left > 0 {
                let part = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
                stream.write_all(buffer.get(..part).unwrap_or_default())?;
                left -= part as u64;
            }
            Ok(())
        }
        request::ECHO => echo(&mut stream, usize::try_from(length).unwrap_or(CHUNK)),
        request::GREET => {
            stream.write_all(&[0])?;
            echo(&mut stream, usize::try_from(length).unwrap_or(CHUNK))
        }
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// Short messages live on the stack; a long one takes memory only while it passes.
fn echo(stream: &mut TcpStream, length: usize) -> std::io::Result<()> {
    let mut small = [0; 1024];
    loop {
        if let Some(message) = small.get_mut(..length) {
            stream.read_exact(message)?;
            stream.write_all(message)?;
            continue;
        }
        let mut first = [0];
        stream.read_exact(&mut first)?;
        let mut message = vec![first[0]];
        Read::by_ref(stream)
            .take(length.saturating_sub(1) as u64)
            .read_to_end(&mut message)?;
        if message.len() < length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        stream.write_all(&message)?;
    }
}
