use super::*;
use crate::mysql::greeting::Greeting;
use crate::mysql::packet::{Packet, encode};
use crate::refusal::Code;

const NONCE: [u8; 20] = [0x80; 20];

fn refusing(version: Option<&[u8]>, offers_tls: bool) -> Refusing {
    let refusal = Refusal::new(Code::DatabaseUnreachable, "it is down", "start it");
    Refusing::new(refusal, version.map(<[u8]>::to_vec), NONCE, offers_tls)
}

/// Sends a packet and gives back what is said, and how it stands.
fn feed(machine: &mut Refusing, bytes: &[u8]) -> Result<(Vec<u8>, Option<Refused>), Violation> {
    let mut said = Vec::new();
    let mut inputs = Inputs {
        application: bytes.to_vec(),
        database: vec![],
    };
    loop {
        match machine.step(&mut inputs)? {
            Step::NeedInput => return Ok((said, None)),
            Step::Send(face, bytes) => {
                assert_eq!(face, Face::Application);
                said.extend(bytes);
            }
            Step::Done(outcome) => return Ok((said, Some(outcome))),
        }
    }
}

fn response(sequence: u8, capabilities: u32, tls_request: bool) -> Vec<u8> {
    let mut payload = (capabilities | 0x0008_8200).to_le_bytes().to_vec();
    payload.extend_from_slice(&[0, 0, 0, 1, 255]);
    payload.extend_from_slice(&[0; 23]);
    if !tls_request {
        payload.extend_from_slice(b"app\0\0mysql_native_password\0");
    }
    encode(sequence, &payload).unwrap()
}

#[test]
fn the_greeting_parses_as_one_and_bears_the_databases_version() {
    for (version, shown) in [
        (Some(&b"11.8.6-MariaDB"[..]), &b"11.8.6-MariaDB"[..]),
        (None, NEUTRAL_VERSION),
    ] {
        for offers_tls in [false, true] {
            let (bytes, outcome) = feed(&mut refusing(version, offers_tls), &[]).unwrap();
            assert_eq!(outcome, None);
            let packet = Packet::take(&mut bytes.clone(), 1000).unwrap().unwrap();
            assert_eq!(packet.sequence, 0);
            let greeting = Greeting::parse(&packet.payload).unwrap();
            assert_eq!(greeting.version(&packet.payload), shown);
            assert_eq!(greeting.offers_tls(), offers_tls);
            assert_eq!(greeting.plugin.as_bytes(), PLUGIN);
            assert!(greeting.nonce.iter().all(|byte| *byte != 0));
        }
    }
}

#[test]
fn a_plain_client_reads_the_refusal_behind_its_response() {
    let mut machine = refusing(None, true);
    feed(&mut machine, &[]).unwrap();
    let (said, outcome) = feed(&mut machine, &response(1, 0, false)).unwrap();
    assert_eq!(outcome, Some(Refused::Told));
    assert_eq!(said[3..13], *b"\x02\xff\x86\x04#08S01");
    assert!(said.ends_with(b"it is down; start it [database-unreachable]"));
}

#[test]
fn a_client_that_asks_for_tls_reads_it_inside() {
    let mut machine = refusing(None, true);
    feed(&mut machine, &[]).unwrap();
    let request = response(1, capability::SSL, true);
    let (said, outcome) = feed(&mut machine, &request).unwrap();
    assert_eq!((said, outcome), (vec![], Some(Refused::StartTls)));
    let (said, outcome) = feed(&mut machine, &response(2, capability::SSL, false)).unwrap();
    assert_eq!((said[3], outcome), (3, Some(Refused::Told)));
}

#[test]
fn tls_that_is_not_offered_is_answered_with_the_refusal() {
    let mut machine = refusing(None, false);
    feed(&mut machine, &[]).unwrap();
    let (said, outcome) = feed(&mut machine, &response(1, capability::SSL, true)).unwrap();
    assert_eq!((said[3], outcome), (2, Some(Refused::Told)));
}

#[test]
fn an_answer_that_is_none_is_a_violation_and_its_number_is_answered() {
    let mut machine = refusing(None, true);
    feed(&mut machine, &[]).unwrap();
    assert!(feed(&mut machine, &[0xFF, 0xFF, 0xFF, 1]).is_err());
    let refusal = Refusal::new(Code::Protocol, "bad", "do better");
    assert_eq!(
        machine.farewell(&refusal)[3..13],
        *b"\x02\xff\x13\x04#08S01"
    );
    let mut machine = refusing(None, true);
    feed(&mut machine, &[]).unwrap();
    assert!(feed(&mut machine, &encode(1, b"junk").unwrap()).is_err());
}
