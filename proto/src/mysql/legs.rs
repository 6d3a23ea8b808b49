//! The two legs of an exchange: each numbers its packets by itself, because what the bridge says is said on one only.

use zeroize::Zeroizing;

use super::packet::{self, ERR, Packet};
use crate::machine::{Face, Inputs, Violation};
use crate::refusal::Refusal;

/// Longest packet of the opening exchange; attributes alone may take 64 KiB.
const MAX_PACKET: usize = 256 * 1024;
/// Most packets of an exchange, both ways together.
pub(super) const MAX_PACKETS: u16 = 64;
/// Most bytes that are looked at in one input.
pub(super) const MAX_INPUT: usize = MAX_PACKET.saturating_add(packet::HEADER);

/// The next number of each leg, and how many packets there were.
#[derive(Clone, Debug, Default)]
pub(super) struct Legs {
    application: u8,
    database: u8,
    packets: u16,
}

impl Legs {
    /// Nothing has been said yet.
    pub(super) const fn new() -> Self {
        Self {
            application: 0,
            database: 0,
            packets: 0,
        }
    }

    /// The next whole packet of a face, with its number checked.
    pub(super) fn take(
        &mut self,
        face: Face,
        input: &mut Inputs,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Violation> {
        let announced = input.of(face).get(3).copied();
        let packet = match Packet::take(input.of(face), MAX_PACKET) {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(None),
            Err(violation) => {
                // Whoever sent it waits for an answer with the number behind it.
                if let Some(number) = announced {
                    *self.sequence(face) = number.wrapping_add(1);
                }
                return Err(violation);
            }
        };
        let Packet { sequence, payload } = packet;
        let payload = Zeroizing::new(payload);
        self.packets = self.packets.saturating_add(1);
        if self.packets > MAX_PACKETS {
            return Err(Violation("too many packets for a login"));
        }
        let expected = self.sequence(face);
        // A database may say no in the middle of anything, with a number of its own making: what it says still ends the
        // exchange, and the application should read it.
        let says_no = face == Face::Database && payload.first() == Some(&ERR);
        if sequence != *expected && !says_no {
            return Err(Violation("packets out of order"));
        }
        *expected = expected.wrapping_add(1);
        Ok(Some(payload))
    }

    /// A packet with the next number of a face.
    pub(super) fn encode(&mut self, face: Face, payload: &[u8]) -> Result<Vec<u8>, Violation> {
        let sequence = self.sequence(face);
        let bytes = packet::encode(*sequence, payload)?;
        *sequence = sequence.wrapping_add(1);
        Ok(bytes)
    }

    /// Whether the application has answered the greeting: packet 0 was that, 1 was its own.
    pub(super) const fn application_has_spoken(&self) -> bool {
        self.application > 1
    }

    /// An ERR packet for the application.
    pub(super) fn error(&self, refusal: &Refusal, with_sqlstate: bool) -> Vec<u8> {
        packet::error(self.application, refusal, with_sqlstate)
    }

    const fn sequence(&mut self, face: Face) -> &mut u8 {
        match face {
            Face::Application => &mut self.application,
            Face::Database => &mut self.database,
        }
    }
}
