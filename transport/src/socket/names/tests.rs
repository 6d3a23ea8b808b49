use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::{A, CNAME, SRV, TXT};
use tokio::net::UdpSocket;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

type Known = Arc<Mutex<Option<Vec<(&'static str, RData)>>>>;

/// A DNS server with these records; what it does not know, it says there is not.
pub(in crate::socket) async fn server(
    records: Vec<(&'static str, RData)>,
) -> (Names, AbortOnDropHandle<()>) {
    changing(Arc::new(Mutex::new(Some(records)))).await
}

/// The same with records that change; it fails while there is not even a list of them.
async fn changing(known: Known) -> (Names, AbortOnDropHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let names = Names::of_server(socket.local_addr().unwrap());
    let task = TaskTracker::new().spawn(async move {
        let mut bytes = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
            let asked = Message::from_vec(&bytes[..length]).unwrap();
            let answer = match known.lock().unwrap().as_deref() {
                Some(records) => answer(&asked, records),
                None => failure(&asked),
            };
            let answer = answer.to_vec().unwrap();
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    (names, AbortOnDropHandle::new(task))
}

fn failure(asked: &Message) -> Message {
    let mut answer = asked.clone();
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.response_code = ResponseCode::ServFail;
    answer
}

fn answer(asked: &Message, records: &[(&'static str, RData)]) -> Message {
    let mut answer = asked.clone();
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.recursion_available = true;
    let query = &asked.queries[0];
    let at = |wanted: &Name| -> Vec<Record> {
        let records = records.iter().map(|(owner, data)| (name(owner), data));
        let found = records.filter(|(owner, _)| owner == wanted);
        found
            .map(|(owner, data)| Record::from_rdata(owner, 0, data.clone()))
            .collect()
    };
    let mut owner = query.name().clone();
    while let Some(alias) = at(&owner)
        .into_iter()
        .find(|one| one.record_type() == RecordType::CNAME)
    {
        if let RData::CNAME(to) = &alias.data {
            owner = to.0.clone();
        }
        answer.add_answer(alias);
    }
    let found: Vec<Record> = at(&owner)
        .into_iter()
        .filter(|one| one.record_type() == query.query_type())
        .collect();
    if found.is_empty() {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    answer.add_answers(found);
    answer
}

fn txt(parts: &[&str]) -> RData {
    RData::TXT(TXT::new(parts.iter().map(ToString::to_string).collect()))
}

#[tokio::test]
async fn texts_are_found_behind_an_alias_joined_and_sorted() {
    let (names, _server) = server(vec![
        ("alias.test.", RData::CNAME(CNAME(name("db.test.")))),
        ("db.test.", txt(&["p:r:", "b"])),
        ("db.test.", txt(&["p:r:a"])),
    ])
    .await;
    for asked in ["db.test", "alias.test"] {
        let found = names.texts(asked, soon()).await;
        assert_eq!(found.unwrap(), ["p:r:a", "p:r:b"], "{asked}");
    }
}

#[tokio::test]
async fn a_name_without_the_record_and_a_server_that_is_not_there_are_told_apart() {
    let (names, _server) = server(vec![("db.test.", RData::A(A::new(192, 0, 2, 1)))]).await;
    for asked in ["db.test", "other.test"] {
        let found = names.texts(asked, soon()).await.unwrap_err();
        assert!(matches!(found, NameError::NoRecord { .. }), "{found}");
        assert!(found.to_string().contains(asked), "{found}");
    }
    // Bound, and never read.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let names = Names::of_server(silent.local_addr().unwrap());
    let deadline = Instant::now() + Duration::from_millis(50);
    let found = names.texts("db.test", deadline).await.unwrap_err();
    assert!(matches!(found, NameError::Failed { .. }), "{found}");
    let found = names.texts("no name..", soon()).await.unwrap_err();
    assert!(matches!(found, NameError::Failed { .. }), "{found}");
}

#[tokio::test]
async fn a_service_is_where_its_records_say_and_the_root_is_nowhere() {
    let srv = |priority, port, host| RData::SRV(SRV::new(priority, 0, port, name(host)));
    let (names, _server) = server(vec![
        ("_csql._tcp.db.test.", srv(20, 4307, "second.test.")),
        ("_csql._tcp.db.test.", srv(10, 3307, "first.test.")),
        ("_gone._tcp.db.test.", srv(0, 0, ".")),
    ])
    .await;
    let found = names.service("_csql._tcp.db.test", soon()).await.unwrap();
    let found: Vec<_> = found.iter().map(|one| (&*one.host, one.port)).collect();
    assert_eq!(found, [("first.test", 3307), ("second.test", 4307)]);
    let found = names.service("_gone._tcp.db.test", soon()).await;
    assert!(
        matches!(found, Err(NameError::NoRecord { .. })),
        "{found:?}"
    );
}

#[tokio::test]
async fn while_dns_fails_all_is_where_it_was_and_what_it_takes_away_is_gone() {
    let srv = RData::SRV(SRV::new(1, 1, 3307, name("first.test.")));
    let records = vec![
        ("_csql._tcp.db.test.", srv),
        ("first.test.", RData::A(A::new(192, 0, 2, 1))),
    ];
    let known = Known::new(Mutex::new(Some(records.clone())));
    let (names, _server) = changing(Arc::clone(&known)).await;
    let first = vec![SocketAddr::from(([192, 0, 2, 1], 7))];
    let found = names.service("_csql._tcp.db.test", soon()).await.unwrap();
    assert_eq!(found[0].host, "first.test");

    *known.lock().unwrap() = Some(Vec::new());
    let gone = names.service("_csql._tcp.db.test", soon()).await;
    assert!(matches!(gone, Err(NameError::NoRecord { .. })), "{gone:?}");
    *known.lock().unwrap() = None;
    let gone = names.service("_csql._tcp.db.test", soon()).await;
    assert!(matches!(gone, Err(NameError::Failed { .. })), "{gone:?}");

    *known.lock().unwrap() = Some(records);
    for _ in 0..3 {
        let found = names.service("_csql._tcp.db.test", soon()).await.unwrap();
        assert_eq!(found[0].host, "first.test");
        assert_eq!(names.addresses("first.test", 7).await.unwrap(), first);
        *known.lock().unwrap() = None;
    }
}

#[tokio::test]
async fn a_host_is_dialled_at_any_of_its_addresses() {
    let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (names, _server) = server(vec![
        ("db.test.", RData::A(A::new(127, 0, 0, 3))),
        ("db.test.", RData::A(A::new(127, 0, 0, 2))),
    ])
    .await;
    let options = super::super::TcpOptions::default();
    let dial = super::super::dial::dial_named;
    let stream = dial(&names, "db.test", port, &options, soon()).await;
    assert_eq!(
        stream.unwrap().peer_addr().unwrap(),
        listener.local_addr().unwrap()
    );
    let error = dial(&names, "none.test", port, &options, soon()).await;
    assert!(error.unwrap_err().to_string().contains("none.test"));
}

#[test]
fn what_has_weight_comes_first_as_often_as_that_and_what_has_none_is_tried_too() {
    let at = |port, priority, weight| ServiceAddress {
        host: "h".into(),
        port,
        priority,
        weight,
    };
    let found = vec![at(1, 5, 3), at(2, 5, 1), at(3, 1, 0), at(4, 5, 0)];
    let mut firsts = [0; 5];
    for drawn in 0..5 {
        let mut draws = [0, drawn, 0, 0].into_iter();
        let ordered = in_order(found.clone(), |_| draws.next().unwrap());
        let ports: Vec<u16> = ordered.iter().map(|one| one.port).collect();
        assert_eq!(ports[0], 3, "the lowest priority is not first");
        firsts[usize::from(ports[1])] += 1;
        let mut all = ports.clone();
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3, 4]);
    }
    assert_eq!(firsts, [0, 3, 1, 0, 1]);
}

#[test]
fn a_draw_is_below_its_bound() {
    assert!((0..1000).all(|_| draw(3) < 3));
    assert_eq!(draw(1), 0);
}
