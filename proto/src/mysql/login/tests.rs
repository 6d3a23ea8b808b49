//! Logins played against the machine: real captured openings, both legs of the bridge, and hostile bytes.

mod admission;
mod bridge;
mod captures;
mod database_tls;
mod hostile;
mod opening;
mod tls;

use super::*;
use crate::Code;
use crate::mysql::{RsaKey, packet};

const NONCE: [u8; 20] = *b"abcdefghijklmnopqrst";

const CAPABILITIES: u32 = 0xDFFF_FFFF;

const CLIENT: u32 = 0x000F_A685 | capability_ssl();

const fn capability_ssl() -> u32 {
    0x0000_0800
}

fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    packet::encode(sequence, payload).unwrap()
}

fn greeting(plugin: &str) -> Vec<u8> {
    let low = u16::try_from(CAPABILITIES & 0xFFFF).unwrap().to_le_bytes();
    let high = u16::try_from(CAPABILITIES >> 16).unwrap().to_le_bytes();
    [
        &b"\x0a9.7.4\0\x2a\0\0\0"[..],
        &NONCE[..8],
        &[0],
        &low,
        &[0xFF, 0x02, 0x00],
        &high,
        &[21],
        &[0; 10],
        &NONCE[8..],
        &[0],
        plugin.as_bytes(),
        &[0],
    ]
    .concat()
}

fn handshake_response(user: &str, schema: Option<&str>, plugin: &str) -> Vec<u8> {
    let capabilities = CLIENT | 0x0008_0000 | if schema.is_some() { 8 } else { 0 };
    let mut payload = capabilities.to_le_bytes().to_vec();
    payload.extend_from_slice(&[0, 0, 0, 1, 255]);
    payload.extend_from_slice(&[0; 23]);
    payload.extend_from_slice(user.as_bytes());
    payload.extend_from_slice(&[0, 3, 9, 9, 9]);
    if let Some(schema) = schema {
        payload.extend_from_slice(schema.as_bytes());
        payload.push(0);
    }
    payload.extend_from_slice(plugin.as_bytes());
    payload.push(0);
    payload
}

fn options(application: Transport, database: DatabaseLeg) -> LoginOptions {
    LoginOptions {
        application,
        database,
        rsa_key: None,
        allowed_users: vec![],
        allowed_schemas: vec![],
        inner_tls: InnerTls::Off,
    }
}

/// A machine with what has been read and what it has said.
struct Play {
    login: Login,
    inputs: Inputs,
    to_application: Vec<u8>,
    to_database: Vec<u8>,
}

impl Play {
    fn new(options: LoginOptions) -> Self {
        let (to_application, to_database) = (vec![], vec![]);
        Self {
            login: Login::new(options),
            inputs: Inputs::default(),
            to_application,
            to_database,
        }
    }

    /// Past greeting and handshake response of `plugin`, with both records empty.
    fn begun(options: LoginOptions, plugin: &str) -> Self {
        let mut play = Self::new(options);
        play.feed(Face::Database, &packet(0, &greeting(plugin)))
            .unwrap();
        let response = handshake_response("app", Some("appdb"), plugin);
        play.feed(Face::Application, &packet(1, &response)).unwrap();
        // Where the database was asked for TLS, the response follows inside.
        play.feed(Face::Database, &[]).unwrap();
        play.to_application.clear();
        play.to_database.clear();
        play
    }

    fn feed(&mut self, face: Face, bytes: &[u8]) -> Result<Option<Outcome>, Violation> {
        self.inputs.of(face).extend_from_slice(bytes);
        loop {
            match self.login.step(&mut self.inputs)? {
                Step::NeedInput => return Ok(None),
                Step::Send(Face::Application, bytes) => self.to_application.extend(bytes),
                Step::Send(Face::Database, bytes) => self.to_database.extend(bytes),
                Step::Done(outcome) => return Ok(Some(outcome)),
            }
        }
    }
}

fn ok(sequence: u8) -> Vec<u8> {
    packet(sequence, &[0, 0, 0, 2, 0, 0, 0])
}

/// Plays both sides' bytes, in the order of `turns`, cut into pieces of `size`.
fn played(turns: &[(Face, Vec<u8>)], size: usize) -> (Option<Outcome>, Vec<u8>, Vec<u8>) {
    let mut play = Play::new(options(Transport::Tcp, DatabaseLeg::Plain));
    let mut outcome = None;
    for (face, bytes) in turns {
        for piece in bytes.chunks(size) {
            outcome = play.feed(*face, piece).unwrap();
        }
    }
    (outcome, play.to_application, play.to_database)
}
