//! Nobody who has not logged in may cost much: bytes and packets before the login are bounded.

use std::io::Write as _;
use std::time::{Duration, Instant};

use e2e::raw::{Answer, Ending, Raw, ServerError, encode};

use super::stand::{Leg, Stand, Way};

/// No login may take longer; MySQL and MariaDB give it 10 seconds themselves.
const LIMIT: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(20);
/// Databases read so much before a login.
const FLOOD: usize = 20_000_000;
/// The socket buffers on the way hold much less.
const TORRENT: usize = 4 * FLOOD;
const BAD_HANDSHAKE: u16 = 1043;

/// The ERR packet that comes next, and nothing behind it.
fn refused(raw: &mut Raw, what: &str) -> ServerError {
    let said = raw.receive().unwrap().expect("an answer");
    let error = ServerError::parse(&said).expect("an ERR packet");
    assert_ne!(raw.ending(SOON).unwrap(), Ending::Open, "{what}");
    error
}

#[test]
fn row_35_a_packet_beyond_the_cap_is_refused_by_its_header() {
    const CAP: usize = 256 * 1024;
    for stand in Stand::shared().iter() {
        for way in Way::ALL {
            for length in [CAP + 1, 0xFF_FFFE, 0xFF_FFFF] {
                let what = format!("{length}, {}", stand.what(way));
                let mut raw = stand.open(way);
                let [a, b, c, ..] = length.to_le_bytes();
                let asked = Instant::now();
                raw.write(&[a, b, c, 1]).unwrap();
                raw.set_sequence(2);
                assert_eq!(refused(&mut raw, &what).code, BAD_HANDSHAKE, "{what}");
                assert!(asked.elapsed() < LIMIT, "{what}");
            }
        }
    }
}

#[test]
fn row_35_a_first_packet_of_20_mb_is_not_read() {
    for stand in Stand::shared().iter() {
        let past = flood(stand, Way::Past(Leg::Tcp), FLOOD);
        assert!(past > FLOOD, "the servers themselves read {past} bytes");
        for way in Way::ALL {
            let taken = flood(stand, way, TORRENT);
            assert!(taken < FLOOD, "{taken} bytes, {}", stand.what(way));
        }
    }
}

/// How much of a first packet is taken off our hands.
fn flood(stand: &Stand, way: Way, length: usize) -> usize {
    let raw = stand.open(way);
    let (bytes, _) = encode(1, &vec![0x55; length]).unwrap();
    let mut socket = raw.socket().twin().unwrap();
    socket.set_write_patience(Some(SOON)).unwrap();
    let mut taken = 0;
    for chunk in bytes.chunks(64 * 1024) {
        match socket.write(chunk) {
            Ok(written) => taken += written,
            Err(_) => break,
        }
    }
    taken
}

#[test]
fn packets_out_of_order_do_not_reach_the_database() {
    for stand in Stand::shared().iter() {
        for way in Way::ALL {
            let mut raw = stand.open(way);
            let wish = stand.wish(false);
            let response = wish.response(raw.greeting());
            raw.set_sequence(7);
            raw.send(&response).unwrap();
            raw.set_sequence(1);
            let error = refused(&mut raw, &stand.what(way));
            assert_eq!(error.code, BAD_HANDSHAKE, "{}", stand.what(way));
        }
    }
}

#[test]
fn packets_without_end_behind_the_response_are_not_passed_on() {
    for stand in Stand::shared().iter() {
        for way in Way::ALL {
            for (count, length) in [(200, 8), (100, 200 * 1024)] {
                let mut raw = stand.open(way);
                let response = stand.wish(false).response(raw.greeting());
                let wrong = [&response[..40], &[0; 20][..], &response[60..]].concat();
                raw.send(&wrong).unwrap();
                let packet = vec![7; length];
                let (mut sent, mut taken) = (Ok(()), 0);
                while sent.is_ok() && taken < count {
                    sent = raw.send(&packet);
                    taken += 1;
                }
                assert_ne!(
                    raw.ending(SOON).unwrap(),
                    Ending::Open,
                    "{}",
                    stand.what(way)
                );
            }
        }
        assert_eq!(
            stand.log_in(Way::Quiet, false).text("SELECT 'up'").unwrap(),
            "up"
        );
    }
}

#[test]
fn a_command_of_a_megabyte_behind_the_response_waits_its_turn() {
    for stand in Stand::shared().iter() {
        for way in [Way::Past(Leg::Tcp)].into_iter().chain(Way::ALL) {
            let mut raw = stand.open(way);
            let wish = stand.wish(false);
            let (response, next) = encode(1, &wish.response(raw.greeting())).unwrap();
            let sql = format!("\x03SELECT LENGTH('{}')", "x".repeat(1 << 20));
            let (query, _) = encode(0, sql.as_bytes()).unwrap();
            raw.write(&[response, query].concat()).unwrap();
            raw.set_sequence(next);
            raw.finish_login(&wish).unwrap();
            raw.set_sequence(1);
            let expected = Answer::Rows(vec![vec![Some(b"1048576".to_vec())]]);
            let answer = raw.answers().unwrap().remove(0);
            assert_eq!(answer, expected, "{}", stand.what(way));
        }
    }
}
