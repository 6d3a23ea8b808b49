//! Records that bring nothing: a few are harmless.

use super::*;

#[test]
fn a_few_records_that_bring_no_data_are_harmless_and_a_flood_is_refused() {
    let ticket = [&[4, 0, 0, 9][..], &[7; 9]].concat();
    let useless = [
        of_kind(b"", kind::DATA),
        of_kind(&[1, 90], kind::ALERT),
        of_kind(&ticket, kind::HANDSHAKE),
        of_kind(&[24, 0, 0, 1, 1], kind::HANDSHAKE),
    ];
    for useless in useless {
        let a_few = vec![useless.clone(); 32];
        assert!(fate(true, &a_few).is_ok());
        let a_flood = vec![useless; 33];
        assert_eq!(fate(true, &a_flood), Err(RecordError::Unexpected));
        let data = of_kind(b"x", kind::DATA);
        let broken_by_data = [a_few.clone(), vec![data], a_few].concat();
        assert!(fate(true, &broken_by_data).is_ok());
    }
}

#[test]
fn a_side_that_only_listens_may_want_new_keys_for_as_long_as_it_is_talked_to() {
    let (mut seal, mut opener) = (key(1), opener());
    let mut asked = |opener: &mut Opener| {
        let record = inner(&mut seal, &of_kind(&[24, 0, 0, 1, 1], kind::HANDSHAKE));
        open(opener, &record).map(|(opened, _)| opened)
    };
    for _ in 0..100 {
        assert_eq!(asked(&mut opener), Ok(Opened::NewKey { answer: true }));
        opener.has_answered();
    }
    let flood = (0..100).find_map(|_| asked(&mut opener).err());
    assert_eq!(flood, Some(RecordError::Unexpected));
}
