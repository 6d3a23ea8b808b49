//! Sessions as applications send them, and as nobody should, cut in all ways.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn packet(length: usize, number: u8, first: u8) -> Vec<u8> {
    let [a, b, c, _] = u32::try_from(length).unwrap().to_le_bytes();
    let mut bytes = vec![a, b, c, number];
    bytes.extend(std::iter::repeat_n(first, length));
    bytes
}

/// A follower of sessions whose users are restricted.
fn strict() -> Commands {
    Commands::new(InDoubt::Stop, true)
}

/// A follower of sessions whose changes of user are bridged only.
fn lenient() -> Commands {
    Commands::new(InDoubt::Pass, true)
}

/// Bytes that pass, and the reason why no more do, when the stream comes in pieces of these sizes, over and over.
fn in_pieces(mut commands: Commands, whole: &[u8], sizes: &[usize]) -> Seen {
    let (mut passed, mut held, mut rest) = (0_usize, vec![], whole);
    let mut sizes = sizes.iter().cycle().copied();
    loop {
        let size = sizes.next().unwrap_or(1).min(rest.len());
        let (piece, behind) = rest.split_at(size);
        rest = behind;
        held.extend_from_slice(piece);
        let seen = commands.look(&held);
        passed = passed.saturating_add(seen.pass);
        held.drain(..seen.pass);
        if seen.stop.is_some() || rest.is_empty() {
            return Seen {
                pass: passed,
                stop: seen.stop,
            };
        }
        assert!(held.len() <= HEADER, "more than a header is held back");
    }
}

/// What stops the stream, and where, however it is cut.
fn found(commands: &Commands, packets: &[Vec<u8>]) -> Option<(usize, Stop)> {
    let whole = packets.concat();
    let seen = commands.clone().look(&whole);
    for size in 1..9_usize {
        let cut = if whole.len() < 100_000 {
            size
        } else {
            size.saturating_mul(65_537)
        };
        assert_eq!(
            in_pieces(commands.clone(), &whole, &[cut]),
            seen,
            "in pieces of {cut}"
        );
    }
    seen.stop.map(|stop| (seen.pass, stop))
}

const CHANGE: u8 = 0x11;
const QUERY: u8 = 0x03;

fn change() -> Vec<u8> {
    packet(20, 0, CHANGE)
}

#[test]
fn a_change_of_user_is_found_behind_any_commands() {
    for commands in [strict(), lenient()] {
        for before in [
            vec![],
            vec![packet(9, 0, QUERY)],
            vec![packet(0, 0, 0)],
            // COM_PING, COM_STMT_SEND_LONG_DATA, COM_RESET_CONNECTION, and one that nobody knows.
            vec![
                packet(1, 0, 0x0E),
                packet(70_000, 0, 0x18),
                packet(1, 0, 0x1F),
            ],
            vec![packet(5, 0, 0xEE)],
            // A command of two packets, and one whose second packet is empty.
            vec![packet(0xFF_FFFF, 0, QUERY), packet(20, 1, CHANGE)],
            vec![packet(0xFF_FFFF, 0, QUERY), packet(0, 1, 0)],
            // A replica, which ends by COM_QUIT.
            vec![packet(20, 0, 0x12), packet(1, 0, 0x01)],
            vec![packet(20, 0, 0x1E)],
        ] {
            is_found_behind(&commands, before);
        }
    }
}

fn is_found_behind(commands: &Commands, before: Vec<Vec<u8>>) {
    let length = before.concat().len();
    let packets = [before, vec![change()]].concat();
    let expected = Some((length, Stop::ChangeOfUser));
    assert_eq!(found(commands, &packets), expected, "behind {length} bytes");
}

/// Files and replicas' words, with the place of the first packet of theirs.
fn within_commands() -> Vec<(usize, Vec<Vec<u8>>)> {
    vec![
        // A local file, an empty one, and one whose first piece takes two packets.
        (
            13,
            vec![packet(9, 0, QUERY), packet(9, 2, CHANGE), packet(0, 3, 0)],
        ),
        (13, vec![packet(9, 0, QUERY), packet(0, 2, 0)]),
        (
            13,
            vec![
                packet(9, 0, QUERY),
                packet(0xFF_FFFF, 2, CHANGE),
                packet(0, 3, 0),
                packet(7, 4, CHANGE),
                packet(0, 5, 0),
            ],
        ),
        // Two files of one command, the second of which was asked for behind an OK.
        (
            13,
            vec![
                packet(9, 0, QUERY),
                packet(9, 2, CHANGE),
                packet(0, 3, 0),
                packet(9, 6, CHANGE),
                packet(0, 7, 0),
            ],
        ),
        // A replica, and its receipts.
        (
            24,
            vec![
                packet(20, 0, 0x12),
                packet(20, 0, 0xEF),
                packet(20, 9, 0xEF),
            ],
        ),
        (24, vec![packet(20, 0, 0x1E), packet(20, 3, 0xEF)]),
    ]
}

#[test]
fn packets_within_a_command_end_a_strict_session_and_are_followed_in_another() {
    for (at, packets) in within_commands() {
        let number = packets[1][3];
        let expected = Some((at, Stop::OutOfStep(number)));
        assert_eq!(found(&strict(), &packets), expected);
        is_found_behind(&lenient(), packets);
    }
}

#[test]
fn the_same_byte_elsewhere_is_no_command() {
    let long = [packet(0xFF_FFFF, 0, QUERY), packet(20, 1, CHANGE)];
    assert_eq!(found(&strict(), &long), None);
    assert_eq!(found(&lenient(), &long), None);
    let file = [packet(9, 0, QUERY), packet(9, 3, CHANGE)];
    assert_eq!(found(&lenient(), &file), None);
}

#[test]
fn a_file_may_wrap_its_numbers() {
    let mut packets = vec![packet(9, 0, QUERY)];
    packets.extend((2..=255).map(|number| packet(9, number, CHANGE)));
    packets.extend([packet(9, 0, CHANGE), packet(9, 1, CHANGE), packet(0, 2, 0)]);
    is_found_behind(&lenient(), packets);
}

#[test]
fn numbers_that_no_server_takes_end_a_strict_session_and_pass_in_another() {
    for (packets, at, number) in [
        // The first packet is no command.
        (vec![packet(20, 1, CHANGE)], 0, 1),
        // No command before it can be answered with a request for a file.
        (vec![packet(1, 0, 0x0E), packet(20, 1, CHANGE)], 5, 1),
        // It follows a query, be it the piece of a file that wraps its numbers.
        (vec![packet(9, 0, QUERY), packet(20, 7, CHANGE)], 13, 7),
        (vec![packet(9, 0, QUERY), packet(20, 255, CHANGE)], 13, 255),
        // A number is left out in a long command.
        (
            vec![packet(0xFF_FFFF, 0, QUERY), packet(9, 2, 7)],
            0xFF_FFFF + 4,
            2,
        ),
        // A replica has no reason for it.
        (vec![packet(9, 0, 0x12), packet(9, 4, CHANGE)], 13, 4),
    ] {
        let expected = Some((at, Stop::OutOfStep(number)));
        assert_eq!(found(&strict(), &packets), expected);
        assert_eq!(found(&lenient(), &packets), None);
    }
}

#[test]
fn all_passes_but_an_unfinished_header() {
    let two = [packet(9, 0, QUERY), vec![20, 0, 0]].concat();
    let expected = Seen {
        pass: 13,
        stop: None,
    };
    assert_eq!(strict().look(&two), expected);
}

/// Packets as they may stand in a session, and as they may not.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![4 => Just(0), 2 => 0..6_u8, 1 => 250..=255_u8];
    let first = prop_oneof![
        Just(CHANGE),
        Just(QUERY),
        Just(0x12),
        Just(0x17),
        any::<u8>()
    ];
    let packet = (0..12_usize, number, first)
        .prop_map(|(length, number, first)| packet(length, number, first));
    vec(packet, 0..40).prop_map(|packets| packets.concat())
}

proptest! {
    /// Whatever stands before it: both servers take it for a command in some state.
    #[test]
    fn nothing_that_a_database_may_take_for_a_change_of_user_passes_in_a_strict_session(
        bytes in packets(),
    ) {
        let seen = strict().look(&bytes);
        let mut rest = &bytes[..seen.pass];
        while let Some((&[length, _, _, number], payload)) = rest.split_first_chunk() {
            let length = usize::from(length);
            prop_assert!(!(number == 0 && payload.first() == Some(&CHANGE) && length > 0));
            prop_assert_eq!(number, 0);
            rest = &payload[length.min(payload.len())..];
        }
    }

    #[test]
    fn what_is_found_does_not_depend_on_how_the_stream_is_cut(
        bytes in packets(),
        sizes in vec(1..20_usize, 1..8),
        in_doubt in prop_oneof![Just(InDoubt::Stop), Just(InDoubt::Pass)],
    ) {
        let commands = Commands::new(in_doubt, true);
        let whole = commands.clone().look(&bytes);
        prop_assert_eq!(in_pieces(commands, &bytes, &sizes), whole);
    }
}
