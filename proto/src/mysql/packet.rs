//! Packets: three bytes of length, one of sequence, a payload.
//!
//! Source: MySQL internals manual, "MySQL Packets", "ERR_Packet".

use zeroize::Zeroize as _;

use crate::machine::Violation;
use crate::refusal::Refusal;

/// First byte of an ERR packet.
pub(super) const ERR: u8 = 0xFF;
/// Bytes before a payload.
pub(super) const HEADER: usize = 4;
/// A payload of this length goes on in the next packet; none of the opening exchange is that long.
const CONTINUED: usize = 0xFF_FFFF;
/// Longest text of an error packet that all clients show whole.
const MAX_ERROR_TEXT: usize = 510;
/// The same before TLS could begin: there MariaDB's library puts about 125 bytes of its own before the text.
const MAX_FIRST_ERROR_TEXT: usize = 373;

/// One packet of the opening exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// Its number; the next packet in either direction bears the next one.
    pub(super) sequence: u8,
    /// What it says.
    pub(super) payload: Vec<u8>,
}

impl Packet {
    /// Takes one packet off the front of `input`: `None` while it is not complete.
    ///
    /// # Errors
    /// A [`Violation`] when it announces more than `max` bytes, found before its payload is read.
    pub(super) fn take(input: &mut Vec<u8>, max: usize) -> Result<Option<Self>, Violation> {
        let Some(&[a, b, c, sequence]) = input.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes([a, b, c, 0])).unwrap_or(CONTINUED);
        if length > max || length == CONTINUED {
            return Err(Violation("packet is too long for the opening exchange"));
        }
        let end = length.saturating_add(HEADER);
        let Some(taken) = input.get_mut(HEADER..end) else {
            return Ok(None);
        };
        let packet = Self {
            sequence,
            payload: taken.to_vec(),
        };
        // It may have been a password.
        taken.zeroize();
        input.drain(..end);
        Ok(Some(packet))
    }
}

/// Writes one packet.
///
/// # Errors
/// A [`Violation`] when the payload does not fit one packet.
pub(super) fn encode(sequence: u8, payload: &[u8]) -> Result<Vec<u8>, Violation> {
    if payload.len() >= CONTINUED {
        return Err(Violation("packet is too long for the opening exchange"));
    }
    let length = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes();
    let [a, b, c, _] = length;
    let mut bytes = vec![a, b, c, sequence];
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// An ERR packet as the very first packet of a connection.
///
/// Servers leave the SQLSTATE out there, because capabilities are not known yet. MariaDB Connector/J goes on to the next
/// host only for a SQLSTATE of class 08, so those have it. libmysqlclient and MySQL Connector/J show it as a part of the
/// text (hence the space behind it); all others read it (measured with 17 clients).
pub fn error_instead_of_greeting(refusal: &Refusal) -> Vec<u8> {
    let numbers = refusal.code.numbers();
    let state = numbers
        .is_connection_exception()
        .then_some([numbers.mysql_state, " "]);
    err(0, refusal, state, MAX_FIRST_ERROR_TEXT)
}

/// An ERR packet that answers the packet of this number, in a session.
pub fn error_behind(number: u8, refusal: &Refusal) -> Vec<u8> {
    error(number.wrapping_add(1), refusal, true)
}

/// An ERR packet; with a SQLSTATE once the client has said hello.
pub(super) fn error(sequence: u8, refusal: &Refusal, with_sqlstate: bool) -> Vec<u8> {
    let state = with_sqlstate.then(|| [refusal.code.numbers().mysql_state, ""]);
    err(sequence, refusal, state, MAX_ERROR_TEXT)
}

fn err(sequence: u8, refusal: &Refusal, state: Option<[&str; 2]>, most: usize) -> Vec<u8> {
    let mut payload = vec![ERR];
    payload.extend_from_slice(&refusal.code.numbers().mysql.to_le_bytes());
    if let Some([state, space]) = state {
        payload.push(b'#');
        payload.extend_from_slice(state.as_bytes());
        payload.extend_from_slice(space.as_bytes());
    }
    payload.extend_from_slice(text(refusal, most).as_bytes());
    encode(sequence, &payload).unwrap_or_default()
}

/// The refusal in at most so many bytes. It is the reason that is cut: what to do, and the code, stay.
fn text(refusal: &Refusal, most: usize) -> String {
    let whole = refusal.to_string();
    if whole.len() <= most {
        return whole;
    }
    let code = format!("... [{}]", refusal.code);
    let with_hint = format!("...; {} [{}]", refusal.hint, refusal.code);
    if with_hint.len() < most {
        let room = most.saturating_sub(with_hint.len());
        return format!("{}{with_hint}", beginning(&refusal.reason, room));
    }
    let room = most.saturating_sub(code.len());
    format!("{}{code}", beginning(&whole, room))
}

fn beginning(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Code;

    #[test]
    fn a_packet_cut_at_any_place_is_incomplete_and_then_whole() {
        let whole = encode(7, b"payload").unwrap();
        for cut in 0..whole.len() {
            let mut input = whole[..cut].to_vec();
            assert_eq!(Packet::take(&mut input, 100), Ok(None));
            input.extend_from_slice(&whole[cut..]);
            input.push(0xAA);
            let packet = Packet::take(&mut input, 100).unwrap().unwrap();
            assert_eq!(
                (packet.sequence, packet.payload.as_slice()),
                (7, b"payload".as_slice())
            );
            assert_eq!(input, [0xAA]);
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_the_payload_arrives() {
        assert!(Packet::take(&mut vec![101, 0, 0, 0], 100).is_err());
        assert!(Packet::take(&mut vec![0xFF, 0xFF, 0xFF, 0], usize::MAX).is_err());
        assert_eq!(Packet::take(&mut vec![100, 0, 0, 0], 100), Ok(None));
    }

    #[test]
    fn the_first_error_packet_has_a_sqlstate_only_where_a_driver_goes_on_for_it() {
        let refusal = Refusal::new(Code::Limit, "Too many connections", "wait");
        let bytes = error_instead_of_greeting(&refusal);
        assert_eq!(&bytes[3..7], [0, 0xFF, 0x10, 0x04]);
        assert_eq!(&bytes[7..], b"#08004 Too many connections; wait [limit]");
        assert_eq!(&error(2, &refusal, true)[7..13], b"#08004");
        let refusal = Refusal::new(Code::NoGrant, "no grant", "ask");
        let bytes = error_instead_of_greeting(&refusal);
        assert_eq!(&bytes[5..], b"\x15\x04no grant; ask [no-grant]");
        assert_eq!(&error(2, &refusal, true)[7..13], b"#28000");
    }

    #[test]
    fn of_a_long_text_what_to_do_and_the_code_stay_and_characters_are_whole() {
        let long = "\u{e4}".repeat(1000);
        let refusal = Refusal::new(Code::Internal, long.clone(), "do this");
        for (bytes, most) in [
            (
                &error_instead_of_greeting(&refusal)[14..],
                MAX_FIRST_ERROR_TEXT,
            ),
            (&error(2, &refusal, false)[7..], MAX_ERROR_TEXT),
        ] {
            let text = std::str::from_utf8(bytes).unwrap();
            assert!(text.len() <= most && text.len() >= most - 1, "{text}");
            assert!(text.ends_with("\u{e4}...; do this [internal]"), "{text}");
        }
        let refusal = Refusal::new(Code::Internal, "this", long);
        let bytes = error_instead_of_greeting(&refusal);
        let text = std::str::from_utf8(&bytes[14..]).unwrap();
        assert!(text.len() <= MAX_FIRST_ERROR_TEXT, "{text}");
        assert!(
            text.starts_with("this; \u{e4}") && text.ends_with("\u{e4}... [internal]"),
            "{text}"
        );
    }

    #[test]
    fn a_text_that_fits_is_whole() {
        for length in 0..MAX_FIRST_ERROR_TEXT {
            let refusal = Refusal::new(Code::Limit, "x".repeat(length), "wait");
            let whole = refusal.to_string();
            let shown = text(&refusal, MAX_FIRST_ERROR_TEXT);
            assert_eq!(
                shown == whole,
                whole.len() <= MAX_FIRST_ERROR_TEXT,
                "{length}"
            );
        }
    }
}
