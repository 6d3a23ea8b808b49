//! What follows a login passes byte for byte: the application's end and the database's end see the same, both ways.

use std::fs::File;
use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use e2e::clients::Address;
use e2e::databases::{Flavor, PASSWORD};
use e2e::paths::installed;
use e2e::process::output_of;
use e2e::raw::meter::Meter;
use e2e::raw::{Answer, Ending, Raw};

use super::stand::{Leg, Stand, Way};

const SOON: Duration = Duration::from_secs(20);
const MEGABYTE: usize = 1 << 20;

/// Letters in no order, always the same.
fn letters(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let block: Vec<u8> = (0..MEGABYTE + 7)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            b'a' + (state % 26) as u8
        })
        .collect();
    block.iter().copied().cycle().take(length).collect()
}

fn sha256(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn one(field: &str) -> Answer {
    Answer::Rows(vec![vec![Some(field.as_bytes().to_vec())]])
}

/// Takes leave, and compares what the two ends saw.
pub(super) fn same_at_both_ends(stand: &Stand, way: Way, mut raw: Raw) {
    raw.quit().unwrap();
    assert_ne!(
        raw.ending(SOON).unwrap(),
        Ending::Open,
        "{}",
        stand.what(way)
    );
    let (application, thread_id) = (raw.passed(), raw.greeting().thread_id);
    drop(raw);
    let database = stand.meter(way).passed(thread_id).unwrap();
    assert_eq!(application, database, "{}", stand.what(way));
}

/// All ways, those of the tunnel with TLS inside and without.
fn sessions(stand: &Stand) -> impl Iterator<Item = (Way, Raw)> {
    let ways = Way::TLS.map(|way| (way, true)).into_iter();
    ways.chain(Way::ALL.map(|way| (way, false)))
        .map(|(way, tls)| (way, stand.log_in(way, tls)))
}

/// A choice of them that takes every part of every way: what is great takes its time.
fn great_sessions(stand: &Stand) -> impl Iterator<Item = (Way, Raw)> {
    [
        (Way::Tunnel(Leg::Unix), true),
        (Way::Tunnel(Leg::Tcp), true),
        (Way::Direct(Leg::Tcp), true),
        (Way::Quiet, false),
    ]
    .into_iter()
    .map(|(way, tls)| (way, stand.log_in(way, tls)))
}

#[test]
fn row_39_statements_around_the_limit_of_a_packet_and_great_rows_pass() {
    const FRAME: usize = "\x03SELECT SHA2('',256)".len();
    let lengths = [16_777_214, 16_777_215, 16_777_216, 40_000_000];
    let statements = lengths.map(|length| {
        let text = letters(length - FRAME);
        let sql = [b"SELECT SHA2('", &text[..], b"',256)"].concat();
        assert_eq!(sql.len() + 1, length);
        (sql, one(&sha256(&text)))
    });
    let row = "0123456789abcdef".repeat(2_000_000);
    for stand in Stand::shared().iter() {
        for (way, mut raw) in great_sessions(stand) {
            for (sql, expected) in &statements {
                let answer = raw.query(sql).unwrap();
                assert_eq!(answer, *expected, "{}, {}", sql.len(), stand.what(way));
            }
            let sql = "SELECT REPEAT('0123456789abcdef', 2000000)";
            assert!(raw.text(sql).unwrap() == row, "{}", stand.what(way));
            let passed = raw.passed();
            assert!(passed.up.bytes > 90_000_000 && passed.down.bytes > 32_000_000);
            same_at_both_ends(stand, way, raw);
        }
    }
}

#[test]
fn a_blob_of_64_mib_in_a_prepared_statement_passes_both_ways() {
    // Every byte there is, those that look like packets included.
    let mut blob = letters(64 * MEGABYTE);
    for (place, byte) in blob.iter_mut().step_by(3).zip((0..=255).cycle()) {
        *place = byte;
    }
    let hash = sha256(&blob).into_bytes();
    let expected = Answer::Rows(vec![vec![Some(hash), Some(blob.clone())]]);
    for stand in Stand::shared().iter() {
        for (way, mut raw) in great_sessions(stand) {
            let set = raw.query(b"SET @blob = NULL").unwrap();
            assert_eq!(set, Answer::Ok(0));
            let store = raw.prepare("SET @blob = ?").unwrap();
            assert_eq!(raw.execute(store, &blob).unwrap(), Answer::Ok(0));
            let back = raw.query(b"SELECT SHA2(@blob, 256), @blob").unwrap();
            assert!(back == expected, "{}", stand.what(way));
            same_at_both_ends(stand, way, raw);
        }
    }
}

#[test]
fn several_results_of_one_command_and_prepared_statements_pass() {
    for stand in Stand::shared().iter() {
        for (way, mut raw) in sessions(stand) {
            let sql = b"SELECT 'a', NULL; DO 0; SELECT 'b' UNION SELECT 'c'; SELECT nothing";
            let answers = raw.queries(sql).unwrap();
            let text = |text: &str| Some(text.as_bytes().to_vec());
            assert_eq!(answers[0], Answer::Rows(vec![vec![text("a"), None]]));
            assert_eq!(answers[1], Answer::Ok(0));
            let rows = vec![vec![text("b")], vec![text("c")]];
            assert_eq!(answers[2], Answer::Rows(rows));
            let Answer::Error(error) = &answers[3] else {
                panic!("{:?}", answers[3]);
            };
            assert_eq!((answers.len(), error.code), (4, 1054));
            let statement = raw.prepare("SELECT CONCAT(?, '!')").unwrap();
            assert_eq!(raw.execute(statement, b"on").unwrap(), one("on!"));
            same_at_both_ends(stand, way, raw);
        }
    }
}

/// The command line of the server's own kind, which is told to compress.
fn compressing(flavor: Flavor, algorithm: &str, meter: &Meter) -> Command {
    let mut command;
    if flavor == Flavor::MySql9 {
        command = Command::new(installed("bin/mysql9").unwrap());
        command.args(["--no-defaults", "--ssl-mode=DISABLED"]);
        command.arg(format!("--compression-algorithms={algorithm},uncompressed"));
    } else {
        command = Command::new(installed("bin/mariadb10").unwrap());
        command.args(["--no-defaults", "--skip-ssl", "--compress"]);
        let plugins = installed("mariadb10/usr/lib/libmariadb3/plugin").unwrap();
        command.arg(format!("--plugin-dir={}", plugins.display()));
    }
    let Address::Tcp { host, port } = meter.address() else {
        panic!("a meter in front of TCP");
    };
    command.args(["--batch", "--skip-column-names", "--protocol=tcp"]);
    command.args(["--max-allowed-packet=64M", "--user=app"]);
    command.arg(format!("--host={host}"));
    command.arg(format!("--port={port}"));
    command.arg(format!("--password={PASSWORD}"));
    command
}

#[test]
fn compressed_sessions_pass() {
    let text = letters(5_000_000);
    let hash = sha256(&text);
    for stand in Stand::shared().iter() {
        let flavor = stand.database.flavor();
        let algorithms: &[&str] = match flavor {
            Flavor::MySql9 => &["zlib", "zstd"],
            Flavor::MariaDb10 | Flavor::MariaDb11 => &["zlib"],
        };
        let path = stand.place.join("statements.sql");
        let mut statements = File::create(&path).unwrap();
        statements
            .write_all(b"SHOW STATUS LIKE 'Compression'; SELECT SHA2('")
            .unwrap();
        statements.write_all(&text).unwrap();
        let great = "', 256); SELECT REPEAT('0123456789', 500000);\n";
        statements.write_all(great.as_bytes()).unwrap();
        for way in Way::ALL.into_iter().filter(|way| *way != Way::Socket) {
            for algorithm in algorithms {
                let what = format!("{algorithm}, {}", stand.what(way));
                let meter = Meter::start(&stand.place, &stand.address(way)).unwrap();
                let mut command = compressing(flavor, algorithm, &meter);
                let printed = output_of(command.stdin(File::open(&path).unwrap())).unwrap();
                let great = "0123456789".repeat(500_000);
                // A leg in the clear whose application may speak TLS needs to see commands, so it goes without.
                let on = if matches!(way, Way::Tunnel(Leg::Tcp) | Way::Direct(Leg::Tcp)) {
                    "OFF"
                } else {
                    "ON"
                };
                let expected = format!("Compression\t{on}\n{hash}\n{great}\n");
                assert!(printed == expected, "{what}: {:.200}", printed);
                let thread_id = meter.sessions()[0];
                let application = meter.passed(thread_id).unwrap();
                let database = stand.meter(way).passed(thread_id).unwrap();
                assert_eq!(application, database, "{what}");
                let small = application.down.bytes < 2_500_000;
                assert_eq!(small, on == "ON", "{what}: {application:?}");
            }
        }
    }
}
