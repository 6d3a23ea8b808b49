//! Records of the tunnel after the handshake: whatever a peer that has the key puts into them, and whatever else comes.
#![no_main]

#[path = "../../src/tls"]
#[allow(dead_code, unused_imports)]
mod tls {
    mod record;

    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use record::{CONTENT, HEADER, Key, OVERHEAD, Opened, Opener, RecordError, Sealer, length};
    use rustls::ConnectionTrafficSecrets;
    use rustls::crypto::cipher::{AeadKey, Iv};

    const ROOM: usize = CONTENT + 512;

    fn key() -> Key {
        let secrets = ConnectionTrafficSecrets::Aes256Gcm {
            key: AeadKey::from([1; 32]),
            iv: Iv::from([1; 12]),
        };
        Key::new((0, secrets)).unwrap()
    }

    /// Seals any inner bytes as the peer with this sequence number would.
    fn inner(bytes: &[u8], sequence: u64) -> Vec<u8> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[1; 32]).unwrap());
        let mut nonce = [1; 12];
        for (byte, part) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
            *byte ^= part;
        }
        let [high, low] = u16::try_from(bytes.len() + 16).unwrap().to_be_bytes();
        let header = [23, 3, 3, high, low];
        let mut sealed = bytes.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(header), &mut sealed)
            .unwrap();
        [&header[..], &sealed].concat()
    }

    /// The first byte says how; then each record is two bytes of length and what is in it.
    pub(super) fn fuzz(bytes: &[u8]) {
        let Some((&how, mut rest)) = bytes.split_first() else {
            return;
        };
        let tickets = how & 1 == 1;
        let mut opener = Opener::new(key(), tickets);
        if how & 2 == 2 {
            wire(&mut opener, rest);
            return;
        }
        let mut sequence = 0;
        while let [high, low, more @ ..] = rest {
            let wanted = usize::from(u16::from_be_bytes([*high, *low])) % (CONTENT + 256);
            let (content, after) = more.split_at(wanted.min(more.len()));
            rest = after;
            if content.is_empty() {
                continue;
            }
            let record = inner(content, sequence);
            if record.len() > HEADER + CONTENT + 256 {
                assert_eq!(length(&record), Err(RecordError::Overflow));
                return;
            }
            assert_eq!(length(&record), Ok(Some(record.len())));
            let mut into = vec![0xaa; ROOM];
            match opener.open(&record, &mut into) {
                Ok(Opened::Data(length)) => {
                    assert!(length > 0 && into[..length] == content[..length]);
                    assert_eq!(content[length], 23, "the type comes after the data");
                    assert!(content[length + 1..].iter().all(|&byte| byte == 0));
                }
                Ok(Opened::NewKey { .. }) => {
                    opener.renew(key());
                    sequence = 0;
                    continue;
                }
                Ok(Opened::Nothing) => {}
                Ok(Opened::End) | Err(_) => return,
            }
            assert!(
                into[Opener::room(&record)..]
                    .iter()
                    .all(|&byte| byte == 0xaa)
            );
            sequence += 1;
        }
    }

    /// Bytes of a network, and the record that they would have to be: nothing that was not sealed is opened.
    fn wire(opener: &mut Opener, bytes: &[u8]) {
        if let Ok(Some(whole)) = length(bytes) {
            let record = bytes.get(..whole).unwrap_or(bytes);
            assert!(opener.open(record, &mut vec![0; ROOM]).is_err());
        }
        let mut sealer = Sealer::new(key(), 1 << 24);
        let mut record = vec![0; CONTENT + OVERHEAD];
        let data = &bytes[..bytes.len().min(CONTENT)];
        let sealed = sealer.data(data, &mut record).unwrap();
        let mut fresh = Opener::new(key(), false);
        let mut into = vec![0; ROOM];
        match fresh.open(&record[..sealed], &mut into).unwrap() {
            Opened::Data(length) => assert_eq!(&into[..length], data),
            other => assert!(data.is_empty() && other == Opened::Nothing),
        }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tls::fuzz(bytes));
