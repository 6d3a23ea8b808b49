//! A relay that hashes what passes after the login, to be compared with what the other end of a tunnel saw.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};

use super::channel::{Gauge, Passed};
use super::greeting::Greeting;
use super::socket::Socket;
use crate::clients::Address;
use crate::place::Place;
use crate::wait::{PATIENCE, until};

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A listener in front of a server, of the same kind. What passes in front of it must not be encrypted.
pub struct Meter {
    address: Address,
    sessions: Arc<Mutex<Sessions>>,
    closing: Arc<AtomicBool>,
}

type Sessions = HashMap<u32, Arc<Mutex<Session>>>;

#[derive(Default)]
struct Session {
    logged_in: bool,
    up: Gauge,
    down: Gauge,
    ended: u8,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn bind(place: &Place, like: &Address) -> Result<(Self, Address)> {
        match like {
            Address::Tcp { .. } => {
                let listener = TcpListener::bind((place.address(), 0))?;
                let (host, port) = (place.address(), listener.local_addr()?.port());
                Ok((Self::Tcp(listener), Address::Tcp { host, port }))
            }
            Address::Socket(_) => {
                let number = COUNTER.fetch_add(1, Ordering::Relaxed);
                let path = place.join(&format!("meter-{number}.sock"));
                let listener = UnixListener::bind(&path)?;
                // The agent is another user.
                std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777))?;
                Ok((Self::Unix(listener), Address::Socket(path)))
            }
        }
    }

    fn accept(&self) -> std::io::Result<Socket> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
            Self::Unix(listener) => Ok(Socket::Unix(listener.accept()?.0)),
        }
    }
}

impl Meter {
    /// Starts one in front of `server`.
    pub fn start(place: &Place, server: &Address) -> Result<Self> {
        let (listener, address) = Listener::bind(place, server)?;
        let sessions = Arc::<Mutex<Sessions>>::default();
        let closing = Arc::new(AtomicBool::new(false));
        let (all, end, server) = (Arc::clone(&sessions), Arc::clone(&closing), server.clone());
        std::thread::spawn(move || {
            while let Ok(client) = listener.accept() {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                // A server that is down makes the client see its connection close.
                if let Ok(server) = Socket::connect(&server) {
                    let all = Arc::clone(&all);
                    std::thread::spawn(move || drop(relay(client, server, &all)));
                }
            }
        });
        Ok(Self {
            address,
            sessions,
            closing,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What passed after the login of this session. Waits for the session's end.
    pub fn passed(&self, thread_id: u32) -> Result<Passed> {
        until("the end of a metered session", PATIENCE, || {
            let session = locked(&self.sessions).get(&thread_id).cloned();
            let Some(session) = session else {
                return Ok(None);
            };
            let session = locked(&session);
            Ok((session.ended == 2).then(|| Passed {
                up: session.up.reading(),
                down: session.down.reading(),
            }))
        })
    }

    /// The sessions that there were.
    pub fn sessions(&self) -> Vec<u32> {
        locked(&self.sessions).keys().copied().collect()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(Socket::connect(&self.address));
    }
}

fn relay(client: Socket, mut server: Socket, sessions: &Mutex<Sessions>) -> Result<()> {
    let (mut back, forth) = (client.twin()?, server.twin()?);
    let session = Arc::<Mutex<Session>>::default();
    let other = Arc::clone(&session);
    std::thread::spawn(move || upwards(client, forth, &other));
    let mut login = Vec::new();
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(length @ 1..) = server.read(&mut buffer) {
        let bytes = buffer.get(..length).context("more than was asked for")?;
        let mut session_now = locked(&session);
        if session_now.logged_in {
            session_now.down.add(bytes);
        } else {
            login.extend_from_slice(bytes);
            if let Ok(Some((thread_id, behind))) = over(&login) {
                session_now.logged_in = true;
                session_now.down.add(behind);
                locked(sessions).insert(thread_id, Arc::clone(&session));
            }
        }
        drop(session_now);
        if back.write_all(bytes).is_err() {
            break;
        }
    }
    finish(&session, &back, &server);
    Ok(())
}

fn upwards(mut client: Socket, mut server: Socket, session: &Mutex<Session>) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let bytes = buffer.get(..length).unwrap_or_default();
        let mut now = locked(session);
        if now.logged_in {
            now.up.add(bytes);
        }
        drop(now);
        if server.write_all(bytes).is_err() {
            break;
        }
    }
    finish(session, &server, &client);
}

/// Nothing more comes this way. The peers may be gone already.
fn finish(session: &Mutex<Session>, to: &Socket, from: &Socket) {
    drop(to.shutdown(Shutdown::Write));
    drop(from.shutdown(Shutdown::Read));
    let mut session = locked(session);
    session.ended = session.ended.saturating_add(1);
}

/// The thread of a login that has come to its OK in what the server said, and what is behind that.
fn over(mut said: &[u8]) -> Result<Option<(u32, &[u8])>> {
    let mut thread_id = None;
    while let Some((&[a, b, c, _], behind)) = said.split_first_chunk() {
        let length = usize::try_from(u32::from_le_bytes([a, b, c, 0]))?;
        let Some((payload, behind)) = behind.split_at_checked(length) else {
            break;
        };
        match (thread_id, payload.first()) {
            (None, _) => thread_id = Some(Greeting::parse(payload)?.thread_id),
            (Some(thread_id), Some(0x00)) => return Ok(Some((thread_id, behind))),
            _ => {}
        }
        said = behind;
    }
    Ok(None)
}

/// A poisoned lock means that a test has failed already; what is in it is still true.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
