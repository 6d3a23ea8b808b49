//! What happens around the login's end and in the session: early commands, the format of results, files, time and KILL.

use std::time::Duration;

use e2e::clients::Login;
use e2e::databases::Flavor;
use e2e::raw::{Answer, Ending, Raw, ServerError, Wish, capability, encode};
use e2e::wait::{PATIENCE, until};

use super::stand::{Leg, Stand, Way};
use super::untouched::same_at_both_ends;

const SOON: Duration = Duration::from_secs(20);
const COM_QUERY: u8 = 3;
const QUERY: &[u8] = b"\x03SELECT 'early'";

fn early() -> Answer {
    Answer::Rows(vec![vec![Some(b"early".to_vec())]])
}

/// Reads the answer of a command that was sent with the last packet of the login.
fn early_answer(raw: &mut Raw, wish: &Wish) -> Answer {
    raw.finish_login(wish).unwrap();
    raw.set_sequence(1);
    raw.answers().unwrap().remove(0)
}

#[test]
fn row_36_a_command_in_the_same_write_as_the_response_waits_for_ok() {
    for stand in Stand::shared().iter() {
        for way in [Way::Past(Leg::Tcp)].into_iter().chain(Way::ALL) {
            for tls in [true, false] {
                if tls && way == Way::Quiet {
                    continue;
                }
                let mut raw = stand.open(way);
                let wish = stand.wish(tls);
                if tls {
                    raw.send(&wish.ssl_request()).unwrap();
                    raw.start_tls(&[]).unwrap();
                }
                let response = wish.response(raw.greeting());
                let (response, next) = encode(raw.sequence(), &response).unwrap();
                let (query, _) = encode(0, QUERY).unwrap();
                raw.write(&[response, query].concat()).unwrap();
                raw.set_sequence(next);
                assert_eq!(
                    early_answer(&mut raw, &wish),
                    early(),
                    "{}",
                    stand.what(way)
                );
            }
        }
    }
}

#[test]
fn row_36_a_command_in_the_same_write_as_the_password_waits_for_ok() {
    let stands = Stand::shared();
    let stand = stands
        .iter()
        .find(|s| s.database.flavor() == Flavor::MySql9);
    let stand = stand.unwrap();
    let user = "early_cold";
    let sql = format!(
        "CREATE USER {user}@'%' IDENTIFIED WITH caching_sha2_password BY 'secret'; \
         GRANT ALL ON appdb.* TO {user}@'%'"
    );
    stand.database.execute(&sql).unwrap();
    for way in [Way::Past(Leg::Tcp)].into_iter().chain(Way::TLS) {
        // The same password again: the cache forgets it.
        let alter = format!("ALTER USER {user}@'%' IDENTIFIED BY 'secret'");
        stand.database.execute(&alter).unwrap();
        let mut raw = stand.open(way);
        let wish = Wish::new(&Login::new(user, "secret", "appdb"), true);
        raw.send(&wish.ssl_request()).unwrap();
        raw.start_tls(&[]).unwrap();
        raw.send(&wish.response(raw.greeting())).unwrap();
        assert_eq!(raw.receive().unwrap().unwrap(), [1, 4], "the cache is cold");
        let (password, next) = encode(raw.sequence(), b"secret\0").unwrap();
        let (query, _) = encode(0, QUERY).unwrap();
        raw.write(&[password, query].concat()).unwrap();
        raw.set_sequence(next);
        assert_eq!(
            early_answer(&mut raw, &wish),
            early(),
            "{}",
            stand.what(way)
        );
    }
}

#[test]
fn row_37_the_request_for_tls_decides_the_format_of_results() {
    let two = Answer::Rows(vec![vec![Some(b"1".to_vec())], vec![Some(b"2".to_vec())]]);
    for stand in Stand::shared().iter() {
        for way in [Way::Past(Leg::Tcp)].into_iter().chain(Way::TLS) {
            for in_request in [true, false] {
                let mut wish = stand.wish(true);
                wish.capabilities &= !capability::DEPRECATE_EOF;
                if !in_request {
                    wish.capabilities |= capability::DEPRECATE_EOF;
                }
                wish.only_in_request = capability::DEPRECATE_EOF;
                let mut raw = Raw::log_in(&stand.address(way), &wish).unwrap();
                for _ in 0..2 {
                    let answer = raw.query(b"SELECT 1 UNION SELECT 2").unwrap();
                    assert_eq!(answer, two, "{}", stand.what(way));
                }
                // The other format is not mistaken for this one.
                raw.set_deprecate_eof(!in_request);
                raw.socket()
                    .set_patience(Some(Duration::from_millis(300)))
                    .unwrap();
                let mistaken = raw.query(b"SELECT 1 UNION SELECT 2");
                assert!(mistaken.is_err() || mistaken.unwrap() != two);
            }
        }
    }
}

/// Sends `rows` packets of a file, each beginning with the byte of COM_CHANGE_USER.
fn send_file(raw: &mut Raw, rows: usize, at_once: bool) {
    let mut all = Vec::new();
    let mut sequence = raw.sequence();
    for row in 0..rows {
        let (packet, next) = encode(sequence, format!("\x11{row}\n").as_bytes()).unwrap();
        sequence = next;
        all.push(packet);
    }
    let (end, next) = encode(sequence, &[]).unwrap();
    all.push(end);
    if at_once {
        raw.write(&all.concat()).unwrap();
    } else {
        all.iter().for_each(|packet| raw.write(packet).unwrap());
    }
    raw.set_sequence(next);
}

#[test]
fn row_40_a_local_file_whose_packets_look_like_changes_of_user_arrives_whole() {
    const ROWS: usize = 600;
    for stand in Stand::shared().iter() {
        for way in Way::ALL {
            for at_once in [true, false] {
                let mut raw = stand.log_in(way, way != Way::Quiet);
                let create = "CREATE TEMPORARY TABLE loaded (line VARCHAR(20))";
                assert_eq!(raw.query(create.as_bytes()).unwrap(), Answer::Ok(0));
                let load = b"LOAD DATA LOCAL INFILE 'rows' INTO TABLE loaded";
                let asked = raw.query(load).unwrap();
                assert_eq!(asked, Answer::LocalFile("rows".to_owned()));
                send_file(&mut raw, ROWS, at_once);
                let loaded = raw.answers().unwrap().remove(0);
                assert_eq!(loaded, Answer::Ok(ROWS as u64), "{}", stand.what(way));
                let whole = "SELECT COUNT(DISTINCT line) FROM loaded WHERE line LIKE '\x11%'";
                assert_eq!(raw.text(whole).unwrap(), ROWS.to_string());
                assert!(raw.passed().up.bytes > (ROWS * 6) as u64);
                same_at_both_ends(stand, way, raw);
            }
        }
    }
}

#[test]
fn row_41_an_idle_session_is_told_why_it_ends_and_ends_in_good_order() {
    let stands = Stand::shared();
    let stand = stands
        .iter()
        .find(|s| s.database.flavor() == Flavor::MySql9);
    let stand = stand.unwrap();
    for way in [Way::Past(Leg::Tcp)].into_iter().chain(Way::ALL) {
        let tls = way != Way::Quiet;
        let mut raw = stand.log_in(way, tls);
        let set = raw.query(b"SET SESSION wait_timeout = 1").unwrap();
        assert_eq!(set, Answer::Ok(0));
        raw.set_sequence(0);
        let said = raw.receive().unwrap().expect("a word before the end");
        let error = ServerError::parse(&said).expect("an ERR packet");
        assert_eq!(error.code, 4031, "{}", stand.what(way));
        // Inside TLS that is close_notify; MySQL itself does not send one.
        let expected = match way {
            Way::Past(_) => continue,
            _ => Ending::Closed,
        };
        assert_eq!(raw.ending(SOON).unwrap(), expected, "{}", stand.what(way));
    }
}

#[test]
fn row_41_an_idle_session_of_mariadb_ends_as_it_does_past_the_tunnel() {
    let stands = Stand::shared();
    let stand = stands
        .iter()
        .find(|s| s.database.flavor() == Flavor::MariaDb10);
    let stand = stand.unwrap();
    for way in [Way::Past(Leg::Tcp)].into_iter().chain(Way::ALL) {
        let mut raw = stand.log_in(way, way != Way::Quiet);
        let set = raw.query(b"SET SESSION wait_timeout = 1").unwrap();
        assert_eq!(set, Answer::Ok(0));
        let before = raw.passed().down.bytes;
        assert_ne!(
            raw.ending(SOON).unwrap(),
            Ending::Open,
            "{}",
            stand.what(way)
        );
        assert_eq!(
            raw.passed().down.bytes,
            before,
            "MariaDB goes without a word"
        );
    }
}

/// Runs `SELECT SLEEP(30)`, has another session of the same way `kill` it, and gives what the first one sees.
fn killed(stand: &Stand, way: Way, kill: &str) -> (Option<Answer>, Option<Answer>) {
    let mut victim = stand.log_in(way, way != Way::Quiet);
    let thread_id = victim.greeting().thread_id;
    victim
        .command(&[&[COM_QUERY], &b"SELECT SLEEP(30)"[..]].concat())
        .unwrap();
    let mut other = stand.log_in(way, false);
    let seen = format!(
        "SELECT COUNT(*) FROM information_schema.processlist \
         WHERE id = {thread_id} AND info LIKE 'SELECT SLEEP%'"
    );
    until("the victim's statement", PATIENCE, || {
        Ok((other.text(&seen)? == "1").then_some(()))
    })
    .unwrap();
    let sql = format!("{kill} {thread_id}");
    assert_eq!(other.query(sql.as_bytes()).unwrap(), Answer::Ok(0));
    victim.socket().set_patience(Some(SOON)).unwrap();
    let first = victim.answers().ok().map(|mut answers| answers.remove(0));
    let then = victim.query(b"SELECT 'alive'").ok();
    (first, then)
}

#[test]
fn row_42_kill_and_kill_query_do_what_they_do_past_the_tunnel() {
    let alive = Answer::Rows(vec![vec![Some(b"alive".to_vec())]]);
    for stand in Stand::shared().iter() {
        for way in Way::ALL {
            let past = Way::Past(way.leg());
            for (kill, then) in [("KILL QUERY", Some(alive.clone())), ("KILL", None)] {
                let seen = killed(stand, way, kill);
                assert_eq!(
                    seen,
                    killed(stand, past, kill),
                    "{kill}, {}",
                    stand.what(way)
                );
                assert_eq!(seen.1, then, "{kill}, {}", stand.what(way));
            }
        }
    }
}
