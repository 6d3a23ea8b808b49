//! PostgreSQL's opening, as far as the tunnel must know it: requests for TLS inside the tunnel are answered `N`.
//!
//! Source: PostgreSQL manual, "Message Formats" (SSLRequest, GSSENCRequest, ErrorResponse).

use crate::machine::{Face, Inputs, Machine, Step, Violation};
use crate::refusal::Refusal;

/// SSLRequest: length 8, code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F];
/// GSSENCRequest: length 8, code 80877104.
const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x30];
/// A client asks for one encryption after the other, once each.
const MAX_REQUESTS: u8 = 2;

/// Follows the opening until the application sends something other than a request for encryption.
///
/// The tunnel is encrypted already, and pg8000 breaks when the database answers `S` inside it.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    requests: u8,
}

impl Machine for Opening {
    type Outcome = ();

    fn step(&mut self, input: &mut Inputs) -> Result<Step<()>, Violation> {
        let buffer = input.of(Face::Application);
        let Some(first) = buffer.first_chunk::<8>() else {
            return Ok(Step::NeedInput);
        };
        if *first != SSL_REQUEST && *first != GSSENC_REQUEST {
            return Ok(Step::Done(()));
        }
        if buffer.len() > first.len() {
            return Err(Violation("bytes behind a request for encryption"));
        }
        self.requests = self.requests.saturating_add(1);
        if self.requests > MAX_REQUESTS {
            return Err(Violation("too many requests for encryption"));
        }
        buffer.clear();
        Ok(Step::Send(Face::Application, vec![b'N']))
    }

    fn wants(&self, face: Face) -> bool {
        face == Face::Application
    }

    fn max_input(&self) -> usize {
        SSL_REQUEST.len()
    }

    fn farewell(&self, refusal: &Refusal) -> Vec<u8> {
        error_response(refusal)
    }
}

/// An ErrorResponse with severity, SQLSTATE and text.
pub fn error_response(refusal: &Refusal) -> Vec<u8> {
    let mut body = Vec::new();
    let text = refusal.to_string().replace('\0', " ");
    for (field, value) in [
        (b'S', "FATAL"),
        (b'V', "FATAL"),
        (b'C', refusal.code.numbers().postgres_state),
        (b'M', text.as_str()),
    ] {
        body.push(field);
        body.extend_from_slice(value.as_bytes());
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len().saturating_add(4)).unwrap_or(u32::MAX);
    let mut message = vec![b'E'];
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(&body);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Code;

    const STARTUP: [u8; 9] = [0, 0, 0, 9, 0, 3, 0, 0, 0];

    fn step(machine: &mut Opening, bytes: &[u8]) -> (Result<Step<()>, Violation>, Vec<u8>) {
        let mut inputs = Inputs {
            application: bytes.to_vec(),
            database: vec![],
        };
        let step = machine.step(&mut inputs);
        (step, inputs.application)
    }

    #[test]
    fn requests_for_encryption_are_answered_no_and_not_passed_on() {
        let mut machine = Opening::default();
        for request in [GSSENC_REQUEST, SSL_REQUEST] {
            let (answer, rest) = step(&mut machine, &request);
            assert_eq!(answer, Ok(Step::Send(Face::Application, vec![b'N'])));
            assert!(rest.is_empty());
        }
        assert_eq!(
            step(&mut machine, &STARTUP),
            (Ok(Step::Done(())), STARTUP.to_vec())
        );
    }

    #[test]
    fn a_third_request_and_bytes_behind_a_request_are_violations() {
        let mut machine = Opening::default();
        assert!(
            step(&mut machine, &[&SSL_REQUEST[..], &STARTUP[..]].concat())
                .0
                .is_err()
        );
        let mut machine = Opening {
            requests: MAX_REQUESTS,
        };
        assert!(step(&mut machine, &SSL_REQUEST).0.is_err());
    }

    #[test]
    fn a_part_of_a_message_waits_for_the_rest() {
        for cut in 0..SSL_REQUEST.len() {
            let (answer, rest) = step(&mut Opening::default(), &SSL_REQUEST[..cut]);
            assert_eq!((answer, rest.len()), (Ok(Step::NeedInput), cut));
        }
    }

    #[test]
    fn a_refusal_is_a_well_formed_error_response() {
        let message = error_response(&Refusal::new(Code::NoGrant, "no grant", "ask for one"));
        assert_eq!(message[0], b'E');
        let length =
            usize::try_from(u32::from_be_bytes(message[1..5].try_into().unwrap())).unwrap();
        assert_eq!(length, message.len() - 1);
        let fields: Vec<&[u8]> = message[5..].split(|b| *b == 0).collect();
        assert_eq!(fields[2], b"C28000");
        assert_eq!(fields[3], b"Mno grant; ask for one [no-grant]");
    }
}
