//! A relay between agent and database that keeps what passes, so that a test can say what was on the wire.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, bail};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::clients::Address;
use crate::place::Place;

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// Bytes of a session that are kept: the opening exchange, and little more.
const KEPT: usize = 256 * 1024;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The agent.
    Agent,
    /// The database.
    Database,
}

/// One packet of MySQL's protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who sent it.
    pub side: Side,
    /// Its number.
    pub sequence: u8,
    /// What it says.
    pub payload: Vec<u8>,
}

type Tape = Arc<Mutex<Vec<(Side, Vec<u8>)>>>;
type Tapes = Arc<Mutex<Vec<Tape>>>;

/// A listener of the kind that its database has; each connection to it becomes one to the database.
pub struct Relay {
    address: Address,
    tapes: Tapes,
    closing: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts one in front of `database`.
    pub fn start(place: &Place, database: &Address) -> Result<Self> {
        let tapes = Tapes::default();
        let closing = Arc::new(AtomicBool::new(false));
        let (address, accepting) = match database {
            Address::Tcp { host, port } => {
                let listener = TcpListener::bind((place.address(), 0))?;
                let address = listener.local_addr()?;
                let to = SocketAddr::new(*host, *port);
                let accept = move || Ok((listener.accept()?.0, TcpStream::connect(to)?));
                let address = Address::Tcp {
                    host: address.ip(),
                    port: address.port(),
                };
                (address, accept_all(accept, &tapes, &closing))
            }
            Address::Socket(to) => {
                let number = COUNTER.fetch_add(1, Ordering::Relaxed);
                let path = place.join(&format!("relay-{number}.sock"));
                let listener = bind_for_all(&path)?;
                let to = to.clone();
                let accept = move || Ok((listener.accept()?.0, UnixStream::connect(&to)?));
                (Address::Socket(path), accept_all(accept, &tapes, &closing))
            }
        };
        Ok(Self {
            address,
            tapes,
            closing,
            accepting: Some(accepting),
        })
    }

    /// Starts one at an address of choice before any TCP listener, which sees `source` as the address of its clients.
    pub fn calling_from(source: IpAddr, at: IpAddr, listener: &Address) -> Result<Self> {
        let Address::Tcp { host, port } = listener else {
            bail!("only TCP has source addresses");
        };
        let to = SocketAddr::new(*host, *port);
        let own = TcpListener::bind((at, 0))?;
        let address = own.local_addr()?;
        let (tapes, closing) = (Tapes::default(), Arc::new(AtomicBool::new(false)));
        let accept = move || Ok((own.accept()?.0, connect_from(source, to)?));
        let accepting = accept_all(accept, &tapes, &closing);
        Ok(Self {
            address: Address::Tcp {
                host: address.ip(),
                port: address.port(),
            },
            tapes,
            closing,
            accepting: Some(accepting),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Forgets what passed so far.
    pub fn rewind(&self) {
        locked(&self.tapes).clear();
    }

    /// How many sessions there were since `rewind`.
    pub fn sessions(&self) -> usize {
        locked(&self.tapes).len()
    }

    /// All packets of the newest session, in the order in which they were complete.
    pub fn trace(&self) -> Result<Vec<Packet>> {
        let tape = locked(&self.tapes).last().cloned();
        let tape = tape.context("no session has passed the relay")?;
        let chunks = locked(&tape).clone();
        Ok(packets(&chunks))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        // Wakes the accepting thread; when nothing listens any more it has ended already.
        let woken = match &self.address {
            Address::Tcp { host, port } => TcpStream::connect((*host, *port)).is_ok(),
            Address::Socket(path) => UnixStream::connect(path).is_ok(),
        };
        if woken && let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn connect_from(source: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = socket(
        if to.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        },
        SocketType::STREAM,
        None,
    )?;
    bind(&socket, &SocketAddr::new(source, 0))?;
    connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}

fn bind_for_all(path: &PathBuf) -> Result<UnixListener> {
    let listener = UnixListener::bind(path).with_context(|| path.display().to_string())?;
    // The agent is another user.
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o777))?;
    Ok(listener)
}

fn accept_all<S: Stream>(
    accept: impl Fn() -> std::io::Result<(S, S)> + Send + 'static,
    tapes: &Tapes,
    closing: &Arc<AtomicBool>,
) -> JoinHandle<()> {
    let (tapes, closing) = (Arc::clone(tapes), Arc::clone(closing));
    std::thread::spawn(move || {
        while !closing.load(Ordering::SeqCst) {
            // A database that is down makes the pair fail: the agent then sees its connection close.
            if let Ok((agent, database)) = accept() {
                let tape = Tape::default();
                locked(&tapes).push(Arc::clone(&tape));
                relay(agent, database, &tape);
            }
        }
    })
}

/// Copies both ways until both ends have said all.
fn relay<S: Stream>(agent: S, database: S, tape: &Tape) {
    let Ok(ends) = agent.twin().and_then(|a| Ok((a, database.twin()?))) else {
        return;
    };
    let (one, other) = (Arc::clone(tape), Arc::clone(tape));
    std::thread::spawn(move || copy(Side::Agent, agent, database, &one));
    std::thread::spawn(move || copy(Side::Database, ends.1, ends.0, &other));
}

fn copy(side: Side, mut from: impl Stream, mut to: impl Stream, tape: &Tape) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => buffer.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let mut tape = locked(tape);
        let kept: usize = tape.iter().map(|(_, bytes)| bytes.len()).sum();
        if kept < KEPT {
            tape.push((side, read.to_vec()));
        }
        drop(tape);
        if to.write_all(read).is_err() {
            break;
        }
    }
    to.finish();
}

/// Cuts chunks into packets.
fn packets(chunks: &[(Side, Vec<u8>)]) -> Vec<Packet> {
    let (mut agent, mut database, mut packets) = (Vec::new(), Vec::new(), Vec::new());
    for (side, bytes) in chunks {
        let pending = match side {
            Side::Agent => &mut agent,
            Side::Database => &mut database,
        };
        pending.extend_from_slice(bytes);
        while let Some(&[a, b, c, sequence]) = pending.first_chunk() {
            let length = u32::from_le_bytes([a, b, c, 0]);
            let end = usize::try_from(length)
                .unwrap_or(usize::MAX)
                .saturating_add(4);
            let Some(payload) = pending.get(4..end).map(<[u8]>::to_vec) else {
                break;
            };
            packets.push(Packet {
                side: *side,
                sequence,
                payload,
            });
            pending.drain(..end);
        }
    }
    packets
}

/// A poisoned lock means that a test has failed already; what is in it is still true.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

trait Stream: Read + Write + Send + Sized + 'static {
    fn twin(&self) -> std::io::Result<Self>;
    /// Says that no more comes. The peer may be gone already.
    fn finish(&self);
}

impl Stream for TcpStream {
    fn twin(&self) -> std::io::Result<Self> {
        self.set_nodelay(true)?;
        self.try_clone()
    }

    fn finish(&self) {
        drop(self.shutdown(Shutdown::Write));
    }
}

impl Stream for UnixStream {
    fn twin(&self) -> std::io::Result<Self> {
        self.try_clone()
    }

    fn finish(&self) {
        drop(self.shutdown(Shutdown::Write));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_become_packets_in_the_order_in_which_they_are_complete() {
        let chunks = [
            (Side::Database, vec![2, 0, 0, 0, b'h']),
            (Side::Agent, vec![1, 0, 0, 1, b'a', 0, 0, 0, 3]),
            (Side::Database, vec![b'i', 1, 0]),
        ];
        let packet = |side, sequence, payload: &[u8]| Packet {
            side,
            sequence,
            payload: payload.to_vec(),
        };
        let expected = [
            packet(Side::Agent, 1, b"a"),
            packet(Side::Agent, 3, b""),
            packet(Side::Database, 0, b"hi"),
        ];
        assert_eq!(packets(&chunks), expected);
    }
}
