//! A raw stream through the tunnel: only one that its sender has ended looks ended, whoever dies on the way.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use e2e::agent::Agent;
use e2e::authority::{Authority, Dialect};
use e2e::place::{Loopback, Place};
use e2e::proxy::{Mount, Proxy};
use e2e::wait::PATIENCE;
use e2e::world::{AGENT_ACCOUNT, CLIENT_ACCOUNT};
use rustix::process::Signal;
use socket2::SockRef;

const INSTANCE: &str = "raw";
const ANSWER: usize = 4 << 20;
const READ: usize = 1 << 20;

/// An application and a raw service, with real programs between them.
struct Stream {
    app: TcpStream,
    service: TcpStream,
    client: Proxy,
    agent: Agent,
    _authority: Authority,
    _place: Place,
}

impl Stream {
    fn open() -> Self {
        let place = Place::new("cut").unwrap();
        let authority = Authority::start(&place).unwrap();
        let key_file = authority
            .create_account(CLIENT_ACCOUNT, Dialect::Ours)
            .unwrap();
        let agents = authority
            .create_account(AGENT_ACCOUNT, Dialect::Ours)
            .unwrap();
        let address = Loopback::reserve().unwrap();
        let at = address.ip().to_string();
        authority.create_instance(INSTANCE, &at, "TCP_1").unwrap();
        authority.grant(INSTANCE, CLIENT_ACCOUNT, "client").unwrap();
        authority.grant(INSTANCE, AGENT_ACCOUNT, "agent").unwrap();
        let listener = TcpListener::bind((place.address(), 0)).unwrap();
        let database = listener.local_addr().unwrap();
        let instances = [format!("{INSTANCE}?database=tcp:{database}")];
        let drain = ["--drain=100ms".to_owned()];
        let agent = Agent::start_with(&place, &agents, address, &instances, &drain).unwrap();
        let mount = Mount::tcp(&place, INSTANCE).unwrap();
        let to = (mount.address().host(), mount.address().port());
        let client = Proxy::start(&place, &key_file, &[mount], &["--max-sigterm-delay=100ms"]);
        let mut app = TcpStream::connect(to).unwrap();
        app.write_all(b"go").unwrap();
        let (mut service, _) = listener.accept().unwrap();
        service.read_exact(&mut [0; 2]).unwrap();
        for stream in [&app, &service] {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
        }
        Self {
            app,
            service,
            client: client.unwrap(),
            agent,
            _authority: authority,
            _place: place,
        }
    }

    /// A part of the answer has come, and more is under way.
    fn answer(&mut self) -> JoinHandle<io::Result<()>> {
        let mut service = self.service.try_clone().unwrap();
        let writer = std::thread::spawn(move || service.write_all(&vec![7; ANSWER]));
        self.app.read_exact(&mut vec![0; READ]).unwrap();
        writer
    }
}

/// What is read until the end, or the error in its place.
fn rest(stream: &mut TcpStream) -> Result<usize, ErrorKind> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(length) => Ok(length),
        Err(error) => Err(error.kind()),
    }
}

/// A socket tells of a reset once, so it may be the writer that hears of it.
#[track_caller]
fn both_see_a_reset(stream: &mut Stream, answer: JoinHandle<io::Result<()>>) {
    assert_eq!(rest(&mut stream.app), Err(ErrorKind::ConnectionReset));
    let read = rest(&mut stream.service);
    let written = answer.join().unwrap().map_err(|error| error.kind());
    let errors = [read.err(), written.err()];
    assert!(
        errors.contains(&Some(ErrorKind::ConnectionReset)),
        "{errors:?}"
    );
}

#[test]
fn a_raw_stream_that_its_sender_ends_arrives_whole() {
    let mut stream = Stream::open();
    let answer = stream.answer();
    let mut app = stream.app.try_clone().unwrap();
    let reader = std::thread::spawn(move || rest(&mut app));
    answer.join().unwrap().unwrap();
    stream.service.shutdown(Shutdown::Write).unwrap();
    assert_eq!(reader.join().unwrap(), Ok(ANSWER - READ));
    stream.app.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream.service), Ok(0));
}

#[test]
fn an_agent_that_is_killed_amid_a_raw_stream_is_a_reset_at_both_ends() {
    let mut stream = Stream::open();
    let answer = stream.answer();
    stream.agent.crash().unwrap();
    both_see_a_reset(&mut stream, answer);
}

#[test]
fn a_client_that_is_killed_amid_a_raw_stream_is_a_reset_at_both_ends() {
    let mut stream = Stream::open();
    let answer = stream.answer();
    stream.client.process().kill().unwrap();
    both_see_a_reset(&mut stream, answer);
}

#[test]
fn an_agent_whose_drain_is_over_cuts_a_raw_stream_with_a_reset_at_both_ends() {
    let mut stream = Stream::open();
    let answer = stream.answer();
    stream.agent.process().signal(Signal::TERM).unwrap();
    both_see_a_reset(&mut stream, answer);
}

#[test]
fn a_client_whose_drain_is_over_cuts_a_raw_stream_with_a_reset_at_both_ends() {
    let mut stream = Stream::open();
    let answer = stream.answer();
    stream.client.process().signal(Signal::TERM).unwrap();
    both_see_a_reset(&mut stream, answer);
}

#[test]
fn a_raw_service_that_is_reset_is_a_reset_at_the_application_and_the_reverse() {
    let at_once = Some(Duration::ZERO);
    let mut stream = Stream::open();
    let answer = stream.answer();
    SockRef::from(&stream.service).set_linger(at_once).unwrap();
    let mut app = stream.app.try_clone().unwrap();
    let reader = std::thread::spawn(move || rest(&mut app));
    drop(stream.service);
    drop(answer.join().unwrap());
    assert_eq!(reader.join().unwrap(), Err(ErrorKind::ConnectionReset));

    let mut stream = Stream::open();
    SockRef::from(&stream.app).set_linger(at_once).unwrap();
    drop(stream.app);
    assert_eq!(rest(&mut stream.service), Err(ErrorKind::ConnectionReset));
}
