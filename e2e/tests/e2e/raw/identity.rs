//! Who the database takes the agent for: root, a user of its own, or whoever a PROXY header names.

use std::process::Command;
use std::time::Duration;

use e2e::clients::{Client, Login, Target, Tls};
use e2e::databases::Flavor;
use e2e::paths::binary;
use e2e::raw::{Answer, Ending, Raw, ServerError, Wish, encode};

use super::stand::{Leg, Stand, Way};

const SOON: Duration = Duration::from_secs(20);
const USAGE: i32 = 64;
const WAYS: [Way; 2] = [Way::Tunnel(Leg::Own), Way::Direct(Leg::Own)];

fn mariadb(stands: &[Stand]) -> &Stand {
    let found = stands
        .iter()
        .find(|stand| stand.database.flavor() == Flavor::MariaDb10);
    found.unwrap()
}

#[test]
fn row_24_an_agent_that_is_root_does_not_start_on_a_unix_socket() {
    let stands = Stand::shared();
    let stand = mariadb(&stands);
    assert!(
        rustix::process::geteuid().is_root(),
        "these tests run as root"
    );
    for listener in [&[][..], &["--mysql-listen=127.0.0.1:0"]] {
        let ended = Command::new(binary("cloudsql-proxy-server").unwrap())
            .arg("--credentials-file")
            .arg(stand.place.join("agent.json"))
            .args(["--instance=db-own", "--listen=127.0.0.1:0"])
            .arg(format!(
                "--database=unix:{}",
                stand.database.socket().display()
            ))
            .args(listener)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(USAGE), "{said}");
        for word in ["root", "--run-as"] {
            assert!(said.contains(word), "{said}");
        }
    }
}

/// Changes the user of a session to root without a password; gives what the server says in the end.
fn become_root(mut raw: Raw) -> Result<(), ServerError> {
    let plugin = b"mysql_native_password\0";
    raw.command(&[&b"\x11root\0\0mysql\0\x2d\0"[..], plugin].concat())
        .unwrap();
    loop {
        let said = raw.receive().unwrap().unwrap();
        match said.first() {
            Some(0x00) => return Ok(()),
            Some(0xFF) => return Err(ServerError::parse(&said).unwrap()),
            _ => raw.send(&[]).unwrap(),
        }
    }
}

#[test]
fn row_25_an_agent_that_is_a_user_of_its_own_does_not_make_anybody_root() {
    let stands = Stand::shared();
    let stand = mariadb(&stands);
    let ask = |way: Way, password: &str, tls: Tls| {
        let login = Login::new("root", password, "mysql");
        let target = Target::new(stand.address(way), login, tls);
        Client::MariadbCli.query(&target, "SELECT USER()").unwrap()
    };
    // Past the agent the same account lets root in, and us be root: so it is there, and for the asking.
    let past = Way::Past(Leg::Unix);
    let root = ask(past, "", Tls::Off).unwrap();
    assert_eq!(root, [[Some("root@localhost".to_owned())]]);
    assert_eq!(become_root(stand.log_in(past, false)), Ok(()));

    for way in WAYS {
        for password in ["", "guessed"] {
            for tls in [Tls::Off, Tls::Required] {
                let error = ask(way, password, tls).unwrap_err();
                assert!([1045, 1698].contains(&error.code), "{error}");
            }
        }
        for tls in [false, true] {
            let error = become_root(stand.log_in(way, tls)).unwrap_err();
            assert!([1045, 1698].contains(&error.code), "{error}");
        }
    }
}

/// Headers of both versions that name `192.0.2.last` as the client.
fn headers(last: u8) -> [Vec<u8>; 2] {
    let text = format!("PROXY TCP4 192.0.2.{last} 127.0.0.1 5555 3306\r\n");
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    binary.extend_from_slice(&[192, 0, 2, last, 127, 0, 0, 1, 0x15, 0xB3, 0x0C, 0xEA]);
    [text.into_bytes(), binary]
}

/// Sends `header` and a good response; then, if wished, more than any buffer holds.
fn spoof(raw: &mut Raw, wish: &Wish, header: &[u8], flood: bool) {
    let (response, next) = encode(raw.sequence(), &wish.response(raw.greeting())).unwrap();
    let tail = if flood { vec![b'x'; 5_000_000] } else { vec![] };
    let sent = raw.write(&[header, &response, &tail].concat());
    // A server that has closed does not take the flood.
    assert!(sent.is_ok() || flood);
    raw.set_sequence(next);
}

#[test]
fn row_29_a_proxy_header_of_an_application_does_not_reach_the_database() {
    const LIAR: u8 = 66;
    const CONTROL: u8 = 77;
    let stands = Stand::shared();
    let stand = mariadb(&stands);
    let networks = "SET GLOBAL proxy_protocol_networks = '127.0.0.0/8, localhost'";
    stand.database.execute(networks).unwrap();
    let seen = |last: u8| {
        let sql = format!(
            "SELECT (SELECT COUNT(*) FROM performance_schema.hosts WHERE host = '192.0.2.{last}') \
             + (SELECT COUNT(*) FROM information_schema.processlist WHERE host LIKE '192.0.2.{last}%')"
        );
        stand.database.execute(&sql).unwrap()[0][0].clone().unwrap()
    };
    // Past the agent the database believes it.
    for header in headers(CONTROL) {
        let mut raw = stand.open(Way::Past(Leg::Tcp));
        let wish = stand.wish(false);
        spoof(&mut raw, &wish, &header, false);
        raw.finish_login(&wish).unwrap();
        assert_eq!(
            raw.text("SELECT USER()").unwrap(),
            format!("app@192.0.2.{CONTROL}")
        );
    }
    assert_ne!(seen(CONTROL), "0");

    for way in Way::ALL.into_iter().chain(WAYS) {
        for header in headers(LIAR) {
            for flood in [false, true] {
                for tls in [false, true] {
                    if tls && way == Way::Quiet {
                        continue;
                    }
                    let mut raw = stand.open(way);
                    let wish = stand.wish(tls);
                    if tls {
                        raw.send(&wish.ssl_request()).unwrap();
                        raw.start_tls(&[]).unwrap();
                    }
                    spoof(&mut raw, &wish, &header, flood);
                    let ending = raw.ending(SOON).unwrap();
                    assert_ne!(ending, Ending::Open, "{}", stand.what(way));
                    assert_eq!(seen(LIAR), "0", "{}", stand.what(way));
                }
            }
        }
    }
    // Whoever says nothing of the kind is welcome still.
    let mut raw = stand.log_in(Way::Tunnel(Leg::Tcp), true);
    let one = Answer::Rows(vec![vec![Some(b"1".to_vec())]]);
    assert_eq!(raw.query(b"SELECT 1").unwrap(), one);
}
