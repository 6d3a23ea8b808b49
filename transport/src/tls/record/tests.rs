//! The conformance suite of the record layer: the traces of RFC 8448, the rules of RFC 8446 sections 4.6, 5 and 6, and
//! everything a hostile peer can make of them.

mod flood;

use proptest::prelude::*;
use rustls::ConnectionTrafficSecrets;
use rustls::crypto::cipher::{AeadKey, Iv};

use super::*;

/// The client's traffic key of RFC 8448 section 3: AES-128, which rustls alone can make from outside.
fn rfc_key(sequence: u64) -> Key {
    Key::of(
        &aws_lc_rs::aead::AES_128_GCM,
        &CLIENT_KEY,
        Iv::from(CLIENT_IV),
        sequence,
    )
    .unwrap()
}

fn key(seed: u8) -> Key {
    key_at(seed, 0)
}

fn key_at(seed: u8, sequence: u64) -> Key {
    let secrets = ConnectionTrafficSecrets::Aes256Gcm {
        key: AeadKey::from([seed; 32]),
        iv: Iv::from([seed; 12]),
    };
    Key::new((sequence, secrets)).unwrap()
}

fn chacha(seed: u8) -> Key {
    let secrets = ConnectionTrafficSecrets::Chacha20Poly1305 {
        key: AeadKey::from([seed; 32]),
        iv: Iv::from([seed; 12]),
    };
    Key::new((0, secrets)).unwrap()
}

const LIMIT: u64 = 1 << 24;

fn sealer() -> Sealer {
    Sealer::new(key(1), LIMIT)
}

fn opener() -> Opener {
    Opener::new(key(1), false)
}

fn sealed(seal: impl FnOnce(&mut [u8]) -> Result<usize, RecordError>) -> Vec<u8> {
    let mut into = vec![0; CONTENT + OVERHEAD];
    let length = seal(&mut into).unwrap();
    into.truncate(length);
    into
}

/// Opens one record: what it was, and its data.
fn open(opener: &mut Opener, record: &[u8]) -> Result<(Opened, Vec<u8>), RecordError> {
    let whole = length(record)?.expect("a whole header");
    assert_eq!(whole, record.len());
    let mut into = vec![0; Opener::room(record)];
    let opened = opener.open(record, &mut into)?;
    if let Opened::Data(length) = opened {
        into.truncate(length);
    }
    Ok((opened, into))
}

/// A record with any inner bytes: content, type and padding.
fn inner(key: &mut Key, inner: &[u8]) -> Vec<u8> {
    let encrypted = u16::try_from(inner.len() + TAG).unwrap().to_be_bytes();
    let header = [kind::DATA, 3, 3, encrypted[0], encrypted[1]];
    let mut record = vec![0; HEADER + inner.len() + TAG];
    record[..HEADER].copy_from_slice(&header);
    let (sealed, tag) = record[HEADER..].split_at_mut(inner.len());
    key.seal(aws_lc_rs::aead::Aad::from(header), inner, sealed, &[], tag)
        .unwrap();
    record
}

fn of_kind(content: &[u8], kind: u8) -> Vec<u8> {
    [content, &[kind]].concat()
}

/// What becomes of these inner bytes, one record after the other.
fn fate(tickets: bool, records: &[Vec<u8>]) -> Result<Vec<Opened>, RecordError> {
    let mut seal = key(1);
    let mut opener = Opener::new(key(1), tickets);
    records
        .iter()
        .map(|bytes| open(&mut opener, &inner(&mut seal, bytes)).map(|(opened, _)| opened))
        .collect()
}

const CLIENT_KEY: [u8; 16] = [
    0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e, 0xd5, 0xd9, 0xac, 0xd8, 0x90, 0xe3, 0xc6, 0x3f, 0x50, 0x51,
];
const CLIENT_IV: [u8; 12] = [
    0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08, 0x57, 0x90, 0x33, 0xe5, 0x23, 0xd9,
];
/// The client's data in RFC 8448 section 3, as sent.
const CLIENT_DATA: [u8; 72] = [
    0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94, 0xd0, 0xaf, 0xfa, 0xfe,
    0x82, 0x28, 0xba, 0x55, 0xcb, 0xef, 0xac, 0xea, 0x42, 0xf9, 0x14, 0xaa, 0x66, 0xbc, 0xab, 0x3f,
    0x2b, 0x98, 0x19, 0xa8, 0xa5, 0xb4, 0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20, 0x44, 0x1e, 0x2b,
    0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62, 0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd, 0x1e, 0x3d, 0xea, 0xe6,
    0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49, 0x15, 0xe4,
];

#[test]
fn the_record_of_rfc_8448_is_sealed_and_opened_to_the_byte() {
    let record = &CLIENT_DATA;
    let data: Vec<u8> = (0..50).collect();
    let mut ours = Sealer::new(rfc_key(0), LIMIT);
    assert_eq!(sealed(|into| ours.data(&data, into)), record);
    let mut opener = Opener::new(rfc_key(0), false);
    assert_eq!(open(&mut opener, record), Ok((Opened::Data(50), data)));
}

#[test]
fn the_close_notify_of_rfc_8448_is_sealed_and_opened_to_the_byte() {
    let record = [
        0x17, 0x03, 0x03, 0x00, 0x13, 0xc9, 0x87, 0x27, 0x60, 0x65, 0x56, 0x66, 0xb7, 0x4d, 0x7f,
        0xf1, 0x15, 0x3e, 0xfd, 0x6d, 0xb6, 0xd0, 0xb0, 0xe3,
    ];
    let mut ours = Sealer::new(rfc_key(1), LIMIT);
    let close = AlertDescription::CloseNotify;
    assert_eq!(sealed(|into| ours.alert(close, into)), record);
    let mut opener = Opener::new(rfc_key(1), false);
    assert_eq!(open(&mut opener, &record).unwrap().0, Opened::End);
}

#[test]
fn all_cipher_suites_carry_records_of_all_lengths() {
    for make in [key, chacha] {
        let (mut sealer, mut opener) = (Sealer::new(make(7), LIMIT), Opener::new(make(7), false));
        for size in [1, 2, 15, 16, 17, 255, 4096, CONTENT - 1, CONTENT] {
            let data: Vec<u8> = (0..size).map(|i| (i * 7 + size).to_le_bytes()[0]).collect();
            let record = sealed(|into| sealer.data(&data, into));
            assert_eq!(record.len(), size + OVERHEAD);
            assert_eq!(open(&mut opener, &record), Ok((Opened::Data(size), data)));
        }
    }
}

#[test]
fn what_is_longer_than_a_record_is_not_sealed_and_what_has_no_room_neither() {
    let mut into = vec![0; CONTENT + OVERHEAD + 1];
    let long = vec![1; CONTENT + 1];
    assert_eq!(sealer().data(&long, &mut into), Err(RecordError::Crypto));
    let room = &mut into[..9 + OVERHEAD];
    assert_eq!(sealer().data(&[1; 10], room), Err(RecordError::Crypto));
}

#[test]
fn a_header_is_judged_before_its_record_has_come() {
    assert_eq!(length(&[]), Ok(None));
    assert_eq!(length(&[23, 3, 3, 0]), Ok(None));
    assert_eq!(length(&[23, 3, 3, 0, 17]), Ok(Some(22)));
    assert_eq!(
        length(&[23, 9, 9, 0x41, 0x00]),
        Ok(Some(HEADER + ENCRYPTED))
    );
    assert_eq!(length(&[23, 3, 3, 0x41, 0x01]), Err(RecordError::Overflow));
    assert_eq!(length(&[23, 3, 3, 0, 16]), Err(RecordError::Tampered));
    // An alert, a handshake message, a change of cipher: nothing comes in plain any more.
    for kind in [20, 21, 22, 24, 0, 255, 0x80] {
        assert_eq!(length(&[kind, 3, 3, 0, 32]), Err(RecordError::Unexpected));
    }
}

#[test]
fn a_bit_that_is_changed_anywhere_is_found() {
    let record = sealed(|into| sealer().data(b"select 1", into));
    for at in (1..record.len()).filter(|at| !(3..5).contains(at)) {
        for bit in 0..8 {
            let mut changed = record.clone();
            changed[at] ^= 1 << bit;
            assert_eq!(
                open(&mut opener(), &changed),
                Err(RecordError::Tampered),
                "byte {at}, bit {bit}"
            );
        }
    }
}

#[test]
fn a_record_that_is_left_out_repeated_or_moved_is_found() {
    let mut sealer = sealer();
    let [first, second] = [b"1", b"2"].map(|data| sealed(|into| sealer.data(data, into)));
    assert_eq!(open(&mut opener(), &second), Err(RecordError::Tampered));
    let mut opener = opener();
    open(&mut opener, &first).unwrap();
    assert_eq!(open(&mut opener, &first), Err(RecordError::Tampered));
}

#[test]
fn padding_is_taken_off_and_a_record_of_zeros_is_refused() {
    let padded = [&of_kind(b"data", kind::DATA)[..], &[0; 100]].concat();
    assert_eq!(fate(false, &[padded]), Ok(vec![Opened::Data(4)]));
    assert_eq!(fate(false, &[vec![0; 50]]), Err(RecordError::Unexpected));
}

#[test]
fn content_may_be_as_long_as_a_record_and_not_longer() {
    let most = of_kind(&vec![1; CONTENT], kind::DATA);
    assert_eq!(fate(false, &[most]), Ok(vec![Opened::Data(CONTENT)]));
    let more = of_kind(&vec![1; CONTENT + 1], kind::DATA);
    assert_eq!(fate(false, &[more]), Err(RecordError::Overflow));
}

#[test]
fn types_that_nobody_knows_are_refused() {
    for kind in [1, 20, 24, 25, 255] {
        assert_eq!(
            fate(false, &[of_kind(b"x", kind)]),
            Err(RecordError::Unexpected)
        );
    }
}

#[test]
fn nothing_of_the_handshake_protocol_is_empty() {
    assert_eq!(
        fate(false, &[of_kind(b"", kind::HANDSHAKE)]),
        Err(RecordError::Unexpected)
    );
}

#[test]
fn alerts_end_the_connection_whatever_level_they_claim() {
    let one = |alert: &[u8]| fate(false, &[of_kind(alert, kind::ALERT)]);
    for level in [1, 2, 9] {
        assert_eq!(one(&[level, 0]), Ok(vec![Opened::End]));
        assert_eq!(one(&[level, 90]), Ok(vec![Opened::Nothing]));
        let expired = RecordError::Alert(AlertDescription::CertificateExpired);
        assert_eq!(one(&[level, 45]), Err(expired));
    }
    for alert in [&b""[..], b"\x02", b"\x02\x00\x00"] {
        assert_eq!(one(alert), Err(RecordError::Malformed));
    }
}

#[test]
fn our_alerts_are_read_as_what_they_are() {
    for alert in [
        AlertDescription::BadRecordMac,
        AlertDescription::DecodeError,
    ] {
        let record = sealed(|into| sealer().alert(alert, into));
        assert_eq!(open(&mut opener(), &record), Err(RecordError::Alert(alert)));
    }
}

#[test]
fn a_new_key_is_taken_up_and_the_old_one_opens_nothing_more() {
    let mut sealer = sealer();
    let update = sealed(|into| sealer.renew(key(2), into));
    let data = sealed(|into| sealer.data(b"new", into));
    let mut opener = opener();
    let opened = open(&mut opener, &update).unwrap().0;
    assert_eq!(opened, Opened::NewKey { answer: false });
    opener.renew(key(2));
    assert_eq!(open(&mut opener, &data).unwrap().1, b"new");
    let old = sealed(|into| self::sealer().data(b"old", into));
    assert_eq!(open(&mut opener, &old), Err(RecordError::Tampered));
}

#[test]
fn messages_of_the_handshake_protocol_are_judged() {
    let one = |tickets, message: &[u8]| fate(tickets, &[of_kind(message, kind::HANDSHAKE)]);
    let asked = Opened::NewKey { answer: true };
    assert_eq!(one(false, &[24, 0, 0, 1, 1]), Ok(vec![asked]));
    assert_eq!(one(false, &[24, 0, 0, 1, 2]), Err(RecordError::Malformed));
    assert_eq!(
        one(false, &[24, 0, 0, 2, 1, 1]),
        Err(RecordError::Malformed)
    );
    assert_eq!(one(false, &[24, 0, 0, 0]), Err(RecordError::Malformed));
    // Under the old key, after it has been given up.
    assert_eq!(
        one(false, &[24, 0, 0, 1, 0, 24]),
        Err(RecordError::Unexpected)
    );
    let ticket = [&[4, 0, 0, 3][..], b"abc"].concat();
    assert_eq!(one(true, &ticket), Ok(vec![Opened::Nothing]));
    assert_eq!(
        one(false, &ticket),
        Err(RecordError::Unexpected),
        "from a client"
    );
    assert_eq!(
        one(true, &[4, 1, 0, 1]),
        Err(RecordError::Malformed),
        "too long"
    );
    assert_eq!(
        one(true, &[4, 0, 0, 0]),
        Err(RecordError::Malformed),
        "empty"
    );
    // A handshake of TLS 1.2, a request for a certificate, a message of the handshake itself.
    for kind in [0, 1, 2, 11, 13, 20] {
        assert_eq!(one(true, &[kind, 0, 0, 1, 0]), Err(RecordError::Unexpected));
    }
    let two = [&ticket[..], &ticket, &[24, 0, 0, 1, 0]].concat();
    let renewed = Opened::NewKey { answer: false };
    assert_eq!(one(true, &two), Ok(vec![renewed]));
}

#[test]
fn nothing_else_comes_between_the_parts_of_a_message() {
    let part = of_kind(&[4, 0, 0], kind::HANDSHAKE);
    for other in [of_kind(b"x", kind::DATA), of_kind(&[1, 0], kind::ALERT)] {
        assert_eq!(
            fate(true, &[part.clone(), other]),
            Err(RecordError::Unexpected)
        );
    }
}

#[test]
fn a_key_is_worn_before_its_limit_and_a_sequence_never_wraps() {
    let mut worn = Sealer::new(key_at(1, 99), 116);
    assert!(!worn.is_worn());
    sealed(|into| worn.data(b"x", into));
    assert!(worn.is_worn());
    sealed(|into| worn.renew(key(2), into));
    assert!(!worn.is_worn());
    let mut last = Sealer::new(key_at(1, u64::MAX), u64::MAX);
    assert_eq!(last.data(b"x", &mut [0; 64]), Err(RecordError::Crypto));
    let mut last = Opener::new(key_at(1, u64::MAX), false);
    assert_eq!(last.open(&[0; 64], &mut [0; 64]), Err(RecordError::Crypto));
}

#[test]
fn no_key_is_shown() {
    let shown = format!("{:?} {:?}", sealer(), opener());
    assert!(
        shown.contains("sequence: 0") && !shown.contains("iv"),
        "{shown}"
    );
}

proptest! {
    /// However tickets and a new key are cut into records, they are understood the same.
    #[test]
    fn messages_may_be_cut_anywhere(cuts in proptest::collection::vec(1_usize..9, 1..40), length in 1_u8..200) {
        let ticket = [&[4, 0, 0, length][..], &vec![9; usize::from(length)]].concat();
        let mut rest = &[&ticket[..], &ticket, &[24, 0, 0, 1, 1]].concat()[..];
        let mut records = Vec::new();
        for cut in cuts.iter().cycle() {
            let (part, more) = rest.split_at((*cut).min(rest.len()));
            records.push(of_kind(part, kind::HANDSHAKE));
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        let fate = fate(true, &records).unwrap();
        let (last, before) = fate.split_last().unwrap();
        prop_assert_eq!(*last, Opened::NewKey { answer: true });
        prop_assert!(before.iter().all(|opened| *opened == Opened::Nothing));
    }

    /// Whatever a peer that has our key puts into a record, it is opened or refused.
    #[test]
    fn any_inner_bytes_are_opened_or_refused(
        records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 1..20),
        tickets: bool,
    ) {
        fate(tickets, &records).ok();
    }

    /// Whatever comes from a network is no record, or a record that was tampered with.
    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 5..400)) {
        if let Ok(Some(whole)) = length(&bytes) {
            let record = bytes.get(..whole).unwrap_or(&bytes);
            let opened = opener().open(record, &mut vec![0; ENCRYPTED]);
            prop_assert!(opened.is_err());
        }
    }
}
