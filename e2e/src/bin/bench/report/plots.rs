//! The document's pictures.

use crate::peers::Peer;
use crate::phases::Run;
use crate::plot::{Bar, Group, bars};

/// A picture with the name of its file.
pub(super) struct Plot {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) picture: String,
}

/// The file's name, the title, and each group's title with its figure.
type Picture = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// Those for which there are figures.
pub(super) fn all(run: &Run<'_>) -> Vec<Plot> {
    // The direct connection is several times faster than anything with two relays and would hide the differences.
    let pictures: [Picture; 4] = [
        (
            "bulk",
            "Bulk through both ends, GB/s: more is better",
            &[
                ("up, 1 stream", "bulk-up-1"),
                ("down, 1 stream", "bulk-down-1"),
                ("up, 8 streams", "bulk-up-8"),
                ("down, 8 streams", "bulk-down-8"),
            ],
        ),
        (
            "point-select",
            "sysbench point selects, queries per second: more is better",
            &[
                ("MariaDB, 1 thread", "mariadb-select-1"),
                ("MariaDB, 8 threads", "mariadb-select-8"),
                ("MariaDB, 64 threads", "mariadb-select-64"),
                ("MySQL, 8 threads", "mysql-select-8"),
            ],
        ),
        (
            "connections",
            "New connections with one byte there and back, per second: more is better",
            &[("in turn", "connect-1"), ("16 at a time", "connect-16")],
        ),
        (
            "idle-memory",
            "Idle memory per session, both ends, KiB: less is better",
            &[
                ("after one byte from the far end", "idle-unused"),
                ("after 256 KiB each way", "idle-used"),
            ],
        ),
    ];
    let plots = pictures.into_iter().filter_map(|(name, title, groups)| {
        let groups: Vec<Group> = groups
            .iter()
            .filter_map(|(title, figure)| group(run, title, figure))
            .collect();
        let picture = bars(title, &groups);
        (!groups.is_empty()).then_some(Plot {
            name,
            title,
            picture,
        })
    });
    plots.collect()
}

fn group(run: &Run<'_>, title: &str, figure: &str) -> Option<Group> {
    let bars: Vec<Bar> = run
        .peers
        .iter()
        .filter(|peer| **peer != Peer::Direct)
        .filter_map(|peer| {
            Some(Bar {
                name: peer.name().to_owned(),
                spread: run.figures.spread(figure, peer.name())?,
                ours: matches!(peer, Peer::Ours(_)),
            })
        })
        .collect();
    (!bars.is_empty()).then(|| Group {
        title: title.to_owned(),
        bars,
    })
}
