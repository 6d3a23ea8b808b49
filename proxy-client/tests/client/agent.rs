//! A double of the agent, with a database behind it that greets and then repeats what it hears.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto::frame::{self, Answer, Hello, VERSION};
use proto::{InstanceName, Refusal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::tls::{Dialect, Material, ServedInstances, TlsPeer, TlsServer, TrustRoots};

use crate::ca::Instance;
use crate::pki::CaKey;
use crate::ports::free_port;
use crate::time::Time;
use crate::world::PATIENCE;

/// What the database says first.
pub(crate) const GREETING: &[u8] = b"\x05\0\0\0hello";

/// How the agent behaves behind TLS.
#[derive(Clone)]
pub(crate) enum Manner {
    Serving,
    /// A database that says this and then waits.
    Saying(Vec<u8>),
    Refusing(Refusal),
    Silent,
    HangingUp,
}

#[derive(Debug, Default)]
struct Served {
    roots: Mutex<HashMap<InstanceName, Arc<TrustRoots>>>,
    material: Mutex<HashMap<String, Arc<Material>>>,
}

impl ServedInstances for Served {
    fn client_roots(&self, instance: &InstanceName) -> Option<Arc<TrustRoots>> {
        self.roots.lock().unwrap().get(instance).cloned()
    }

    fn server_material(&self, sni: Option<&str>) -> Option<Arc<Material>> {
        let material = self.material.lock().unwrap();
        match sni {
            Some(name) => material.get(name).cloned(),
            None => material.values().next().cloned(),
        }
    }
}

/// What the agent's tasks share.
struct Inner {
    served: Arc<Served>,
    tls: TlsServer,
    manner: Mutex<Manner>,
    /// How the next frame alone is answered.
    once: Mutex<Option<Manner>>,
    /// How long it says that it waits for a frame; it does until told to lose its patience.
    patience: Mutex<Option<u32>>,
    impatient: Notify,
    /// Handshakes that were begun, how many of them are over, and on which of them each frame came.
    begun: AtomicUsize,
    over: AtomicUsize,
    used: Mutex<Vec<usize>>,
    hellos: Mutex<Vec<Hello>>,
    refused: Mutex<Vec<String>>,
    cut: Mutex<CancellationToken>,
    tasks: TaskTracker,
}

/// Counts a handshake that is over, however it ends.
struct Over<'a>(&'a AtomicUsize);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) struct Agent {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
}

impl Agent {
    pub(crate) async fn start(time: &Time) -> Self {
        Self::start_at(time, (Ipv4Addr::LOCALHOST, free_port()).into()).await
    }

    pub(crate) async fn start_at(time: &Time, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let served = Arc::new(Served::default());
        let shown: Arc<dyn ServedInstances> = Arc::<Served>::clone(&served);
        let agent = Self {
            address: listener.local_addr().unwrap(),
            inner: Arc::new(Inner {
                served,
                tls: TlsServer::new(shown, time.clock()).unwrap(),
                manner: Mutex::new(Manner::Serving),
                once: Mutex::default(),
                patience: Mutex::new(Some(60)),
                impatient: Notify::new(),
                begun: AtomicUsize::new(0),
                over: AtomicUsize::new(0),
                used: Mutex::default(),
                hellos: Mutex::default(),
                refused: Mutex::default(),
                cut: Mutex::default(),
                tasks: TaskTracker::new(),
            }),
        };
        agent.serve(listener);
        agent
    }

    pub(crate) fn serves(&self, instance: &Instance) {
        self.believes(&instance.name, &instance.client_ca);
        self.shows(instance, &instance.name);
    }

    /// Who asks for the instance is shown a certificate of its CA with this name.
    pub(crate) fn shows(&self, instance: &Instance, name: &InstanceName) {
        let material = instance.server_ca.server(name);
        let mut shown = self.inner.served.material.lock().unwrap();
        shown.insert(instance.name.dns_name(), Arc::new(material));
    }

    /// Who asks for the instance is shown no certificate.
    pub(crate) fn shows_nothing(&self, instance: &Instance) {
        let mut shown = self.inner.served.material.lock().unwrap();
        shown.remove(&instance.name.dns_name());
    }

    /// From now on, clients of the instance come from this CA.
    pub(crate) fn believes(&self, instance: &InstanceName, client_ca: &CaKey) {
        let mut roots = self.inner.served.roots.lock().unwrap();
        roots.insert(instance.clone(), Arc::new(client_ca.roots()));
    }

    pub(crate) fn manner(&self, manner: Manner) {
        *self.inner.manner.lock().unwrap() = manner;
    }

    pub(crate) fn once(&self, manner: Manner) {
        *self.inner.once.lock().unwrap() = Some(manner);
    }

    pub(crate) fn patience(&self, seconds: Option<u32>) {
        *self.inner.patience.lock().unwrap() = seconds;
    }

    /// Who has not said yet what it wants is waited for no longer.
    pub(crate) fn loses_patience(&self) {
        self.inner.impatient.notify_waiters();
    }

    /// How many handshakes were begun: all whose other end has got anywhere.
    pub(crate) fn handshakes(&self) -> usize {
        self.inner.begun.load(Ordering::SeqCst)
    }

    /// Waits until the last of them is over. The client's end is over first, before its certificate has been judged.
    pub(crate) async fn until_over(&self) {
        let over = async {
            while self.inner.over.load(Ordering::SeqCst) < self.handshakes() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, over).await.unwrap();
    }

    /// On which of them frames came, in their order.
    pub(crate) fn used(&self) -> Vec<usize> {
        self.inner.used.lock().unwrap().clone()
    }

    pub(crate) fn hellos(&self) -> Vec<Hello> {
        self.inner.hellos.lock().unwrap().clone()
    }

    /// Why handshakes failed.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.inner.refused.lock().unwrap().clone()
    }

    /// Nobody listens any more, and all sessions end.
    pub(crate) async fn stop(&self) {
        self.inner.cut.lock().unwrap().cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.tasks.reopen();
    }

    pub(crate) async fn restart(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener);
    }

    fn serve(&self, listener: TcpListener) {
        let cut = CancellationToken::new();
        *self.inner.cut.lock().unwrap() = cut.clone();
        let inner = Arc::clone(&self.inner);
        self.inner.tasks.spawn(async move {
            while let Some(Ok((socket, _))) = cut.run_until_cancelled(listener.accept()).await {
                let (agent, cut) = (Arc::clone(&inner), cut.clone());
                inner.tasks.spawn(async move {
                    cut.run_until_cancelled(agent.session(socket)).await;
                });
            }
        });
    }
}

impl Inner {
    async fn session(&self, socket: TcpStream) {
        let deadline = Instant::now() + Duration::from_secs(5);
        let number = self.begun.fetch_add(1, Ordering::SeqCst);
        let over = Over(&self.over);
        let mut peer = match self.tls.accept(socket, deadline).await {
            Ok(peer) => peer,
            Err(error) => {
                let text = transport::error::chain(&error);
                self.refused.lock().unwrap().push(text);
                return;
            }
        };
        drop(over);
        let mut manner = self.manner.lock().unwrap().clone();
        if peer.dialect == Dialect::Framed {
            let preamble = tokio::select! {
                preamble = self.preamble(&mut peer, number) => preamble,
                () = self.impatient.notified() => None,
            };
            let Some(shown) = preamble else {
                return;
            };
            manner = shown;
        }
        match manner {
            Manner::Serving => {
                peer.stream.write_all(GREETING).await.unwrap();
                peer.stream.flush().await.unwrap();
                let (mut reader, mut writer) = tokio::io::split(peer.stream);
                // Whoever leaves first, the session is over.
                if tokio::io::copy(&mut reader, &mut writer).await.is_ok() {
                    writer.shutdown().await.ok();
                }
            }
            Manner::Saying(words) => {
                peer.stream.write_all(&words).await.ok();
                peer.stream.flush().await.ok();
                std::future::pending::<()>().await;
            }
            Manner::Silent => std::future::pending().await,
            Manner::HangingUp | Manner::Refusing(_) => {
                peer.stream.shutdown().await.ok();
            }
        }
    }

    /// How it behaves, when the session goes on.
    async fn preamble(&self, peer: &mut TlsPeer, number: usize) -> Option<Manner> {
        let mut input = Vec::new();
        let hello: Hello = loop {
            match frame::decode(&mut input).unwrap() {
                Some(hello) => break hello,
                None => match peer.stream.read_buf(&mut input).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                },
            }
        };
        self.used.lock().unwrap().push(number);
        self.hellos.lock().unwrap().push(hello);
        let once = self.once.lock().unwrap().take();
        let manner = once.unwrap_or_else(|| self.manner.lock().unwrap().clone());
        let answer = match &manner {
            Manner::Serving | Manner::Saying(_) => Answer::Ok {
                version: VERSION,
                patience: *self.patience.lock().unwrap(),
            },
            Manner::Refusing(refusal) => Answer::Refused(refusal.clone()),
            Manner::Silent | Manner::HangingUp => return Some(manner),
        };
        let bytes = frame::encode(&answer).unwrap();
        peer.stream.write_all(&bytes).await.unwrap();
        peer.stream.flush().await.unwrap();
        Some(manner)
    }
}
