//! The database's greeting (`HandshakeV10`).

use super::capability;
use super::reader::Reader;
use crate::machine::Violation;

/// First byte of the greeting: protocol version 10.
const VERSION_10: u8 = 0x0A;
/// Bytes of the nonce; the NUL behind it is not part of it.
const NONCE: usize = 20;
/// Bytes of the nonce's first part.
const NONCE_FIRST: usize = 8;
/// Where the capability words stand behind the NUL of the version: thread id, nonce, filler come first.
const LOW_WORD: usize = 4 + NONCE_FIRST + 1;
/// The high word follows low word, character set and status.
const HIGH_WORD: usize = LOW_WORD + 2 + 1 + 2;

/// What the login must know of a greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    /// The database's thread, `CONNECTION_ID()`.
    pub(super) connection_id: u32,
    /// The scramble.
    pub(super) nonce: Vec<u8>,
    /// The default authentication plugin.
    pub(super) plugin: String,
    version_length: usize,
    capabilities: u32,
}

impl Greeting {
    /// Reads the payload of a greeting.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Violation> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != VERSION_10 {
            return Err(Violation(
                "the database's greeting is not of protocol version 10",
            ));
        }
        let version_length = reader.until_nul()?.len();
        let connection_id = reader.u32()?;
        let mut nonce = reader.take(NONCE_FIRST)?.to_vec();
        reader.take(1)?;
        let low = u32::from(reader.u16()?);
        reader.take(3)?;
        let capabilities = low | (u32::from(reader.u16()?) << 16);
        reader.take(1 + 10)?;
        nonce.extend_from_slice(reader.take(NONCE.saturating_sub(NONCE_FIRST))?);
        reader.take(1)?;
        let plugin = reader.until_nul().unwrap_or_else(|_| reader.rest());
        let plugin = String::from_utf8_lossy(plugin).into_owned();
        Ok(Self {
            connection_id,
            nonce,
            plugin,
            version_length,
            capabilities,
        })
    }

    /// The version, as text.
    pub(super) fn version<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        let end = self.version_length.saturating_add(1);
        payload.get(1..end).unwrap_or_default()
    }

    /// Whether it is a MariaDB's: those leave the first capability (`LONG_PASSWORD`) out.
    pub(super) const fn is_mariadb(&self) -> bool {
        self.capabilities & capability::LONG_PASSWORD == 0
    }

    /// Whether the database takes an SSLRequest.
    pub(super) const fn offers_tls(&self) -> bool {
        self.capabilities & capability::SSL != 0
    }

    /// The payload as the application shall see it: without some capabilities and with others, all else the database's own.
    pub(super) fn shown(&self, withheld: u32, added: u32, payload: &[u8]) -> Vec<u8> {
        let mut shown = payload.to_vec();
        let offered = (self.capabilities & !withheld) | added;
        let [a, b, c, d] = offered.to_le_bytes();
        // One byte of protocol version, the version and its NUL stand before.
        let base = self.version_length.saturating_add(2);
        for (offset, byte) in [
            (LOW_WORD, a),
            (LOW_WORD + 1, b),
            (HIGH_WORD, c),
            (HIGH_WORD + 1, d),
        ] {
            if let Some(place) = shown.get_mut(base.saturating_add(offset)) {
                *place = byte;
            }
        }
        shown
    }
}
