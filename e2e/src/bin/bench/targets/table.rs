//! Floors and goals, row by row.

use super::{Basis, Target};

pub(super) const fn more(
    title: &'static str,
    figure: &'static str,
    unit: &'static str,
    floor: f64,
    goal: f64,
) -> Target {
    let (basis, goal) = (Basis::Rivals, Some(goal));
    Target {
        title,
        figure,
        unit,
        basis,
        more: true,
        floor,
        goal,
    }
}

pub(super) const fn less(
    title: &'static str,
    figure: &'static str,
    unit: &'static str,
    floor: f64,
    goal: f64,
) -> Target {
    let target = more(title, figure, unit, floor, goal);
    Target {
        more: false,
        ..target
    }
}

const fn to(peer: &'static str, target: Target) -> Target {
    Target {
        basis: Basis::Peer(peer),
        ..target
    }
}

pub(super) const fn alone(target: Target) -> Target {
    Target {
        basis: Basis::Itself,
        ..target
    }
}

/// Every row, in the order of the document.
pub(crate) const ALL: [Target; 34] = [
    more("bulk up, 1 stream", "bulk-up-1", "GB/s", 1.0, 1.4),
    more("bulk down, 1 stream", "bulk-down-1", "GB/s", 1.0, 1.4),
    more("bulk up, 8 streams", "bulk-up-8", "GB/s", 1.2, 1.5),
    more("bulk down, 8 streams", "bulk-down-8", "GB/s", 1.2, 1.5),
    less("bulk up, 1 stream, CPU", "bulk-up-1-cpu", "s/GB", 0.9, 0.65),
    less(
        "bulk down, 1 stream, CPU",
        "bulk-down-1-cpu",
        "s/GB",
        0.9,
        0.65,
    ),
    less(
        "bulk up, 8 streams, CPU",
        "bulk-up-8-cpu",
        "s/GB",
        0.75,
        0.62,
    ),
    less(
        "bulk down, 8 streams, CPU",
        "bulk-down-8-cpu",
        "s/GB",
        0.75,
        0.62,
    ),
    less("ping 64 B, p50", "ping-p50", "us", 0.92, 0.88),
    less("ping 64 B, p99", "ping-p99", "us", 1.0, 0.92),
    less("ping 64 B, CPU", "ping-cpu", "s/100k", 0.90, 0.84),
    more(
        "MariaDB point select, 1 thread",
        "mariadb-select-1",
        "q/s",
        1.03,
        1.08,
    ),
    more(
        "MariaDB point select, 8 threads",
        "mariadb-select-8",
        "q/s",
        1.12,
        1.22,
    ),
    more(
        "MariaDB point select, 64 threads",
        "mariadb-select-64",
        "q/s",
        1.03,
        1.10,
    ),
    less(
        "MariaDB point select, 8 threads, CPU",
        "mariadb-select-8-cpu",
        "s/100k",
        0.80,
        0.74,
    ),
    more(
        "MariaDB read-write, 8 threads",
        "mariadb-read-write-8",
        "q/s",
        1.05,
        1.15,
    ),
    less(
        "MariaDB read-write, 8 threads, CPU",
        "mariadb-read-write-8-cpu",
        "s/100k",
        0.78,
        0.70,
    ),
    more(
        "MySQL point select, 1 thread",
        "mysql-select-1",
        "q/s",
        1.03,
        1.08,
    ),
    more(
        "MySQL point select, 8 threads",
        "mysql-select-8",
        "q/s",
        1.12,
        1.22,
    ),
    more(
        "MySQL point select, 64 threads",
        "mysql-select-64",
        "q/s",
        1.03,
        1.10,
    ),
    less(
        "MySQL point select, 8 threads, CPU",
        "mysql-select-8-cpu",
        "s/100k",
        0.80,
        0.74,
    ),
    more(
        "MySQL read-write, 8 threads",
        "mysql-read-write-8",
        "q/s",
        1.05,
        1.15,
    ),
    less(
        "MySQL read-write, 8 threads, CPU",
        "mysql-read-write-8-cpu",
        "s/100k",
        0.78,
        0.70,
    ),
    more("new connections, in turn", "connect-1", "per s", 1.3, 1.5),
    more(
        "new connections, 16 at a time",
        "connect-16",
        "per s",
        1.5,
        1.75,
    ),
    to(
        "plain",
        less(
            "new connection to first byte, p50",
            "first-byte-p50",
            "us",
            2.0,
            1.3,
        ),
    ),
    Target {
        goal: None,
        ..alone(less(
            "50 parallel connects, p99 / p50",
            "parallel-50-spread",
            "x",
            3.0,
            0.0,
        ))
    },
    to(
        "haproxy",
        less(
            "idle memory per session after use, both ends",
            "idle-used",
            "KiB",
            0.6,
            0.4,
        ),
    ),
    alone(less(
        "growth of idle memory from use",
        "idle-growth",
        "x",
        1.1,
        1.0,
    )),
    alone(less(
        "idle CPU of all sessions in 10 s",
        "idle-cpu",
        "s",
        0.05,
        0.0,
    )),
    to(
        "direct",
        less(
            "MariaDB 500 MB result set, time",
            "mariadb-result-set",
            "s",
            1.06,
            1.03,
        ),
    ),
    less(
        "MariaDB 500 MB result set, CPU",
        "mariadb-result-set-cpu",
        "s/GB",
        0.85,
        0.67,
    ),
    to(
        "direct",
        less(
            "MySQL 500 MB result set, time",
            "mysql-result-set",
            "s",
            1.06,
            1.03,
        ),
    ),
    less(
        "MySQL 500 MB result set, CPU",
        "mysql-result-set-cpu",
        "s/GB",
        0.85,
        0.67,
    ),
];
