//! What a MySQL database says first, for who only wants to know how it is.

use super::greeting::Greeting;
use super::packet::Packet;
use super::reader::Reader;
use crate::machine::Violation;

/// First byte of an error packet.
const ERROR: u8 = 0xFF;
/// Longest greeting or error.
const MAX: usize = 4096;
/// Bytes of a SQLSTATE behind its mark.
const STATE: usize = 5;

/// The first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Introduction {
    /// It is ready for a login.
    Ready {
        /// What it calls itself.
        version: String,
        /// The plugin that users have unless they have another.
        plugin: String,
    },
    /// It does not want a login.
    Refusal {
        /// MySQL's number.
        number: u16,
        /// Its words.
        text: String,
    },
}

impl Introduction {
    /// Takes the packet off the front of `input`; `None` while it is not complete.
    ///
    /// # Errors
    /// A [`Violation`] when it is neither greeting nor error.
    pub fn take(input: &mut Vec<u8>) -> Result<Option<Self>, Violation> {
        let Some(packet) = Packet::take(input, MAX)? else {
            return Ok(None);
        };
        let mut reader = Reader::new(&packet.payload);
        if reader.u8()? == ERROR {
            let number = reader.u16()?;
            let rest = reader.rest();
            let text = match rest.strip_prefix(b"#") {
                Some(marked) => marked.get(STATE..).unwrap_or_default(),
                None => rest,
            };
            let text = String::from_utf8_lossy(text).into_owned();
            return Ok(Some(Self::Refusal { number, text }));
        }
        let version = String::from_utf8_lossy(reader.until_nul()?).into_owned();
        let plugin = Greeting::parse(&packet.payload)?.plugin;
        Ok(Some(Self::Ready { version, plugin }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::{Code, Refusal};

    #[test]
    fn a_refusal_is_told_with_its_number_and_words() {
        let refusal = Refusal::new(Code::Limit, "too many", "wait");
        let whole = super::super::error_instead_of_greeting(&refusal);
        let mut input = whole.clone();
        let found = Introduction::take(&mut input).unwrap();
        let Some(Introduction::Refusal { number, text }) = found else {
            panic!("{found:?}");
        };
        assert_eq!(number, 1040);
        assert!(text.contains("too many"), "{text}");
        let mut half = whole[..whole.len() - 1].to_vec();
        assert_eq!(Introduction::take(&mut half).unwrap(), None);
    }

    #[test]
    fn a_greeting_is_told_with_version_and_plugin_and_anything_else_is_a_violation() {
        let mut payload = b"\x0A9.4.0\0".to_vec();
        payload.extend_from_slice(&[1, 0, 0, 0]);
        payload.extend_from_slice(b"12345678\0\xFF\xF7\x21\x02\x00\xFF\xDF\x15");
        payload.extend_from_slice(&[0; 10]);
        payload.extend_from_slice(b"123456789012\0caching_sha2_password\0");
        let length = u8::try_from(payload.len()).unwrap();
        let mut input = [&[length, 0, 0, 0][..], &payload].concat();
        let found = Introduction::take(&mut input).unwrap();
        let expected = Introduction::Ready {
            version: "9.4.0".into(),
            plugin: "caching_sha2_password".into(),
        };
        assert_eq!(found, Some(expected));
        assert!(Introduction::take(&mut b"\x02\0\0\0ab".to_vec()).is_err());
        assert!(Introduction::take(&mut b"\0\0\0\0".to_vec()).is_err());
    }
}
