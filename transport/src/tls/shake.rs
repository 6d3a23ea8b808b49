//! The handshake: rustls decides, this carries its bytes. What comes after it is for [`super::record`].

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use rustls::{CommonState, Error, ExtractedSecrets};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};

use super::record::{CONTENT, Key, Opener, Sealer, Secrets};
use super::stream::{Early, TlsStream};
use crate::buffer::{Buffer, SIZE};
use crate::socket::Socket;

/// Most bytes that may wait to be understood: the longest message of a handshake.
const INCOMING: usize = 64 * 1024;
/// Bytes read at a time: what one side has to say finds room many times.
const READ: usize = 16 * 1024;
/// First room for what is to be said.
const SAID: usize = 4 * 1024;
// What comes with the end of the handshake finds room in one buffer.
const _: () = assert!(INCOMING + READ <= SIZE);

/// One side of a handshake.
pub(super) trait Side: Sized + Send {
    /// What rustls keeps for this side.
    type Data;
    /// Whether the other side may send tickets.
    const TICKETS: bool;

    /// Understands what came.
    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// What was agreed.
    fn common(&self) -> &CommonState;

    /// Gives out the keys.
    fn finish(self) -> Result<(ExtractedSecrets, Box<dyn Secrets>), Error>;
}

impl Side for UnbufferedClientConnection {
    type Data = rustls::client::ClientConnectionData;
    const TICKETS: bool = true;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn common(&self) -> &CommonState {
        self
    }

    fn finish(self) -> Result<(ExtractedSecrets, Box<dyn Secrets>), Error> {
        let (secrets, connection) = self.dangerous_into_kernel_connection()?;
        Ok((secrets, Box::new(connection)))
    }
}

impl Side for UnbufferedServerConnection {
    type Data = rustls::server::ServerConnectionData;
    const TICKETS: bool = false;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn common(&self) -> &CommonState {
        self
    }

    fn finish(self) -> Result<(ExtractedSecrets, Box<dyn Secrets>), Error> {
        let (secrets, connection) = self.dangerous_into_kernel_connection()?;
        Ok((secrets, Box::new(connection)))
    }
}

/// Shakes hands. When that fails, the other side has been sent our alert, and the socket is given back.
///
/// A client's last words are not sent yet: they go with the first data, or with a flush.
pub(super) async fn shake<S: Side>(
    side: S,
    mut socket: Socket,
) -> Result<TlsStream, (io::Error, Socket)> {
    let mut handshake = Handshake {
        side,
        incoming: Vec::new(),
        outgoing: Vec::new(),
        early: Early::default(),
    };
    match handshake.run(&mut socket).await {
        Ok(()) => handshake.finish(socket),
        Err(error) => Err((error, socket)),
    }
}

/// A handshake under way.
struct Handshake<S> {
    side: S,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    early: Early,
}

/// What is to be done next.
enum Step {
    Again,
    Read,
    Traffic,
    Failed(Error),
}

impl<S: Side> Handshake<S> {
    async fn run(&mut self, socket: &mut Socket) -> io::Result<()> {
        loop {
            match self.step() {
                Step::Again => {}
                Step::Read => {
                    self.send(socket).await?;
                    self.read(socket).await?;
                }
                // A server may speak before it knows its client: not ours.
                Step::Traffic if self.side.common().is_handshaking() => {
                    self.send(socket).await?;
                    self.read(socket).await?;
                }
                Step::Traffic if self.outgoing.len() <= CONTENT => return Ok(()),
                Step::Traffic => return self.send(socket).await,
                Step::Failed(error) => {
                    self.encode_alert();
                    if let Err(error) = self.send(socket).await {
                        tracing::debug!(%error, "an alert could not be sent");
                    }
                    return Err(invalid(error));
                }
            }
        }
    }

    fn step(&mut self) -> Step {
        let UnbufferedStatus { mut discard, state } = self.side.process(&mut self.incoming);
        let step = match state {
            Err(error) => Step::Failed(error),
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.outgoing),
            // It is, before anything is waited for.
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                Step::Again
            }
            Ok(ConnectionState::BlockedHandshake) => Step::Read,
            Ok(ConnectionState::WriteTraffic(_)) => Step::Traffic,
            // Data in the same segment as the end of the handshake: rustls has opened them.
            Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                match traffic.next_record() {
                    None => break Step::Again,
                    Some(Err(error)) => break Step::Failed(error),
                    Some(Ok(record)) => {
                        discard = discard.saturating_add(record.discard);
                        self.early.data.extend_from_slice(record.payload);
                    }
                }
            },
            Ok(ConnectionState::PeerClosed) => {
                self.early.ended = true;
                Step::Again
            }
            Ok(state) => Step::Failed(Error::General(format!("{state:?} amid a handshake"))),
        };
        self.incoming.drain(..discard.min(self.incoming.len()));
        step
    }

    /// The alert that says why it failed.
    fn encode_alert(&mut self) {
        // As long as something waits to be sent, rustls does not look at what came.
        while self.side.common().wants_write() {
            let Ok(ConnectionState::EncodeTlsData(data)) = self.side.process(&mut []).state else {
                return;
            };
            if !matches!(encode(data, &mut self.outgoing), Step::Again) {
                return;
            }
        }
    }

    async fn send(&mut self, socket: &mut Socket) -> io::Result<()> {
        if !self.outgoing.is_empty() {
            socket.write_all(&self.outgoing).await?;
            self.outgoing.clear();
        }
        Ok(())
    }

    async fn read(&mut self, socket: &mut Socket) -> io::Result<()> {
        if self.incoming.len() >= INCOMING {
            return Err(invalid(Error::General(
                "a handshake with too long messages".into(),
            )));
        }
        poll_fn(|cx| {
            // Lent for the moment: whoever keeps us waiting holds no more than what was said.
            let mut buffer = Buffer::lend();
            let mut some = ReadBuf::new(buffer.get_mut(..READ).unwrap_or_default());
            ready!(Pin::new(&mut *socket).poll_read(cx, &mut some))?;
            self.incoming.extend_from_slice(some.filled());
            Poll::Ready(match some.filled() {
                [] => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(()),
            })
        })
        .await
    }

    fn finish(self, socket: Socket) -> Result<TlsStream, (io::Error, Socket)> {
        let common = self.side.common();
        let alpn = common.alpn_protocol().map(<[u8]>::to_vec);
        let suite = common
            .negotiated_cipher_suite()
            .and_then(|suite| suite.tls13());
        let limit = suite.map_or(0, |suite| suite.common.confidentiality_limit);
        let keys = self.side.finish().and_then(|(secrets, next)| {
            let opener = Opener::new(Key::new(secrets.rx)?, S::TICKETS);
            let sealer = Sealer::new(Key::new(secrets.tx)?, limit);
            Ok((opener, sealer, next))
        });
        let keys = match keys {
            Ok(keys) => keys,
            Err(error) => return Err((invalid(error), socket)),
        };
        let early = Early {
            sealed: self.incoming,
            ..self.early
        };
        Ok(TlsStream::new(socket, alpn, keys, &early, &self.outgoing))
    }
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, outgoing: &mut Vec<u8>) -> Step {
    let begin = outgoing.len();
    let mut room = SAID;
    loop {
        outgoing.resize(begin.saturating_add(room), 0);
        match data.encode(outgoing.get_mut(begin..).unwrap_or_default()) {
            Ok(length) => {
                outgoing.truncate(begin.saturating_add(length));
                return Step::Again;
            }
            Err(EncodeError::InsufficientSize(short)) if short.required_size > room => {
                room = short.required_size;
            }
            Err(error) => {
                outgoing.truncate(begin);
                return Step::Failed(Error::General(error.to_string()));
            }
        }
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
