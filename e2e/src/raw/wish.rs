//! Who wants to log in, and the two packets that say so.

use super::greeting::Greeting;
use super::scramble;
use crate::clients::Login;

/// Capability flags.
pub mod capability {
    /// The affected rows of an update are those found.
    pub const CONNECT_WITH_DB: u32 = 0x0000_0008;
    /// `LOAD DATA LOCAL`.
    pub const LOCAL_FILES: u32 = 0x0000_0080;
    /// TLS.
    pub const SSL: u32 = 0x0000_0800;
    /// Several statements in one command.
    pub const MULTI_STATEMENTS: u32 = 0x0001_0000;
    /// Connection attributes.
    pub const CONNECT_ATTRS: u32 = 0x0010_0000;
    /// Results end with OK instead of EOF.
    pub const DEPRECATE_EOF: u32 = 0x0100_0000;
    /// `LONG_PASSWORD`, `PROTOCOL_41`, `TRANSACTIONS`, `SECURE_CONNECTION`, `MULTI_RESULTS`, `PS_MULTI_RESULTS`,
    /// `PLUGIN_AUTH`, `PLUGIN_AUTH_LENENC_CLIENT_DATA`.
    pub const BASE: u32 = 0x0000_0001
        | 0x0000_0200
        | 0x0000_2000
        | 0x0000_8000
        | 0x0002_0000
        | 0x0004_0000
        | 0x0008_0000
        | 0x0020_0000;
}

/// The greatest packet that we say we take.
const MAX_PACKET: u32 = 1 << 30;
/// utf8mb4.
const CHARSET: u8 = 45;
const FILLER: [u8; 23] = [0; 23];

/// What a login asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// The schema.
    pub schema: String,
    /// The body of the attributes, see [`attributes`]; `None` leaves them out.
    pub attributes: Option<Vec<u8>>,
    /// Whether to speak TLS.
    pub tls: bool,
    /// The capabilities of the response, without those that follow from the other fields.
    pub capabilities: u32,
    /// Flags that differ between the request for TLS and the response.
    pub only_in_request: u32,
}

impl Wish {
    /// A login as a modern client makes it.
    pub fn new(login: &Login, tls: bool) -> Self {
        Self {
            user: login.user.clone(),
            password: login.password.clone(),
            schema: login.database.clone(),
            attributes: None,
            tls,
            capabilities: capability::BASE
                | capability::LOCAL_FILES
                | capability::MULTI_STATEMENTS
                | capability::DEPRECATE_EOF,
            only_in_request: 0,
        }
    }

    /// Whether results will come without EOF: the request for TLS decides if there is one.
    pub(super) const fn deprecates_eof(&self) -> bool {
        self.request_capabilities() & capability::DEPRECATE_EOF != 0
    }

    const fn response_capabilities(&self) -> u32 {
        let mut all = self.capabilities | capability::CONNECT_WITH_DB;
        if self.tls {
            all |= capability::SSL;
        }
        if self.attributes.is_some() {
            all |= capability::CONNECT_ATTRS;
        }
        all
    }

    const fn request_capabilities(&self) -> u32 {
        self.response_capabilities() ^ self.only_in_request
    }

    /// The 32 bytes that ask for TLS.
    pub fn ssl_request(&self) -> Vec<u8> {
        front(self.request_capabilities())
    }

    /// The payload of the response.
    pub fn response(&self, greeting: &Greeting) -> Vec<u8> {
        let plugin = match greeting.plugin.as_str() {
            "caching_sha2_password" => "caching_sha2_password",
            _ => "mysql_native_password",
        };
        let scramble = scramble::of(plugin, &self.password, &greeting.nonce).unwrap_or_default();
        let mut payload = front(self.response_capabilities());
        payload.extend_from_slice(self.user.as_bytes());
        payload.push(0);
        payload.extend_from_slice(&lenenc(scramble.len()));
        payload.extend_from_slice(&scramble);
        payload.extend_from_slice(self.schema.as_bytes());
        payload.push(0);
        payload.extend_from_slice(plugin.as_bytes());
        payload.push(0);
        if let Some(attributes) = &self.attributes {
            payload.extend_from_slice(&lenenc(attributes.len()));
            payload.extend_from_slice(attributes);
        }
        payload
    }
}

fn front(capabilities: u32) -> Vec<u8> {
    let mut bytes = capabilities.to_le_bytes().to_vec();
    bytes.extend_from_slice(&MAX_PACKET.to_le_bytes());
    bytes.push(CHARSET);
    bytes.extend_from_slice(&FILLER);
    bytes
}

/// Attributes that take exactly `length` bytes; from 200 on any length will do.
pub fn attributes(length: usize) -> Vec<u8> {
    const MOST: usize = 200;
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let left = length - bytes.len();
        // A name of 3 bytes and its length, a value and its length.
        let value = match left - 4 {
            fits if fits <= MOST => fits - 1,
            // What stays must have room for a name and a value.
            tight if tight < MOST + 10 => MOST / 2,
            _ => MOST,
        };
        bytes.extend_from_slice(b"\x03key");
        bytes.extend_from_slice(&lenenc(value));
        bytes.resize(bytes.len() + value, b'v');
    }
    bytes
}

/// A length as MySQL writes it.
pub(super) fn lenenc(length: usize) -> Vec<u8> {
    let bytes = (length as u64).to_le_bytes();
    let [a, b, c, ..] = bytes;
    match length {
        0..=250 => vec![a],
        251..=0xFFFF => vec![0xFC, a, b],
        0x1_0000..=0xFF_FFFF => vec![0xFD, a, b, c],
        _ => [&[0xFE][..], &bytes].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_the_length_that_is_asked_for() {
        for length in [200, 201, 204, 205, 210, 300, 400, 415, 1000, 65_535, 65_536] {
            assert_eq!(attributes(length).len(), length);
        }
    }
}
