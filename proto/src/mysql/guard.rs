//! Watches the commands of a session whose grant names database users: the user must not change after login.

use crate::machine::Violation;

/// `COM_CHANGE_USER` (MySQL internals manual, "Text Protocol").
const CHANGE_USER: u8 = 0x11;
/// A payload of this length goes on in the next packet.
const CONTINUED: u32 = 0xFF_FFFF;
/// Bytes of a packet's header.
const HEADER: usize = 4;

/// Follows packet borders in what an application sends after its login, without keeping the bytes.
///
/// Needs an uncompressed stream: [`super::Login`] withholds compression when users are restricted.
#[derive(Clone, Debug, Default)]
pub struct CommandGuard {
    header: Vec<u8>,
    remaining: u32,
    /// The packet in progress, or the next one, does not begin a command.
    inside: bool,
    /// The first payload byte of a command comes next.
    command_due: bool,
}

impl CommandGuard {
    /// Looks at the next bytes of the application.
    ///
    /// # Errors
    /// A [`Violation`] when a command asks to change the user; none of these bytes may reach the database then.
    pub fn inspect(&mut self, mut bytes: &[u8]) -> Result<(), Violation> {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.remaining == 0 {
                self.header.push(first);
                bytes = rest;
                if self.header.len() == HEADER {
                    self.begin();
                }
                continue;
            }
            if self.command_due && first == CHANGE_USER {
                return Err(Violation("the session's user may not be changed"));
            }
            self.command_due = false;
            let available = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let passed = available.min(self.remaining);
            self.remaining = self.remaining.saturating_sub(passed);
            bytes = bytes
                .get(usize::try_from(passed).unwrap_or(usize::MAX)..)
                .unwrap_or_default();
        }
        Ok(())
    }

    /// Reads a whole header.
    ///
    /// Number 0 begins a command, with two exceptions: behind a packet of full length it may be any number, and
    /// behind a non-empty packet of number 255 it is the wrap-around inside the file of `LOAD DATA LOCAL`.
    fn begin(&mut self) {
        let header = std::mem::take(&mut self.header);
        let (Some(&[a, b, c, sequence]), inside) = (header.first_chunk::<HEADER>(), self.inside)
        else {
            return;
        };
        self.remaining = u32::from_le_bytes([a, b, c, 0]);
        self.command_due = sequence == 0 && !inside;
        let continues = self.remaining == CONTINUED;
        let wraps = sequence == u8::MAX && self.remaining != 0;
        self.inside = continues || wraps;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(length: usize, sequence: u8, first: u8) -> Vec<u8> {
        let [a, b, c, _] = u32::try_from(length).unwrap().to_le_bytes();
        let mut bytes = vec![a, b, c, sequence];
        bytes.extend(std::iter::repeat_n(first, length));
        bytes
    }

    fn accepts(packets: &[Vec<u8>]) -> bool {
        let whole = packets.concat();
        let verdict = CommandGuard::default().inspect(&whole).is_ok();
        if whole.len() < 100_000 {
            for size in 1..7 {
                let mut guard = CommandGuard::default();
                let pieces = whole.chunks(size).all(|piece| guard.inspect(piece).is_ok());
                assert_eq!(pieces, verdict, "cut in pieces of {size}");
            }
        }
        verdict
    }

    #[test]
    fn a_change_of_user_is_found_wherever_it_stands() {
        assert!(!accepts(&[packet(20, 0, 0x11)]));
        assert!(!accepts(&[packet(9, 0, 0x03), packet(20, 0, 0x11)]));
        assert!(!accepts(&[packet(0, 0, 0), packet(20, 0, 0x11)]));
    }

    #[test]
    fn the_same_byte_elsewhere_is_no_command() {
        assert!(accepts(&[packet(9, 0, 0x03), packet(9, 3, 0x11)]));
        assert!(accepts(&[packet(0xFF_FFFF, 0, 0x03), packet(20, 0, 0x11)]));
    }

    #[test]
    fn a_file_that_wraps_its_numbers_passes_and_what_follows_its_end_does_not() {
        assert!(accepts(&[
            packet(9, 255, 0x11),
            packet(9, 0, 0x11),
            packet(9, 1, 0x11)
        ]));
        assert!(!accepts(&[packet(0, 255, 0), packet(20, 0, 0x11)]));
    }
}
