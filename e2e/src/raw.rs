//! A MySQL client that is a heap of levers: packets are built by hand, so that a test can send what no driver would.

use std::io::{ErrorKind, Read as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::clients::Address;

mod channel;
mod greeting;
pub mod meter;
mod packet;
mod result;
mod scramble;
mod socket;
mod tls;
mod wish;

pub use channel::{Direction, Passed};
pub use greeting::Greeting;
pub use packet::{MAX_PAYLOAD, encode};
pub use result::{Answer, ServerError, Statement};
pub use socket::Socket;
pub use wish::{Wish, attributes, capability};

use channel::Channel;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the server ended the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In good order: EOF, inside TLS behind a `close_notify`.
    Closed,
    /// By a reset, or inside TLS without `close_notify`.
    Broken,
    /// Not at all.
    Open,
}

/// A connection to a server, or to what passes for one.
pub struct Raw {
    channel: Channel,
    sequence: u8,
    greeting: Greeting,
    deprecate_eof: bool,
    unix: bool,
}

impl Raw {
    /// Connects and reads the greeting. An ERR packet in its place is a [`ServerError`].
    pub fn open(address: &Address) -> Result<Self> {
        let mut socket = Socket::connect(address)?;
        socket.set_patience(Some(PATIENCE))?;
        let packet = packet::read(&mut socket)?.context("closed before the greeting")?;
        if let Some(error) = ServerError::parse(&packet.payload) {
            return Err(error.into());
        }
        Ok(Self {
            greeting: Greeting::parse(&packet.payload)?,
            channel: Channel::plain(socket)?,
            sequence: packet.sequence.wrapping_add(1),
            deprecate_eof: false,
            unix: matches!(address, Address::Socket(_)),
        })
    }

    /// Connects, and logs in as `wish` says.
    pub fn log_in(address: &Address, wish: &Wish) -> Result<Self> {
        let mut raw = Self::open(address)?;
        raw.authenticate(wish)?;
        Ok(raw)
    }

    /// What the server said first.
    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// The socket below.
    pub fn socket(&self) -> &Socket {
        self.channel.socket()
    }

    /// How many certificates the server has shown.
    pub fn certificates(&self) -> usize {
        self.channel.certificates()
    }

    /// The next packet's number.
    pub fn sequence(&self) -> u8 {
        self.sequence
    }

    /// Continues from another number.
    pub fn set_sequence(&mut self, sequence: u8) {
        self.sequence = sequence;
    }

    /// Reads results as the server makes them for a client with, or without, `CLIENT_DEPRECATE_EOF`.
    pub fn set_deprecate_eof(&mut self, deprecate_eof: bool) {
        self.deprecate_eof = deprecate_eof;
    }

    /// What has passed since the login, both ways.
    pub fn passed(&self) -> Passed {
        self.channel.passed()
    }

    /// Runs the whole opening exchange: TLS if wished, response, authentication.
    pub fn authenticate(&mut self, wish: &Wish) -> Result<()> {
        if wish.tls {
            self.send(&wish.ssl_request())?;
            self.start_tls(&[])?;
        }
        self.send(&wish.response(&self.greeting))?;
        self.finish_login(wish)
    }

    /// Shakes hands for TLS. `ahead` goes out in the same write as the ClientHello, before it.
    pub fn start_tls(&mut self, ahead: &[u8]) -> Result<()> {
        self.channel.start_tls(ahead)
    }

    /// Follows the authentication until OK; an ERR is a [`ServerError`].
    pub fn finish_login(&mut self, wish: &Wish) -> Result<()> {
        let mut nonce = self.greeting.nonce.clone();
        loop {
            let payload = self.expect()?;
            match payload.first() {
                Some(0x00) => break,
                Some(0xFF) => return Err(self.server_error(&payload)),
                Some(0xFE) => {
                    let (plugin, data) = greeting::switch(&payload)?;
                    nonce = data;
                    let answer = scramble::of(&plugin, &wish.password, &nonce)?;
                    self.send(&answer)?;
                }
                Some(0x01) => self.more_data(&payload, wish, &nonce)?,
                other => bail!("an authentication packet that begins with {other:?}"),
            }
        }
        self.deprecate_eof = wish.deprecates_eof();
        self.channel.begin_counting();
        Ok(())
    }

    fn more_data(&mut self, payload: &[u8], wish: &Wish, nonce: &[u8]) -> Result<()> {
        match payload {
            [1, 3] => Ok(()),
            [1, 4] if self.unix || self.channel.is_tls() => {
                self.send(&scramble::in_clear(&wish.password))
            }
            [1, 4] => {
                self.send(&[2])?;
                let key = self.expect()?;
                let key = key.get(1..).context("an empty public key")?;
                self.send(&scramble::encrypted(&wish.password, nonce, key)?)
            }
            _ => bail!("more data that no plugin sends: {payload:02x?}"),
        }
    }

    /// Sends a payload, numbered, in as many packets as it needs.
    pub fn send(&mut self, payload: &[u8]) -> Result<()> {
        let (bytes, next) = encode(self.sequence, payload)?;
        self.sequence = next;
        self.write(&bytes)
    }

    /// Sends bytes as they are, in one write.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.channel.write_all(bytes)?;
        self.channel.flush().context("sending")
    }

    /// Sends bytes one at a time.
    pub fn write_in_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        bytes.iter().try_for_each(|byte| self.write(&[*byte]))
    }

    /// The next payload, joined if it came in several packets; `None` when the server has closed.
    pub fn receive(&mut self) -> Result<Option<Vec<u8>>> {
        let mut whole = Vec::new();
        loop {
            let Some(packet) = packet::read(&mut self.channel)? else {
                ensure!(whole.is_empty(), "closed between the parts of a payload");
                return Ok(None);
            };
            ensure!(
                packet.sequence == self.sequence,
                "packet {} where {} was due",
                packet.sequence,
                self.sequence
            );
            self.sequence = packet.sequence.wrapping_add(1);
            let last = packet.payload.len() < MAX_PAYLOAD;
            whole.extend_from_slice(&packet.payload);
            if last {
                return Ok(Some(whole));
            }
        }
    }

    fn expect(&mut self) -> Result<Vec<u8>> {
        self.receive()?.context("the server has closed")
    }

    fn server_error(&self, payload: &[u8]) -> anyhow::Error {
        ServerError::parse(payload).map_or_else(|| anyhow!("an ERR packet too short"), Into::into)
    }

    /// Sends a command, numbered from 0.
    pub fn command(&mut self, payload: &[u8]) -> Result<()> {
        self.sequence = 0;
        self.send(payload)
    }

    /// How the connection is ended once all that still comes has been read; `Open` after `patience`.
    pub fn ending(&mut self, patience: Duration) -> Result<Ending> {
        self.channel.socket().set_patience(Some(patience))?;
        let mut scratch = [0; 4096];
        loop {
            match self.channel.read(&mut scratch) {
                Ok(0) => return Ok(Ending::Closed),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(Ending::Open),
                    ErrorKind::Interrupted => {}
                    _ => return Ok(Ending::Broken),
                },
            }
        }
    }
}
