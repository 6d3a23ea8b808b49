//! What the fuzzer begins with: captured openings under every set of options, and one good example of each other input.

const CAPTURES: [&[u8]; 4] = [
    include_bytes!("../testdata/mysql97_full_tcp.cap"),
    include_bytes!("../testdata/mysql97_fast_tcp.cap"),
    include_bytes!("../testdata/mysql97_wrong_password.cap"),
    include_bytes!("../testdata/mysql97_ssl_wanted.cap"),
];

/// The seeds of a target, by its name in `bodies::ALL`.
pub(crate) fn of(target: &str) -> Vec<Vec<u8>> {
    let owned = |seeds: &[&[u8]]| seeds.iter().map(|seed| seed.to_vec()).collect();
    match target {
        "frame" => [
            r#"{"version":1,"session_id":"s","instance":"p:r:i","transport":"tcp","client":"c/1","capabilities":[]}"#,
            r#"{"result":"ok","version":1}"#,
            r#"{"result":"refused","code":"no-grant","reason":"r","hint":"h"}"#,
        ]
        .map(|text| [&u32::try_from(text.len()).unwrap_or(0).to_be_bytes(), text.as_bytes()].concat())
        .to_vec(),
        "names" => owned(&[
            b"project:region:instance",
            b"example.com:project:region:instance",
            b"name@project.iam.gserviceaccount.com",
            b"csql:/projects/p/locations/r/instances/i/serviceAccounts/a@p.iam.example",
        ]),
        "mysql_login" => under_all_options(&CAPTURES),
        "mysql_change_user" => under_all_options(&[&change_of_user()]),
        "mysql_refusing" => refused(),
        "mysql_commands" => owned(&[
            b"\x02\0\0\0\x03x\x06\0\0\0\x11root\0",
            b"\xff\xff\xff\0\x03",
            b"\x01\0\0\xff\x11\x01\0\0\0\x11",
        ]),
        "postgres_opening" => owned(&[
            b"\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x09\0\x03\0\0\0",
            b"\0\0\0\x08\x04\xd2\x16\x30",
        ]),
        _ => Vec::new(),
    }
}

/// A response without TLS, and one with: the request for it, and the response that follows inside.
fn refused() -> Vec<Vec<u8>> {
    let front = |capabilities: u32| {
        [
            &capabilities.to_le_bytes()[..],
            &[0, 0, 0, 1, 255],
            &[0; 23],
        ]
        .concat()
    };
    let packet = |sequence: u8, payload: &[&[u8]]| {
        let payload = payload.concat();
        let [a, b, c, _] = u32::try_from(payload.len()).unwrap_or(0).to_le_bytes();
        [&[a, b, c, sequence], &payload[..]].concat()
    };
    let (plain, tls) = (front(0x0008_8200), front(0x0008_8A00));
    let rest = b"app\0\0mysql_native_password\0";
    let with_tls = [packet(1, &[&tls]), packet(2, &[&tls, rest])].concat();
    let said = [packet(1, &[&plain, rest]), with_tls];
    let seeds =
        (0..4_u8).flat_map(|setup| said.each_ref().map(|said| [&[setup], &said[..]].concat()));
    seeds.collect()
}

fn under_all_options(turns: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for legs in 0..12 {
        for rules in [0, 1, 6, 8, 17] {
            seeds.extend(turns.iter().map(|turns| [&[legs, rules], *turns].concat()));
        }
    }
    seeds
}

/// A change of user with a cold cache, as a database on plain TCP sees it from an application on TLS.
fn change_of_user() -> Vec<u8> {
    let turn = |face: u8, sequence: u8, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap_or(0);
        let [a, b, c, _] = length.to_le_bytes();
        let head = [
            &[face][..],
            &length.saturating_add(4).to_be_bytes(),
            &[a, b, c, sequence],
        ]
        .concat();
        [&head, payload].concat()
    };
    [
        turn(
            b'A',
            0,
            b"\x11app\0\x03\x09\x09\x09appdb\0\x2d\0caching_sha2_password\0",
        ),
        turn(
            b'D',
            1,
            b"\xfecaching_sha2_password\0abcdefghijklmnopqrst\0",
        ),
        turn(b'A', 2, &[5; 32]),
        turn(b'D', 3, &[1, 4]),
        turn(b'A', 4, b"secret\0"),
        turn(b'D', 5, &[0, 0, 0, 2, 0, 0, 0]),
    ]
    .concat()
}
