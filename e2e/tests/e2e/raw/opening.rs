//! The request for TLS and the response: in any pieces, with anything glued to them, up to the limit of attributes.

use std::time::Duration;

use e2e::raw::{Ending, Raw, Wish, attributes, encode};

use super::stand::{Leg, Stand, Way, server_error};

const SOON: Duration = Duration::from_secs(20);
const COM_QUERY: u8 = 3;

/// `SELECT CONNECTION_ID()` gives the greeting's number: the session is the one that it seems to be.
fn works(session: &mut Raw) {
    let id = session.text("SELECT CONNECTION_ID()").unwrap();
    assert_eq!(id, session.greeting().thread_id.to_string());
}

/// What a thief between application and agent would put behind the request for TLS.
fn injection(raw: &Raw, wish: &Wish, table: &str) -> Vec<u8> {
    let (request, next) = encode(raw.sequence(), &wish.ssl_request()).unwrap();
    let (response, _) = encode(next, &wish.response(raw.greeting())).unwrap();
    let sql = format!("CREATE TABLE {table} (x INT)");
    let (query, _) = encode(0, &[&[COM_QUERY], sql.as_bytes()].concat()).unwrap();
    [request, response, query].concat()
}

#[test]
fn row_26_what_is_glued_to_the_request_for_tls_is_not_taken_for_decrypted() {
    for stand in Stand::shared().iter() {
        let name = stand.database.flavor().version().replace('.', "_");
        let table = format!("injected_{name}");
        let count = || {
            let sql = format!(
                "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = '{table}'"
            );
            stand.database.execute(&sql).unwrap()[0][0].clone().unwrap()
        };
        // The same bytes behind no request for TLS are good: only that they are glued to one stops them.
        let mut plain = stand.open(Way::Tunnel(Leg::Unix));
        let wish = stand.wish(false);
        let (response, _) = encode(1, &wish.response(plain.greeting())).unwrap();
        let create = format!("\x03CREATE TABLE {table} (x INT)");
        let (query, _) = encode(0, create.as_bytes()).unwrap();
        plain.write(&[response, query].concat()).unwrap();
        plain.set_sequence(2);
        plain.finish_login(&wish).unwrap();
        plain.set_sequence(1);
        plain.answers().unwrap();
        assert_eq!(count(), "1");
        stand
            .database
            .execute(&format!("DROP TABLE appdb.{table}"))
            .unwrap();

        for way in Way::TLS {
            let mut raw = stand.open(way);
            let attack = injection(&raw, &stand.wish(true), &table);
            raw.write(&attack).unwrap();
            assert_ne!(
                raw.ending(SOON).unwrap(),
                Ending::Open,
                "{}",
                stand.what(way)
            );
            assert_eq!(count(), "0", "{}", stand.what(way));
        }
    }
}

#[test]
fn row_27_a_client_hello_in_the_same_write_as_the_request_is_welcome() {
    for stand in Stand::shared().iter() {
        for way in [Way::Past(Leg::Tcp)].into_iter().chain(Way::TLS) {
            let mut raw = stand.open(way);
            let wish = stand.wish(true);
            let (request, next) = encode(raw.sequence(), &wish.ssl_request()).unwrap();
            raw.start_tls(&request).unwrap();
            raw.set_sequence(next);
            raw.send(&wish.response(raw.greeting())).unwrap();
            raw.finish_login(&wish).unwrap();
            works(&mut raw);
        }
    }
}

#[test]
fn row_28_request_and_response_may_come_byte_by_byte() {
    for stand in Stand::shared().iter() {
        for way in Way::ALL {
            for tls in [true, false] {
                if tls && way == Way::Quiet {
                    continue;
                }
                let mut raw = stand.open(way);
                let mut wish = stand.wish(tls);
                wish.attributes = Some(attributes(200));
                if tls {
                    let (request, next) = encode(raw.sequence(), &wish.ssl_request()).unwrap();
                    raw.write_in_bytes(&request).unwrap();
                    raw.set_sequence(next);
                    raw.start_tls(&[]).unwrap();
                }
                let response = wish.response(raw.greeting());
                let (response, next) = encode(raw.sequence(), &response).unwrap();
                raw.write_in_bytes(&response).unwrap();
                raw.set_sequence(next);
                raw.finish_login(&wish).unwrap();
                works(&mut raw);
            }
        }
    }
}

#[test]
fn row_34_attributes_up_to_the_limit_of_the_protocol_pass() {
    for stand in Stand::shared().iter() {
        for way in [Way::Past(Leg::Tcp), Way::Past(Leg::Unix)]
            .into_iter()
            .chain(Way::ALL)
        {
            let tls = way != Way::Quiet;
            for (length, passes) in [(200, true), (65_535, true), (65_536, false)] {
                let mut raw = stand.open(way);
                let mut wish = stand.wish(tls);
                wish.attributes = Some(attributes(length));
                let outcome = raw.authenticate(&wish);
                if passes {
                    outcome.unwrap();
                    works(&mut raw);
                } else {
                    assert_eq!(server_error(outcome).code, 1043, "{}", stand.what(way));
                }
            }
        }
    }
}
