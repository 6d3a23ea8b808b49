//! What a login looks like between agent and database.

use e2e::relay::{Packet, Side};

const FAST: [u8; 2] = [1, 3];
const FULL: [u8; 2] = [1, 4];
const OK: u8 = 0;
const SWITCH: u8 = 0xFE;
const CLIENT_SSL: u8 = 0x08;
const CHANGE_USER: u8 = 0x11;

/// The packets of one session, from the greeting on.
pub(super) struct Trace(pub(super) Vec<Packet>);

impl Trace {
    /// The login alone: greeting to OK or ERR. Panics when the numbers of its packets do not count up by one.
    pub(super) fn of_login(packets: Vec<Packet>) -> Self {
        let end = packets
            .iter()
            .skip(1)
            .position(|packet| {
                packet.side == Side::Database && matches!(packet.payload[0], 0 | 0xFF)
            })
            .expect("a login ends with OK or ERR");
        let login = packets[..=end + 1].to_vec();
        for (number, packet) in login.iter().enumerate() {
            assert_eq!(usize::from(packet.sequence), number, "{login:?}");
        }
        Self(login)
    }

    /// The change of user alone: from the command to OK or ERR.
    pub(super) fn of_change_user(packets: &[Packet]) -> Self {
        let is_command = |packet: &Packet| {
            packet.side == Side::Agent && packet.sequence == 0 && packet.payload[0] == CHANGE_USER
        };
        let start = packets.iter().position(is_command);
        Self::of_login(packets[start.expect("a change of user")..].to_vec())
    }

    /// Whether the database's greeting offers TLS.
    pub(super) fn database_offers_tls(&self) -> bool {
        let greeting = &self.0[0].payload;
        let version_end = greeting.iter().position(|byte| *byte == 0).unwrap();
        greeting[version_end + 15] & CLIENT_SSL != 0
    }

    /// Payloads of the database behind its greeting.
    fn answers(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .iter()
            .skip(1)
            .filter(|packet| packet.side == Side::Database)
            .map(|packet| packet.payload.as_slice())
    }

    /// What the agent sends right behind this answer of the database.
    fn reply_to(&self, answer: impl Fn(&[u8]) -> bool) -> Option<&[u8]> {
        let at = self
            .0
            .iter()
            .position(|packet| packet.side == Side::Database && answer(&packet.payload))?;
        let next = self.0.get(at + 1)?;
        (next.side == Side::Agent).then_some(next.payload.as_slice())
    }

    pub(super) fn asks_for_full_authentication(&self) -> bool {
        self.answers().any(|answer| answer == FULL)
    }

    /// Full authentication with the password in the clear, no key asked for.
    pub(super) fn sends_the_password_as_it_is(&self, password: &str) -> bool {
        let expected = [password.as_bytes(), &[0]].concat();
        self.reply_to(|answer| answer == FULL) == Some(&expected) && !self.shows_a_key()
    }

    /// Full authentication in which the key is asked for and the password never seen.
    pub(super) fn encrypts_the_password(&self, password: &str, bits: usize) -> bool {
        let cipher = self.reply_to(|answer| answer.starts_with(b"\x01-----BEGIN"));
        let hidden = self.0.iter().all(|packet| {
            let mut windows = packet.payload.windows(password.len());
            !windows.any(|window| window == password.as_bytes())
        });
        self.reply_to(|answer| answer == FULL) == Some(&[2])
            && cipher.is_some_and(|cipher| cipher.len() == bits / 8)
            && hidden
    }

    /// The database sent a public key.
    pub(super) fn shows_a_key(&self) -> bool {
        self.answers()
            .any(|answer| answer.starts_with(b"\x01-----BEGIN"))
    }

    /// "Found in the cache", and OK behind it without a word of the agent.
    pub(super) fn is_fast(&self) -> bool {
        let [.., fast, ok] = self.0.as_slice() else {
            return false;
        };
        let database = [fast, ok]
            .iter()
            .all(|packet| packet.side == Side::Database);
        database && fast.payload == FAST && ok.payload[0] == OK
    }

    /// The plugins that the database switches to, in turn.
    pub(super) fn switches(&self) -> Vec<String> {
        let name = |answer: &[u8]| {
            let (&SWITCH, rest) = answer.split_first()? else {
                return None;
            };
            let end = rest.iter().position(|byte| *byte == 0)?;
            Some(String::from_utf8_lossy(&rest[..end]).into_owned())
        };
        self.answers().filter_map(name).collect()
    }

    /// How many packets the agent sent behind the handshake response.
    pub(super) fn rounds(&self) -> usize {
        let by_agent = self.0.iter().filter(|packet| packet.side == Side::Agent);
        by_agent.count() - 1
    }
}
