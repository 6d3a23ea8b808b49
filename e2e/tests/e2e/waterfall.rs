//! Which leg of a session's way was slow: told by both programs as one trace, with a real database whose words come late.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use e2e::agent::Agent;
use e2e::authority::{Authority, Dialect};
use e2e::clients::{Address, Client, Runner, Target};
use e2e::databases::{Database, Flavor};
use e2e::place::{Loopback, Place};
use e2e::proxy::{Mount, Proxy};
use e2e::wait::{PATIENCE, until};
use e2e::world::{AGENT_ACCOUNT, CLIENT_ACCOUNT};
use serde_json::Value;

const DELAY: Duration = Duration::from_millis(200);

/// A collector of traces, and the spans that it was told.
struct Collector {
    endpoint: String,
    spans: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    fn start(place: &Place) -> Self {
        let listener = TcpListener::bind((place.address(), 0)).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let spans = Arc::<Mutex<Vec<Value>>>::default();
        let told = Arc::clone(&spans);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let more = taken(stream.unwrap());
                told.lock().unwrap().extend(more);
            }
        });
        Self { endpoint, spans }
    }

    /// The span of this program's with this name, once it is told.
    fn span(&self, scope: &str, name: &str) -> Value {
        let what = format!("the span {name} of {scope}");
        until(&what, PATIENCE, || {
            let spans = self.spans.lock().unwrap();
            let mut found = spans.iter();
            let is_it = |span: &&Value| span["scope"] == scope && span["name"] == name;
            Ok(found.find(is_it).cloned())
        })
        .unwrap()
    }

    /// The slowest of this program's legs.
    fn slowest(&self, scope: &str) -> String {
        self.span(scope, "session");
        let nanos =
            |span: &Value, field: &str| -> u64 { span[field].as_str().unwrap().parse().unwrap() };
        let took =
            |span: &&Value| nanos(span, "endTimeUnixNano") - nanos(span, "startTimeUnixNano");
        let spans = self.spans.lock().unwrap();
        let legs = spans
            .iter()
            .filter(|span| span["scope"] == scope && span["name"] != "session");
        legs.max_by_key(took).unwrap()["name"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// The spans of one request, each with its program's name.
fn taken(mut stream: TcpStream) -> Vec<Value> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap();
            }
            Some(_) => {}
            None if line == "\r\n" => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
    stream.write_all(answer).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let scope = &body["resourceSpans"][0]["scopeSpans"][0];
    let mut spans = scope["spans"].as_array().unwrap().clone();
    for span in &mut spans {
        span["scope"] = scope["scope"]["name"].clone();
    }
    spans
}

/// A way to the database on which what it says comes late, after so many words that come in time.
fn late(place: &Place, database: &Address, late: usize) -> SocketAddr {
    let Address::Tcp { host, port } = *database else {
        panic!("a database without TCP");
    };
    let listener = TcpListener::bind((place.address(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for near in listener.incoming() {
            let (near, far) = (near.unwrap(), TcpStream::connect((host, port)).unwrap());
            let ends = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || copy(near, far, None));
            thread::spawn(move || copy(ends.1, ends.0, Some(late)));
        }
    });
    address
}

fn copy(mut from: TcpStream, mut to: TcpStream, late: Option<usize>) {
    let mut bytes = vec![0; 64 * 1024];
    for number in 0.. {
        let Ok(read @ 1..) = from.read(&mut bytes) else {
            break;
        };
        if late == Some(number) {
            thread::park_timeout(DELAY);
        }
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    drop(to.shutdown(std::net::Shutdown::Write));
}

#[test]
fn a_database_whose_words_come_late_is_told_of_by_leg_in_one_trace_of_both_programs() {
    let place = Place::new("waterfall").unwrap();
    let database = Database::start(Flavor::MariaDb10, &place).unwrap();
    let authority = Authority::start(&place).unwrap();
    let client_key = authority
        .create_account(CLIENT_ACCOUNT, Dialect::Ours)
        .unwrap();
    let agent_key = authority
        .create_account(AGENT_ACCOUNT, Dialect::Ours)
        .unwrap();
    for (words, leg) in [(0, "greeting"), (1, "authentication")] {
        let collector = Collector::start(&place);
        let told = format!("--otlp-endpoint={}", collector.endpoint);
        let address = Loopback::reserve().unwrap();
        let name = format!("late-{leg}");
        let version = database.flavor().database_version();
        authority
            .create_instance(&name, &address.ip().to_string(), version)
            .unwrap();
        authority.grant(&name, CLIENT_ACCOUNT, "client").unwrap();
        authority.grant(&name, AGENT_ACCOUNT, "agent").unwrap();
        let way = late(&place, database.address(), words);
        let instance = format!("{name}?database=tcp:{way}");
        let arguments = std::slice::from_ref(&told);
        let _agent =
            Agent::start_with(&place, &agent_key, address, &[instance], arguments).unwrap();
        let mount = Mount::tcp(&place, &name).unwrap();
        let at = mount.address().clone();
        let _proxy = Proxy::start(&place, &client_key, &[mount], &[&told]).unwrap();
        let [login, _] = database.flavor().logins();
        let mut runner = Runner::start(Client::PyMySql).unwrap();
        let answer = runner
            .query_again(&Target::usual(at, login), "SELECT 1")
            .unwrap();
        assert!(answer.is_ok(), "{answer:?}");
        drop(runner);
        assert_eq!(collector.slowest("cloudsql-proxy-server"), leg);
        let theirs = collector.span("cloudsql-proxy-server", "session");
        let opening = collector.span("cloudsql-proxy", "opening");
        assert_eq!(theirs["traceId"], opening["traceId"]);
        assert_eq!(theirs["parentSpanId"], opening["spanId"]);
    }
}
