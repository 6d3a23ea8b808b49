//! A checked cursor over a payload: no parser indexes.

use crate::machine::Violation;

/// What is said of any payload that ends too early.
const SHORT: Violation = Violation("packet ends too early");

/// Reads from the front of a payload.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(payload: &'a [u8]) -> Self {
        Self(payload)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Violation> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Violation> {
        self.take(1)?.first().copied().ok_or(SHORT)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Violation> {
        let bytes = self.take(2)?.first_chunk::<2>().ok_or(SHORT)?;
        Ok(u16::from_le_bytes(*bytes))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Violation> {
        let bytes = self.take(4)?.first_chunk::<4>().ok_or(SHORT)?;
        Ok(u32::from_le_bytes(*bytes))
    }

    /// Text up to a NUL, which is taken too.
    pub(super) fn until_nul(&mut self) -> Result<&'a [u8], Violation> {
        let length = self.0.iter().position(|byte| *byte == 0).ok_or(SHORT)?;
        let text = self.take(length)?;
        self.take(1)?;
        Ok(text)
    }

    /// Bytes behind their own length-encoded length (`Protocol::LengthEncodedInteger`).
    pub(super) fn length_encoded(&mut self) -> Result<&'a [u8], Violation> {
        let length = match self.u8()? {
            0xFC => usize::from(self.u16()?),
            0xFD => {
                let low = usize::from(self.u16()?);
                usize::from(self.u8()?)
                    .saturating_mul(0x1_0000)
                    .saturating_add(low)
            }
            0xFB | 0xFE | 0xFF => return Err(Violation("length is out of range")),
            short => usize::from(short),
        };
        self.take(length)
    }

    /// All that is left.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_every_width_are_read_and_short_payloads_refused() {
        let mut wide = vec![0xFC, 0x00, 0x01];
        wide.extend_from_slice(&[7; 256]);
        assert_eq!(Reader::new(&wide).length_encoded().unwrap().len(), 256);
        assert!(Reader::new(&wide[..200]).length_encoded().is_err());
        let mut wider = vec![0xFD, 0x00, 0x00, 0x01];
        wider.extend_from_slice(&[7; 65_536]);
        assert_eq!(Reader::new(&wider).length_encoded().unwrap().len(), 65_536);
        for bad in [
            &[0xFBu8][..],
            &[0xFE, 1, 0, 0, 0, 0, 0, 0, 0, 9],
            &[0xFF],
            &[],
        ] {
            assert!(Reader::new(bad).length_encoded().is_err());
        }
    }

    #[test]
    fn text_without_a_nul_is_refused() {
        assert!(Reader::new(b"abc").until_nul().is_err());
        let mut reader = Reader::new(b"abc\0d");
        assert_eq!(
            (reader.until_nul().unwrap(), reader.rest()),
            (&b"abc"[..], &b"d"[..])
        );
    }
}
