//! Packets: three bytes of length, one of number, a payload.

use std::io::{ErrorKind, Read};

use anyhow::{Context as _, Result};

/// A payload of this length goes on in the next packet.
pub const MAX_PAYLOAD: usize = 0xFF_FFFF;

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) sequence: u8,
    pub(super) payload: Vec<u8>,
}

/// Reads one; `None` when the stream ends in front of it.
pub(super) fn read(stream: &mut impl Read) -> Result<Option<Packet>> {
    let mut header = [0; 4];
    loop {
        match stream.read(header.split_at_mut(1).0) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("reading a packet"),
        }
    }
    stream
        .read_exact(header.split_at_mut(1).1)
        .context("reading the rest of a header")?;
    let [a, b, c, sequence] = header;
    let mut payload = vec![0; usize::try_from(u32::from_le_bytes([a, b, c, 0]))?];
    stream
        .read_exact(&mut payload)
        .context("reading a payload")?;
    Ok(Some(Packet { sequence, payload }))
}

/// A payload as packets, the first of them with this number; and the number that comes next.
pub fn encode(sequence: u8, payload: &[u8]) -> Result<(Vec<u8>, u8)> {
    let mut bytes = Vec::with_capacity(payload.len().saturating_add(64));
    let mut next = sequence;
    let mut rest = payload;
    loop {
        let (part, tail) = rest.split_at(rest.len().min(MAX_PAYLOAD));
        let [a, b, c, _] = u32::try_from(part.len())?.to_le_bytes();
        bytes.extend_from_slice(&[a, b, c, next]);
        bytes.extend_from_slice(part);
        next = next.wrapping_add(1);
        rest = tail;
        if part.len() < MAX_PAYLOAD {
            return Ok((bytes, next));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_full_length_is_followed_by_an_empty_packet() {
        let (bytes, next) = encode(255, &vec![7; MAX_PAYLOAD]).unwrap();
        assert_eq!(bytes.len(), MAX_PAYLOAD + 8);
        assert_eq!(bytes[..4], [255, 255, 255, 255]);
        assert_eq!(bytes[MAX_PAYLOAD + 4..], [0, 0, 0, 0]);
        assert_eq!(next, 1);
    }

    #[test]
    fn what_is_encoded_reads_back() {
        let (bytes, _) = encode(3, b"payload").unwrap();
        let mut stream = bytes.as_slice();
        let packet = read(&mut stream).unwrap().unwrap();
        assert_eq!((packet.sequence, packet.payload), (3, b"payload".to_vec()));
        assert_eq!(read(&mut stream).unwrap(), None);
    }
}
