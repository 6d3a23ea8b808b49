//! A host that refuses every connection with one code, and counts them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proto::machine::{Inputs, Machine as _, Step};
use proto::mysql::Refusing;
use proto::{Code, Engine, Refusal};

/// Longest wait for a program that does not speak.
const SILENCE: Duration = Duration::from_secs(20);

/// The place of the refusal in the exchange.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// Instead of MySQL's greeting: the client, and the agent in a tunnel.
    Greeting,
    /// Behind a greeting and the login request: the agent's direct listener; PostgreSQL always.
    Login,
}

/// A listener on loopback. Its thread ends with the test program.
pub(super) struct Host {
    port: u16,
    attempts: Arc<AtomicUsize>,
}

impl Host {
    pub(super) fn refusing(code: Code, engine: Engine, moment: Moment) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&attempts);
        let refusal = Refusal::new(code, format!("host {port} refuses"), "try another");
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                // A program that is gone has nothing to be told.
                drop(refuse(stream, &refusal, engine, moment));
            }
        });
        Self { port, attempts }
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }

    pub(super) fn was_asked(&self) -> bool {
        self.attempts() > 0
    }
}

fn refuse(
    mut stream: TcpStream,
    refusal: &Refusal,
    engine: Engine,
    moment: Moment,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    match (engine, moment) {
        (Engine::Mysql, Moment::Login) => behind_a_greeting(&mut stream, refusal)?,
        (Engine::Mysql, Moment::Greeting) => stream.write_all(&refusal.greeting(engine))?,
        (Engine::Postgres | Engine::Tcp, _) => {
            let mut request = [0; 1024];
            let read = stream.read(&mut request)?;
            assert!(read > 0, "the program has not asked");
            stream.write_all(&refusal.greeting(engine))?;
        }
    }
    stream.shutdown(Shutdown::Write)?;
    // Unread bytes would reset the connection, and the reset overtake the refusal.
    std::io::copy(&mut stream, &mut std::io::sink())?;
    Ok(())
}

fn behind_a_greeting(stream: &mut TcpStream, refusal: &Refusal) -> std::io::Result<()> {
    let mut machine = Refusing::new(refusal.clone(), None, [7; 20], false);
    let mut inputs = Inputs::default();
    loop {
        match machine.step(&mut inputs).map_err(std::io::Error::other)? {
            Step::Send(_, bytes) => stream.write_all(&bytes)?,
            Step::Done(_) => return Ok(()),
            Step::NeedInput => {
                let mut read = [0; 1024];
                let count = stream.read(&mut read)?;
                if count == 0 {
                    return Ok(());
                }
                inputs.application.extend_from_slice(&read[..count]);
            }
        }
    }
}
