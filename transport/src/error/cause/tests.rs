//! Each error number with its code, its blame and its words.

use std::path::PathBuf;

use super::super::{DialError, Tried};
use super::*;
use crate::authority::{AuthorityError, Failure};

fn error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw_os_error())
}

fn tcp(tried: &[(&str, Errno)]) -> DialError {
    let one = |(address, errno): &(&str, Errno)| (address.parse().unwrap(), error(*errno));
    DialError::Unreachable {
        target: "agent.example:3307".to_owned(),
        tried: Tried(tried.iter().map(one).collect()),
    }
}

/// The code, the blame, words of the reason and words of the hint.
fn check(dial: &DialError, (ours, limit): (bool, bool), words: [&str; 2]) {
    let refusal = dial.refusal(Code::AgentUnreachable);
    let code = if limit {
        Code::Limit
    } else {
        Code::AgentUnreachable
    };
    assert_eq!(refusal.code, code, "{refusal}");
    let blame = if ours { Blame::Ours } else { Blame::Peer };
    assert_eq!(dial.blame(Blame::Peer), blame, "{refusal}");
    assert!(refusal.reason.contains(words[0]), "{refusal}");
    assert!(refusal.hint.contains(words[1]), "{refusal}");
    assert!(refusal.reason.contains("os error"), "{refusal}");
}

/// Whether the fault is ours, and whether the code is `limit`.
type Kind = (bool, bool);
const OURS: Kind = (true, false);
const THEIRS: Kind = (false, false);
const LIMIT: Kind = (true, true);

const OF_TCP: [(Errno, Kind, [&str; 2]); 13] = [
    (
        Errno::MFILE,
        LIMIT,
        ["this program has no file descriptor", "LimitNOFILE="],
    ),
    (
        Errno::NFILE,
        LIMIT,
        ["this machine has no file descriptor", "fs.file-max"],
    ),
    (
        Errno::NOBUFS,
        LIMIT,
        ["no memory left for sockets", "tcp_mem"],
    ),
    (
        Errno::NOMEM,
        LIMIT,
        ["no memory left for sockets", "tcp_mem"],
    ),
    (
        Errno::ADDRNOTAVAIL,
        LIMIT,
        ["no ephemeral port", "ip_local_port_range"],
    ),
    (
        Errno::ACCESS,
        OURS,
        ["of this machine forbids it", "nft list ruleset"],
    ),
    (
        Errno::PERM,
        OURS,
        ["of this machine forbids it", "nft list ruleset"],
    ),
    (
        Errno::NETUNREACH,
        OURS,
        ["this machine has no route", "ip route get"],
    ),
    (
        Errno::AFNOSUPPORT,
        OURS,
        ["no address of its family", "another address"],
    ),
    (
        Errno::HOSTUNREACH,
        THEIRS,
        ["no way to its host", "host is up"],
    ),
    (
        Errno::TIMEDOUT,
        THEIRS,
        ["did not answer", "firewalls between"],
    ),
    (
        Errno::CONNREFUSED,
        THEIRS,
        ["does not accept connections", "that it runs"],
    ),
    (
        Errno::CONNRESET,
        THEIRS,
        ["reset the connection", "that it runs"],
    ),
];

#[test]
fn each_error_number_of_tcp_has_its_code_blame_and_words() {
    for (errno, kind, words) in OF_TCP {
        let dial = tcp(&[("192.0.2.1:3307", errno)]);
        check(&dial, kind, words);
        let told_of_firewall = dial
            .refusal(Code::AgentUnreachable)
            .hint
            .contains("no firewall");
        assert!(!told_of_firewall || !kind.0, "{errno:?}");
    }
}

#[test]
fn each_error_number_of_a_unix_socket_has_its_code_blame_and_words() {
    for (errno, kind, words) in [
        (
            Errno::MFILE,
            LIMIT,
            ["this program has no file descriptor", "LimitNOFILE="],
        ),
        (
            Errno::NFILE,
            LIMIT,
            ["this machine has no file descriptor", "fs.file-max"],
        ),
        (Errno::NOENT, THEIRS, ["does not exist", "the path"]),
        (Errno::ACCESS, OURS, ["has no permission", "let the user"]),
        (Errno::PERM, OURS, ["has no permission", "let the user"]),
        (Errno::AGAIN, THEIRS, ["full queue", "try again"]),
        (
            Errno::CONNREFUSED,
            THEIRS,
            ["does not accept connections", "that it runs"],
        ),
    ] {
        let path = PathBuf::from("/run/db.sock");
        let source = error(errno);
        check(&DialError::Unix { path, source }, kind, words);
    }
}

#[test]
fn of_several_addresses_the_most_telling_answer_counts() {
    for (tried, kind, words) in [
        (
            [
                ("[2001:db8::1]:1", Errno::NETUNREACH),
                ("192.0.2.1:1", Errno::CONNREFUSED),
            ],
            (false, false),
            ["does not accept connections", "that it runs"],
        ),
        (
            [
                ("192.0.2.1:1", Errno::CONNREFUSED),
                ("192.0.2.2:1", Errno::MFILE),
            ],
            (true, true),
            ["no file descriptor", "LimitNOFILE="],
        ),
        (
            [
                ("[2001:db8::1]:1", Errno::ADDRNOTAVAIL),
                ("192.0.2.1:1", Errno::TIMEDOUT),
            ],
            (false, false),
            ["did not answer", "firewalls between"],
        ),
        (
            [
                ("[2001:db8::1]:1", Errno::ADDRNOTAVAIL),
                ("[2001:db8::2]:1", Errno::AFNOSUPPORT),
            ],
            (true, false),
            ["no address of its family", "another address"],
        ),
    ] {
        check(&tcp(&tried), kind, words);
    }
}

#[test]
fn a_name_or_a_proxy_is_not_to_blame_for_exhaustion_here() {
    let source = error(Errno::MFILE);
    let host = "agent.example".to_owned();
    let words = ["os error", "LimitNOFILE="];
    check(&DialError::Resolve { host, source }, (true, true), words);
    let proxy = DialError::Proxy {
        proxy: "socks5://p:1080".to_owned(),
        target: "agent.example:3307".to_owned(),
        said: error(Errno::MFILE).to_string(),
        cause: Some(DialCause::ProcessDescriptors),
    };
    check(&proxy, (true, true), words);
}

#[test]
fn exhaustion_is_no_fault_of_the_ca() {
    let failure = Failure::NotDialled("os error 24".to_owned(), DialCause::ProcessDescriptors);
    let error = AuthorityError {
        endpoint: "https://ca.example:8443".to_owned(),
        failure,
        skew: None,
    };
    let refusal = error.refusal();
    assert_eq!((refusal.code, error.blame()), (Code::Limit, Blame::Ours));
    assert!(
        refusal.reason.contains("no file descriptor left"),
        "{refusal}"
    );
    assert!(refusal.hint.contains("LimitNOFILE="), "{refusal}");
}
