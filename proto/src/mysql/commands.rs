//! Follows the commands of a session, to find the one that changes the user, without keeping the bytes.
//!
//! The numbers of packets tell a command from the content of a local file: a command begins at number 0, and the file of
//! `LOAD DATA LOCAL` goes on behind the number of the database's request for it.
//!
//! Between commands both servers end a session whose numbers are wrong (error 1156). Within a command they do not: MySQL
//! and MariaDB answer a piece of a file that bears a wrong number with an error, leave its payload unread, and take
//! commands from there. The right number is known to nobody who does not follow the answers. So where users are
//! restricted (`InDoubt::Stop`) there are no local files, and a replica says nothing but its goodbye.
//!
//! States: a command is due; a file is under way, until its empty packet; the session is a replica's, whose packets
//! bear numbers of their own. A packet of full length is continued by the next one, in any state.

use super::change_user::COMMAND;

/// A payload of this length goes on in the next packet.
const CONTINUED: u32 = 0xFF_FFFF;
/// Bytes of a packet's header.
const HEADER: usize = 4;
/// The commands that may be answered with a request for a local file: `COM_QUERY` and `COM_STMT_EXECUTE`.
const LOADING: [u8; 2] = [0x03, 0x17];
/// The commands that make a session a replica's: `COM_BINLOG_DUMP` and `COM_BINLOG_DUMP_GTID`.
const REPLICATING: [u8; 2] = [0x12, 0x1E];
/// `COM_QUIT`.
const QUIT: u8 = 0x01;

/// The finding in some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// So many bytes may pass. What follows must be shown again, with more behind it.
    pub pass: usize,
    /// The reason why nothing passes behind them, if there is one.
    pub stop: Option<Stop>,
}

/// A reason to let nothing more pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A `COM_CHANGE_USER` follows, from its header on.
    ChangeOfUser,
    /// A packet follows of which nobody can tell how the database takes it. This is its number.
    OutOfStep(u8),
}

/// The way to deal with a packet that cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InDoubt {
    /// It stops the session: users are restricted, and it may change the user.
    Stop,
    /// It passes: the worst is a change of user that fails.
    Pass,
}

/// The kind of packet that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// A command; with `file`, the last one may be answered with a request for a local file.
    Command { file: bool },
    /// The next piece of a local file.
    File,
    /// Anything that a replica says.
    Replica,
}

/// Follows packet borders in what an application sends after its login. The stream must not be compressed.
#[derive(Clone, Debug)]
pub struct Commands {
    /// Bytes of the current packet that are still to come.
    remaining: u32,
    due: Due,
    /// The next packet continues the one before.
    continued: bool,
    /// The number behind that of the last packet.
    next: u8,
    in_doubt: InDoubt,
    local_files: bool,
}

impl Commands {
    /// Begins behind a login. `local_files` is whether the application may be asked for a local file; where users are
    /// restricted none is believed in.
    pub const fn new(in_doubt: InDoubt, local_files: bool) -> Self {
        Self {
            remaining: 0,
            due: Due::Command { file: false },
            continued: false,
            next: 0,
            in_doubt,
            local_files: local_files && matches!(in_doubt, InDoubt::Pass),
        }
    }

    /// Looks at the next bytes of the application, beginning where the last look stopped to let pass.
    ///
    /// Holds back at most a header, until the first byte of the payload behind it is there.
    pub fn look(&mut self, bytes: &[u8]) -> Seen {
        let mut rest = bytes;
        let stop = loop {
            let inside = usize::try_from(self.remaining)
                .unwrap_or(usize::MAX)
                .min(rest.len());
            self.remaining = self
                .remaining
                .saturating_sub(u32::try_from(inside).unwrap_or(u32::MAX));
            rest = rest.get(inside..).unwrap_or_default();
            let Some((&[a, b, c, number], payload)) = rest.split_first_chunk::<HEADER>() else {
                break None;
            };
            let length = u32::from_le_bytes([a, b, c, 0]);
            let first = payload.first().copied();
            if length > 0 && first.is_none() {
                break None;
            }
            if let Some(stop) = self.judge(length, number, first) {
                break Some(stop);
            }
            self.continued = length == CONTINUED;
            self.next = number.wrapping_add(1);
            self.remaining = length;
            rest = payload;
        };
        Seen {
            pass: bytes.len().saturating_sub(rest.len()),
            stop,
        }
    }

    /// Judges a packet by its header and the first byte of its payload.
    fn judge(&mut self, length: u32, number: u8, first: Option<u8>) -> Option<Stop> {
        let in_step = number == self.next;
        let first = first.filter(|_| length > 0);
        let changes_user = first == Some(COMMAND);
        match self.due {
            _ if self.continued && in_step && !(changes_user && number == 0) => None,
            _ if self.continued => self.out_of_step(number),
            Due::Replica if changes_user && number == 0 => Some(Stop::ChangeOfUser),
            Due::Replica if (number, length, first) == (0, 1, Some(QUIT)) => None,
            Due::Replica => self.out_of_step(number),
            Due::File if in_step => {
                if length == 0 {
                    self.due = Due::Command { file: true };
                }
                None
            }
            Due::Command { .. } | Due::File if number == 0 => {
                if changes_user {
                    return Some(Stop::ChangeOfUser);
                }
                self.due = self.behind(first);
                None
            }
            Due::Command { file: true } => {
                // An empty packet is an empty file.
                if length > 0 {
                    self.due = Due::File;
                }
                None
            }
            Due::Command { file: false } | Due::File => self.out_of_step(number),
        }
    }

    /// The kind of packet that is due behind this command.
    fn behind(&self, command: Option<u8>) -> Due {
        let is_among = |commands: [u8; 2]| command.is_some_and(|byte| commands.contains(&byte));
        if is_among(REPLICATING) {
            return Due::Replica;
        }
        Due::Command {
            file: self.local_files && is_among(LOADING),
        }
    }

    /// A packet that cannot be told: the end where users are restricted, and else content.
    fn out_of_step(&self, number: u8) -> Option<Stop> {
        match self.in_doubt {
            InDoubt::Stop => Some(Stop::OutOfStep(number)),
            InDoubt::Pass => None,
        }
    }
}

#[cfg(test)]
mod tests;
