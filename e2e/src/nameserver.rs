//! A DNS server of the test's own, and programs that ask it and no other.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record};
use rustix::process::geteuid;

use crate::place::{Loopback, Place};

/// Programs know only this port.
const PORT: u16 = 53;
/// How often the server looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// What stands at a name.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A text.
    Text(String),
    /// An address.
    Address(Ipv4Addr),
    /// A service: priority, port, host.
    Service(u16, u16, String),
}

type Entries = Arc<Mutex<Vec<(String, Entry)>>>;

/// A DNS server at an address of its own. It ends with this value.
pub struct Nameserver {
    address: Loopback,
    entries: Entries,
    ending: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Nameserver {
    /// Starts one that knows no name. Needs root, for its port and for who is to ask it.
    pub fn start() -> Result<Self> {
        ensure!(
            geteuid().is_root(),
            "only root can serve names at port {PORT}: run these tests as root"
        );
        let address = Loopback::reserve()?;
        let socket = UdpSocket::bind((address.ip(), PORT)).context("a DNS server's port")?;
        socket.set_read_timeout(Some(LOOK))?;
        let (entries, ending) = (Entries::default(), Arc::<AtomicBool>::default());
        let (known, ends) = (Arc::clone(&entries), Arc::clone(&ending));
        let serving = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                // Nobody has asked, or has gone away since: nothing to be done about either.
                drop(serve(&socket, &known));
            }
        });
        Ok(Self {
            address,
            entries,
            ending,
            serving: Some(serving),
        })
    }

    /// From now on this is all that is known.
    pub fn says(&self, entries: &[(&str, Entry)]) {
        let owned = |(name, entry): &(&str, Entry)| ((*name).to_owned(), entry.clone());
        let entries = entries.iter().map(owned).collect();
        *self.entries.lock().unwrap_or_else(PoisonError::into_inner) = entries;
    }

    /// The command, for whom this machine's DNS server is this one.
    pub fn asked_by(&self, place: &Place, command: &Command) -> Result<Command> {
        let file = place.join("resolv.conf");
        std::fs::write(&file, format!("nameserver {}\n", self.address.ip()))?;
        let mut outer = Command::new("unshare");
        outer
            .args(["--mount", "sh", "-c"])
            .arg("mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"")
            .arg(file)
            .arg(command.get_program())
            .args(command.get_args());
        Ok(outer)
    }
}

impl Drop for Nameserver {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Some(serving) = self.serving.take() {
            drop(serving.join());
        }
    }
}

fn serve(socket: &UdpSocket, known: &Entries) -> Result<()> {
    let mut bytes = [0; 4096];
    let (length, from) = socket.recv_from(&mut bytes)?;
    let question = Message::from_vec(bytes.get(..length).unwrap_or_default())?;
    let answer = {
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        answer(question, &known)?
    };
    socket.send_to(&answer.to_vec()?, from)?;
    Ok(())
}

fn answer(question: Message, known: &[(String, Entry)]) -> Result<Message> {
    let Some(query) = question.queries.first().cloned() else {
        bail!("nothing was asked")
    };
    let mut answer = question;
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.recursion_available = true;
    let asked = query.name().to_ascii();
    let mut is_known = false;
    for (name, entry) in known {
        if asked.trim_end_matches('.') != name {
            continue;
        }
        is_known = true;
        let data = data(entry)?;
        if data.record_type() == query.query_type() {
            answer.add_answer(Record::from_rdata(query.name().clone(), 0, data));
        }
    }
    if !is_known {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    Ok(answer)
}

fn data(entry: &Entry) -> Result<RData> {
    Ok(match entry {
        Entry::Text(text) => RData::TXT(TXT::new(vec![text.clone()])),
        Entry::Address(ip) => RData::A(A(*ip)),
        Entry::Service(priority, port, host) => {
            let host = Name::from_ascii(format!("{host}."))?;
            RData::SRV(SRV::new(*priority, 0, *port, host))
        }
    })
}
