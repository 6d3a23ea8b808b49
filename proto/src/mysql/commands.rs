//! Watches the commands of a session, to find the one that changes the user, without keeping the bytes.

use super::change_user::COMMAND;

/// A payload of this length goes on in the next packet.
const CONTINUED: u32 = 0xFF_FFFF;
/// Bytes of a packet's header.
const HEADER: usize = 4;

/// What was found in some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// So many bytes may pass. What follows must be shown again, with more behind it.
    pub pass: usize,
    /// What follows is a `COM_CHANGE_USER`, from its header on.
    pub changes_user: bool,
}

/// Follows packet borders in what an application sends after its login. The stream must not be compressed.
#[derive(Clone, Debug, Default)]
pub struct Commands {
    remaining: u32,
    /// The next packet does not begin a command.
    inside: bool,
}

impl Commands {
    /// Looks at the next bytes of the application, beginning where the last look stopped to let pass.
    ///
    /// Holds back at most a header, until the first byte of the payload behind it is there.
    pub fn look(&mut self, bytes: &[u8]) -> Seen {
        let mut rest = bytes;
        let seen = |rest: &[u8], changes_user| Seen {
            pass: bytes.len().saturating_sub(rest.len()),
            changes_user,
        };
        loop {
            let inside = usize::try_from(self.remaining)
                .unwrap_or(usize::MAX)
                .min(rest.len());
            self.remaining = self
                .remaining
                .saturating_sub(u32::try_from(inside).unwrap_or(u32::MAX));
            rest = rest.get(inside..).unwrap_or_default();
            let Some((&[a, b, c, sequence], payload)) = rest.split_first_chunk::<HEADER>() else {
                return seen(rest, false);
            };
            let length = u32::from_le_bytes([a, b, c, 0]);
            if length > 0 {
                let Some(&first) = payload.first() else {
                    return seen(rest, false);
                };
                if sequence == 0 && !self.inside && first == COMMAND {
                    return seen(rest, true);
                }
            }
            // Number 0 begins a command but for two cases: behind a packet of full length it may be any number, and
            // behind a packet of number 255 that is not empty it is the wrap-around in the file of LOAD DATA LOCAL.
            self.inside = length == CONTINUED || (sequence == u8::MAX && length != 0);
            self.remaining = length;
            rest = payload;
        }
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

    /// Where the change of user begins, however the stream is cut.
    fn found(packets: &[Vec<u8>]) -> Option<usize> {
        let whole = packets.concat();
        let seen = Commands::default().look(&whole);
        if whole.len() < 100_000 {
            for size in 1..9 {
                let (mut commands, mut passed, mut held) = (Commands::default(), 0, vec![]);
                for piece in whole.chunks(size) {
                    held.extend_from_slice(piece);
                    let seen = commands.look(&held);
                    passed = seen.pass.saturating_add(passed);
                    held.drain(..seen.pass);
                    assert!(held.len() <= size.saturating_add(HEADER));
                    if seen.changes_user {
                        break;
                    }
                }
                assert_eq!(passed, seen.pass, "cut in pieces of {size}");
            }
        }
        seen.changes_user.then_some(seen.pass)
    }

    #[test]
    fn a_change_of_user_is_found_wherever_it_stands() {
        assert_eq!(found(&[packet(20, 0, 0x11)]), Some(0));
        assert_eq!(found(&[packet(9, 0, 0x03), packet(20, 0, 0x11)]), Some(13));
        assert_eq!(found(&[packet(0, 0, 0), packet(20, 0, 0x11)]), Some(4));
    }

    #[test]
    fn the_same_byte_elsewhere_is_no_command() {
        assert_eq!(found(&[packet(9, 0, 0x03), packet(9, 3, 0x11)]), None);
        assert_eq!(
            found(&[packet(0xFF_FFFF, 0, 0x03), packet(20, 0, 0x11)]),
            None
        );
    }

    #[test]
    fn a_file_that_wraps_its_numbers_passes_and_what_follows_its_end_does_not() {
        assert_eq!(
            found(&[packet(9, 255, 0x11), packet(9, 0, 0x11), packet(9, 1, 0x11)]),
            None
        );
        assert_eq!(found(&[packet(0, 255, 0), packet(20, 0, 0x11)]), Some(4));
    }

    #[test]
    fn all_passes_but_an_unfinished_header() {
        let mut commands = Commands::default();
        let two = [packet(9, 0, 0x03), vec![20, 0, 0]].concat();
        assert_eq!(
            commands.look(&two),
            Seen {
                pass: 13,
                changes_user: false
            }
        );
    }
}
