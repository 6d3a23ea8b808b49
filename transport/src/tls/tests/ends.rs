//! Ends of a session, one a row: an orderly one arrives as such on the other side, any other as a reset.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;

use proto::Engine;
use proto::machine::{Face, Inputs};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::stream::{tcp_pair, tls_pair};
use crate::socket::Socket;
use crate::tls::TlsStream;
use crate::tunnel::{Ended, EndedBy, Leg, Limits, copy, reset_on_close};

const COM_QUIT: &[u8] = &[1, 0, 0, 0, 1];
const TERMINATE: &[u8] = b"X\0\0\0\x04";
const SHORT: Option<Duration> = Some(Duration::from_millis(50));
const DEADLINE: Duration = Duration::from_secs(20);

/// One end of the chain as its owner sees it.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    End,
    Reset,
}

/// One program's part of a session.
struct Program {
    task: JoinHandle<Ended>,
    cut: CancellationToken,
}

impl Program {
    fn run<A, D>(mut app: A, mut db: D, limits: Limits) -> Self
    where
        A: AsyncRead + AsyncWrite + Leg + Unpin + Send + 'static,
        D: AsyncRead + AsyncWrite + Leg + Unpin + Send + 'static,
    {
        let cut = CancellationToken::new();
        let cancel = cut.clone();
        let task = TaskTracker::new().spawn(async move {
            reset_on_close(&app, &db, true);
            let ended = copy(&mut app, &mut db, Inputs::default(), &limits, &cancel).await;
            if ended.is_orderly {
                reset_on_close(&app, &db, false);
            }
            ended
        });
        Self { task, cut }
    }
}

/// Application, client, tunnel, agent, database.
struct Chain {
    app: TcpStream,
    client: Program,
    agent: Program,
    db: TcpStream,
}

impl Chain {
    async fn new(client: Limits, agent: Limits) -> Self {
        let (app, near) = tcp_pair().await;
        let (out, into) = tls_pair().await;
        let (far, db) = tcp_pair().await;
        // As every leg of a program is: a reset throws away what waits for an acknowledgement.
        db.set_nodelay(true).unwrap();
        near.set_nodelay(true).unwrap();
        let mut chain = Self {
            app,
            client: Program::run(Socket::from(near), out, client),
            agent: Program::run(into, Socket::from(far), agent),
            db,
        };
        chain.talk().await;
        chain
    }

    async fn of(engine: Engine) -> Self {
        let limits = Limits::default().of_engine(engine);
        Self::new(limits, limits).await
    }

    async fn talk(&mut self) {
        self.app.write_all(b"question").await.unwrap();
        self.db.read_exact(&mut [0; 8]).await.unwrap();
        self.db.write_all(b"answer").await.unwrap();
        self.app.read_exact(&mut [0; 6]).await.unwrap();
    }
}

async fn seen(stream: &mut TcpStream) -> Seen {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    match read.expect("neither an end nor a reset") {
        Ok(_) => Seen::End,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Seen::Reset,
        Err(error) => panic!("{error}"),
    }
}

fn reset(stream: TcpStream) {
    let at_once = Some(Duration::ZERO);
    SockRef::from(&stream).set_linger(at_once).unwrap();
}

async fn ended(program: Program) -> Ended {
    let ended = tokio::time::timeout(DEADLINE, program.task).await;
    ended.expect("the session does not end").unwrap()
}

async fn by(client: Program, agent: Program) -> (EndedBy, EndedBy) {
    (ended(client).await.by, ended(agent).await.by)
}

const APPLICATION: EndedBy = EndedBy::Error(Face::Application);
const DATABASE: EndedBy = EndedBy::Error(Face::Database);

#[tokio::test]
async fn an_orderly_end_of_either_side_arrives_as_one() {
    for engine in [Engine::Mysql, Engine::Postgres, Engine::Tcp] {
        let Chain {
            mut app,
            client,
            agent,
            mut db,
        } = Chain::of(engine).await;
        app.shutdown().await.unwrap();
        assert_eq!(seen(&mut db).await, Seen::End);
        db.write_all(b"the last answer").await.unwrap();
        db.shutdown().await.unwrap();
        assert_eq!(seen(&mut app).await, Seen::End);
        let (client, agent) = (ended(client).await, ended(agent).await);
        assert!(
            client.is_orderly && agent.is_orderly,
            "{client:?} {agent:?}"
        );
        assert_eq!(
            (client.by, agent.by),
            (EndedBy::Application, EndedBy::Application)
        );

        let mut chain = Chain::of(engine).await;
        chain.db.shutdown().await.unwrap();
        assert_eq!(seen(&mut chain.app).await, Seen::End);
        chain.app.shutdown().await.unwrap();
        assert_eq!(seen(&mut chain.db).await, Seen::End);
        let by = by(chain.client, chain.agent).await;
        assert_eq!(by, (EndedBy::Database, EndedBy::Database));
    }
}

#[tokio::test]
async fn a_reset_of_either_side_arrives_as_one() {
    for engine in [Engine::Mysql, Engine::Postgres, Engine::Tcp] {
        let mut chain = Chain::of(engine).await;
        reset(chain.app);
        assert_eq!(seen(&mut chain.db).await, Seen::Reset);
        let ends = by(chain.client, chain.agent).await;
        assert_eq!(ends, (APPLICATION, APPLICATION));

        let mut chain = Chain::of(engine).await;
        reset(chain.db);
        assert_eq!(seen(&mut chain.app).await, Seen::Reset);
        assert_eq!(by(chain.client, chain.agent).await, (DATABASE, DATABASE));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_after_a_half_close_arrives_as_a_reset() {
    let mut chain = Chain::of(Engine::Tcp).await;
    chain.app.shutdown().await.unwrap();
    assert_eq!(seen(&mut chain.db).await, Seen::End);
    chain.db.write_all(b"half of the").await.unwrap();
    chain.app.read_exact(&mut [0; 11]).await.unwrap();
    reset(chain.db);
    assert_eq!(seen(&mut chain.app).await, Seen::Reset);
    assert_eq!(by(chain.client, chain.agent).await, (DATABASE, DATABASE));
}

#[tokio::test]
async fn the_death_of_either_program_arrives_as_a_reset_at_both_ends() {
    for engine in [Engine::Mysql, Engine::Postgres, Engine::Tcp] {
        for is_client in [true, false] {
            let Chain {
                mut app,
                client,
                agent,
                mut db,
            } = Chain::of(engine).await;
            // What the kernel closes: the streams go without a word, as with a process that is killed.
            let (dies, lives) = if is_client {
                (client, agent)
            } else {
                (agent, client)
            };
            dies.task.abort();
            assert_eq!(seen(&mut app).await, Seen::Reset, "{engine} {is_client}");
            assert_eq!(seen(&mut db).await, Seen::Reset, "{engine} {is_client}");
            let expected = if is_client { APPLICATION } else { DATABASE };
            assert_eq!(ended(lives).await.by, expected);
        }
    }
}

#[tokio::test]
async fn a_tunnel_that_ends_without_close_notify_arrives_as_a_reset() {
    for is_client in [true, false] {
        let (mut far, near) = tcp_pair().await;
        let (one, other): (TlsStream, TlsStream) = tls_pair().await;
        let (ours, theirs) = if is_client {
            (one, other)
        } else {
            (other, one)
        };
        let program = if is_client {
            Program::run(Socket::from(near), ours, Limits::default())
        } else {
            Program::run(ours, Socket::from(near), Limits::default())
        };
        match theirs.socket() {
            Socket::Tcp(stream) => SockRef::from(stream).shutdown(Shutdown::Write).unwrap(),
            Socket::Unix(_) => panic!("not TCP"),
        }
        assert_eq!(seen(&mut far).await, Seen::Reset);
        let ended = ended(program).await;
        assert_eq!(ended.by, if is_client { DATABASE } else { APPLICATION });
        assert_eq!(ended.error.unwrap().kind(), ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn a_cut_of_either_program_arrives_as_a_reset_at_both_ends() {
    for is_client in [true, false] {
        let mut chain = Chain::of(Engine::Mysql).await;
        let cut = if is_client {
            &chain.client.cut
        } else {
            &chain.agent.cut
        };
        cut.cancel();
        assert_eq!(seen(&mut chain.app).await, Seen::Reset);
        assert_eq!(seen(&mut chain.db).await, Seen::Reset);
        let expected = if is_client {
            (EndedBy::Cancelled, APPLICATION)
        } else {
            (DATABASE, EndedBy::Cancelled)
        };
        assert_eq!(by(chain.client, chain.agent).await, expected);
    }
}

#[tokio::test]
async fn a_limit_of_either_program_arrives_as_a_reset() {
    let none = Limits::default();
    let idle = Limits {
        idle: SHORT,
        ..none
    };
    let linger = Limits {
        linger: SHORT,
        ..none
    };
    for (client, agent) in [(idle, none), (none, idle)] {
        let (app, near) = tcp_pair().await;
        let (out, into) = tls_pair().await;
        let (far, db) = tcp_pair().await;
        let programs = (
            Program::run(Socket::from(near), out, client),
            Program::run(into, Socket::from(far), agent),
        );
        let (mut app, mut db) = (app, db);
        assert_eq!(seen(&mut app).await, Seen::Reset);
        assert_eq!(seen(&mut db).await, Seen::Reset);
        let (client, agent) = by(programs.0, programs.1).await;
        assert!(
            [client, agent].contains(&EndedBy::Idle),
            "{client:?} {agent:?}"
        );
    }
    for (client, agent) in [(linger, none), (none, linger)] {
        let mut chain = Chain::new(client, agent).await;
        chain.app.shutdown().await.unwrap();
        assert_eq!(seen(&mut chain.db).await, Seen::End);
        assert_eq!(seen(&mut chain.app).await, Seen::Reset);
        let cut = if client == linger {
            chain.client
        } else {
            chain.agent
        };
        assert_eq!(ended(cut).await.by, EndedBy::Linger);
    }
}

#[tokio::test]
async fn after_the_protocols_own_goodbye_a_reset_is_an_end() {
    for (engine, goodbye) in [(Engine::Mysql, COM_QUIT), (Engine::Postgres, TERMINATE)] {
        let mut chain = Chain::of(engine).await;
        chain.app.write_all(goodbye).await.unwrap();
        // A driver that closes with bytes unread: they have come before it goes.
        chain.db.write_all(b"unread").await.unwrap();
        chain.app.readable().await.unwrap();
        drop(chain.app);
        let mut heard = Vec::new();
        chain.db.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, goodbye);
        drop(chain.db);
        let (client, agent) = (ended(chain.client).await, ended(chain.agent).await);
        assert!(
            client.is_orderly && agent.is_orderly,
            "{client:?} {agent:?}"
        );
        assert_eq!(
            (client.by, agent.by),
            (EndedBy::Application, EndedBy::Application)
        );
    }
    // A raw stream may end in any bytes.
    let mut chain = Chain::of(Engine::Tcp).await;
    chain.app.write_all(COM_QUIT).await.unwrap();
    chain.db.read_exact(&mut [0; 5]).await.unwrap();
    reset(chain.app);
    assert_eq!(seen(&mut chain.db).await, Seen::Reset);
}

#[tokio::test]
async fn an_application_that_takes_no_more_has_not_ended_in_order() {
    let mut chain = Chain::of(Engine::Tcp).await;
    let flood = vec![7; 1 << 20];
    // Closes in order, with nothing unread, while the database is about to send on.
    drop(chain.app);
    let sent = async { while chain.db.write_all(&flood).await.is_ok() {} };
    tokio::time::timeout(DEADLINE, sent).await.unwrap();
    let (client, agent) = (ended(chain.client).await, ended(chain.agent).await);
    assert!(
        !client.is_orderly && !agent.is_orderly,
        "{client:?} {agent:?}"
    );
}

#[tokio::test]
async fn what_was_said_before_a_failure_arrives_before_the_reset() {
    let mut chain = Chain::of(Engine::Mysql).await;
    chain.db.write_all(b"the last words").await.unwrap();
    reset(chain.db);
    let mut heard = Vec::new();
    let error = chain.app.read_to_end(&mut heard).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(heard, b"the last words");
}
