//! A DNS server of the test's own, whose records change when it says so.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record};
use tokio::net::UdpSocket;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use transport::socket::Names;

type Records = Arc<Mutex<Mood>>;

/// How the server answers.
enum Mood {
    /// With these records.
    Well(Vec<(Name, RData)>),
    Failing,
    Silent,
}

pub(crate) struct Dns {
    pub(crate) names: Names,
    records: Records,
    asked: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Dns {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let names = Names::of_server(socket.local_addr().unwrap());
        let records = Arc::new(Mutex::new(Mood::Well(Vec::new())));
        let asked = Arc::<AtomicUsize>::default();
        let (known, counted) = (Arc::clone(&records), Arc::clone(&asked));
        let task = TaskTracker::new().spawn(async move {
            let mut bytes = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
                let question = Message::from_vec(&bytes[..length]).unwrap();
                let answer = answer(question, &known.lock().unwrap());
                counted.fetch_add(1, Ordering::SeqCst);
                let Some(answer) = answer else {
                    continue;
                };
                socket
                    .send_to(&answer.to_vec().unwrap(), from)
                    .await
                    .unwrap();
            }
        });
        Self {
            names,
            records,
            asked,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// From now on these are all records there are.
    pub(crate) fn says(&self, records: Vec<(&str, RData)>) {
        let name = |text| Name::from_ascii(text).unwrap();
        let records = records.into_iter().map(|(owner, data)| (name(owner), data));
        *self.records.lock().unwrap() = Mood::Well(records.collect());
    }

    pub(crate) fn fails(&self) {
        *self.records.lock().unwrap() = Mood::Failing;
    }

    /// Hears questions, and says nothing.
    pub(crate) fn is_silent(&self) {
        *self.records.lock().unwrap() = Mood::Silent;
    }

    /// Waits until it has answered so many questions more.
    pub(crate) async fn is_asked(&self, times: usize) {
        let wanted = self.asked.load(Ordering::SeqCst) + times;
        while self.asked.load(Ordering::SeqCst) < wanted {
            tokio::task::yield_now().await;
        }
    }
}

fn answer(question: Message, mood: &Mood) -> Option<Message> {
    let query = question.queries[0].clone();
    let mut answer = question;
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.recursion_available = true;
    let records = match mood {
        Mood::Well(records) => records,
        Mood::Failing => {
            answer.metadata.response_code = ResponseCode::ServFail;
            return Some(answer);
        }
        Mood::Silent => return None,
    };
    let is_asked = |owner: &Name, data: &RData| {
        owner == query.name() && data.record_type() == query.query_type()
    };
    for (owner, data) in records.iter().filter(|(owner, data)| is_asked(owner, data)) {
        answer.add_answer(Record::from_rdata(owner.clone(), 0, data.clone()));
    }
    if answer.answers.is_empty() {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    Some(answer)
}

pub(crate) fn txt(text: &str) -> RData {
    RData::TXT(TXT::new(vec![text.to_owned()]))
}

pub(crate) fn a(address: Ipv4Addr) -> RData {
    RData::A(A(address))
}

pub(crate) fn srv(priority: u16, port: u16, host: &str) -> RData {
    RData::SRV(SRV::new(priority, 0, port, Name::from_ascii(host).unwrap()))
}
