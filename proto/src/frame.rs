//! The opening frame of our own dialect, `csql/1`: one frame each way, before the database speaks.
//!
//! A frame is a big-endian u32 length and that many bytes of JSON. Unknown members are ignored, so versions mix.

use serde::{Deserialize, Serialize};

use crate::machine::Violation;
use crate::refusal::Refusal;

/// Longest JSON of a frame, in bytes.
pub const MAX_FRAME: usize = 16 * 1024;
/// Bytes of the length.
const HEADER: usize = 4;
/// The version that this code speaks.
pub const VERSION: u32 = 1;

/// What the client says first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`] of the sender.
    pub version: u32,
    /// What the sender can do beyond the version; none defined yet.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Made by the client, the same in both programs' logs.
    pub session_id: String,
    /// `project:region:instance`; must be the certificate's.
    pub instance: String,
    /// How the application reached the client.
    #[serde(default)]
    pub transport: Transport,
    /// The application's address, for logs: `127.0.0.1:51234`, or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The application's user on the client's machine, where a Unix socket told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The client's program and version, for logs.
    #[serde(default)]
    pub client: String,
}

/// How the application reached the client: database drivers send other bytes over each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Plain TCP.
    #[default]
    Tcp,
    /// A Unix socket.
    Unix,
    /// TLS that the client terminated.
    Tls,
    /// What a newer peer says and this code does not know.
    #[serde(other)]
    Unknown,
}

/// What the agent answers. The database speaks next after `Ok`, nobody after `Refused`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Answer {
    /// The database is connected.
    Ok {
        /// [`VERSION`] of the sender.
        version: u32,
        /// For how many seconds after a handshake the agent waits for a frame of this client's: so long a tunnel may be
        /// kept ready. Nothing: no longer than a frame takes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        patience: Option<u32>,
    },
    /// It is not, and this is why.
    Refused(Refusal),
}

/// Writes one frame. Longer JSON than [`MAX_FRAME`] is a [`Violation`] of our own making.
///
/// # Errors
/// When the value does not serialise or does not fit.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Violation> {
    let json = serde_json::to_vec(value).map_err(|_| Violation("frame does not serialise"))?;
    let length = u32::try_from(json.len()).map_err(|_| Violation("frame is too long"))?;
    if json.len() > MAX_FRAME {
        return Err(Violation("frame is too long"));
    }
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(&json);
    Ok(bytes)
}

/// Takes one frame off the front of `input`: `None` while it is not complete. What follows stays in `input`.
///
/// # Errors
/// A [`Violation`] when the announced length is over [`MAX_FRAME`] (found before the body is read) or the JSON is wrong.
pub fn decode<T: for<'de> Deserialize<'de>>(input: &mut Vec<u8>) -> Result<Option<T>, Violation> {
    let Some(header) = input.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        return Err(Violation("frame is too long"));
    }
    let end = length.saturating_add(HEADER);
    let Some(body) = input.get(HEADER..end) else {
        return Ok(None);
    };
    let value =
        serde_json::from_slice(body).map_err(|_| Violation("frame is not the JSON expected"))?;
    input.drain(..end);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::refusal::Code;

    fn hello() -> Hello {
        Hello {
            version: VERSION,
            capabilities: vec![],
            session_id: "s1".into(),
            instance: "p:r:i".into(),
            transport: Transport::Unix,
            peer: None,
            uid: Some(1000),
            client: "cloudsql-proxy/0.1.0".into(),
        }
    }

    #[test]
    fn a_frame_cut_at_any_place_is_incomplete_and_then_whole() {
        let whole = encode(&hello()).unwrap();
        for cut in 0..whole.len() {
            let mut input = whole[..cut].to_vec();
            assert_eq!(decode::<Hello>(&mut input), Ok(None));
            input.extend_from_slice(&whole[cut..]);
            input.extend_from_slice(b"rest");
            assert_eq!(decode(&mut input), Ok(Some(hello())));
            assert_eq!(input, b"rest");
        }
    }

    #[test]
    fn an_announced_length_over_the_limit_is_refused_at_once() {
        let mut input = u32::try_from(MAX_FRAME + 1).unwrap().to_be_bytes().to_vec();
        assert!(decode::<Hello>(&mut input).is_err());
    }

    #[test]
    fn unknown_members_and_transports_are_ignored() {
        let json = br#"{"version":9,"session_id":"s","instance":"p:r:i","transport":"carrier-pigeon","new":{"a":1}}"#;
        let mut input = u32::try_from(json.len()).unwrap().to_be_bytes().to_vec();
        input.extend_from_slice(json);
        let hello: Hello = decode(&mut input).unwrap().unwrap();
        assert_eq!((hello.version, hello.transport), (9, Transport::Unknown));
    }

    #[test]
    fn a_refusal_travels_with_code_reason_and_hint() {
        let refusal = Refusal::new(Code::NoGrant, "no grant", "ask for one");
        let mut input = encode(&Answer::Refused(refusal.clone())).unwrap();
        assert_eq!(decode(&mut input), Ok(Some(Answer::Refused(refusal))));
        let ok = |patience| Answer::Ok {
            version: 1,
            patience,
        };
        let plain = &br#"{"result":"ok","version":1}"#[..];
        let patient = &br#"{"result":"ok","version":1,"patience":60}"#[..];
        for (patience, json) in [(None, plain), (Some(60), patient)] {
            let mut bytes = encode(&ok(patience)).unwrap();
            assert_eq!(bytes[4..], *json);
            assert_eq!(decode(&mut bytes), Ok(Some(ok(patience))));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let outcome = decode::<Hello>(&mut bytes);
            prop_assert!(!matches!(outcome, Ok(Some(_))));
        }
    }
}
