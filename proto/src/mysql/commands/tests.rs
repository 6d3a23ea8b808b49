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
fn a_change_of_user_is_found_wherever_it_stands() {
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
            // A local file, an empty one, and one whose first piece takes two packets.
            vec![packet(9, 0, QUERY), packet(9, 2, CHANGE), packet(0, 3, 0)],
            vec![packet(9, 0, QUERY), packet(0, 2, 0)],
            vec![
                packet(9, 0, QUERY),
                packet(0xFF_FFFF, 2, CHANGE),
                packet(0, 3, 0),
                packet(7, 4, CHANGE),
                packet(0, 5, 0),
            ],
            // Two files of one command, the second of which was asked for behind an OK.
            vec![
                packet(9, 0, QUERY),
                packet(9, 2, CHANGE),
                packet(0, 3, 0),
                packet(9, 6, CHANGE),
                packet(0, 7, 0),
            ],
            // A replica, and what it says.
            vec![
                packet(20, 0, 0x12),
                packet(20, 0, 0xEF),
                packet(20, 9, 0xEF),
            ],
            vec![packet(20, 0, 0x1E), packet(20, 0, 0xEF)],
        ] {
            let length = before.concat().len();
            let packets = [before, vec![change()]].concat();
            let expected = Some((length, Stop::ChangeOfUser));
            assert_eq!(
                found(&commands, &packets),
                expected,
                "behind {length} bytes"
            );
        }
    }
}

#[test]
fn the_same_byte_elsewhere_is_no_command() {
    for commands in [strict(), lenient()] {
        for packets in [
            vec![packet(9, 0, QUERY), packet(9, 3, CHANGE)],
            vec![packet(0xFF_FFFF, 0, QUERY), packet(20, 1, CHANGE)],
            vec![packet(20, 0, 0x12), packet(20, 0, 0xEF)],
        ] {
            assert_eq!(found(&commands, &packets), None);
        }
    }
}

#[test]
fn in_a_file_that_wraps_its_numbers_only_a_piece_that_may_be_a_command_ends_a_strict_session() {
    let file = |first_at_0| {
        let mut packets = vec![packet(9, 0, QUERY)];
        packets.extend((2..=255).map(|number| packet(9, number, CHANGE)));
        packets.push(packet(9, 0, first_at_0));
        packets.push(packet(9, 1, CHANGE));
        packets.push(packet(0, 2, 0));
        packets.push(change());
        packets
    };
    let length = |packets: usize| packets * 13;
    let whole = Some((length(257) + 4, Stop::ChangeOfUser));
    for commands in [strict(), lenient()] {
        assert_eq!(found(&commands, &file(QUERY)), whole);
    }
    assert_eq!(found(&lenient(), &file(CHANGE)), whole);
    let ambiguous = Some((length(255), Stop::OutOfStep(0)));
    assert_eq!(found(&strict(), &file(CHANGE)), ambiguous);
}

#[test]
fn numbers_that_no_server_takes_end_a_strict_session_and_pass_in_another() {
    for (packets, at, number) in [
        // The first packet is no command.
        (vec![packet(20, 1, CHANGE)], 0, 1),
        // No command before it can be answered with a request for a file.
        (vec![packet(1, 0, 0x0E), packet(20, 1, CHANGE)], 5, 1),
        // A number is left out, or comes again, in a file and in a long command.
        (
            vec![packet(9, 0, QUERY), packet(9, 2, 7), packet(9, 4, 7)],
            26,
            4,
        ),
        (
            vec![packet(9, 0, QUERY), packet(9, 2, 7), packet(9, 2, 7)],
            26,
            2,
        ),
        (
            vec![packet(9, 0, QUERY), packet(9, 2, 7), packet(9, 0, 7)],
            26,
            0,
        ),
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
    // Where no file was agreed on, none is believed in.
    let file = [packet(9, 0, QUERY), packet(9, 2, 7)];
    let without = Commands::new(InDoubt::Stop, false);
    assert_eq!(found(&without, &file), Some((13, Stop::OutOfStep(2))));
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
