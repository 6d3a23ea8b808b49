//! What the tunnel is to reach: floors that must hold, and goals.

mod table;

pub(crate) use table::ALL;

use crate::figures::{Figures, Spread};
use crate::peers::Peer;

/// What a figure is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    /// The best of stunnel, HAProxy and nginx, the last two with either size of buffers.
    Rivals,
    /// One of the peers.
    Peer(&'static str),
    /// Nothing: the figure speaks for itself.
    Itself,
}

/// One row of the table of targets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) title: &'static str,
    pub(crate) figure: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) basis: Basis,
    /// Whether more is better.
    pub(crate) more: bool,
    pub(crate) floor: f64,
    /// None where the floor is all that is asked for.
    pub(crate) goal: Option<f64>,
}

/// How a figure stands to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Goal,
    Floor,
    Missed,
    /// Not measured in this run.
    Open,
}

/// A target with what was found.
pub(crate) struct Standing {
    pub(crate) ours: Option<Spread>,
    /// Who it was compared with, and that figure.
    pub(crate) best: Option<(String, Spread)>,
    /// What is compared with floor and goal.
    pub(crate) ratio: Option<Spread>,
    /// The same of the plain relay, the limit.
    pub(crate) plain: Option<Spread>,
    pub(crate) verdict: Verdict,
}

impl Target {
    /// How `name`, one of ours, stands.
    pub(crate) fn standing(&self, figures: &Figures, peers: &[Peer], name: &str) -> Standing {
        let ours = figures.spread(self.figure, name);
        let best = match self.basis {
            Basis::Rivals => self.hardest(figures, peers, name),
            Basis::Peer(peer) => Some(peer.to_owned()),
            Basis::Itself => None,
        };
        let against = |who: &str| match (&best, self.basis) {
            (_, Basis::Itself) => figures.spread(self.figure, who),
            (Some(best), _) => figures.ratio((self.figure, who), (self.figure, best)),
            (None, _) => None,
        };
        let (ratio, plain) = (against(name), against("plain"));
        let best = best.and_then(|peer| Some((peer.clone(), figures.spread(self.figure, &peer)?)));
        let verdict = ratio.map_or(Verdict::Open, |ratio| self.judge(ratio.median));
        Standing {
            ours,
            best,
            ratio,
            plain,
            verdict,
        }
    }

    /// The rival beside whom ours looks worst.
    fn hardest(&self, figures: &Figures, peers: &[Peer], name: &str) -> Option<String> {
        let rivals = peers.iter().filter(|peer| peer.is_rival()).map(Peer::name);
        let ratio = |rival: &str| {
            Some(
                figures
                    .ratio((self.figure, name), (self.figure, rival))?
                    .median,
            )
        };
        let ratios = rivals.filter_map(|rival| Some((ratio(rival)?, rival)));
        let hardest = ratios.min_by(|(one, _), (other, _)| {
            if self.more {
                one.total_cmp(other)
            } else {
                other.total_cmp(one)
            }
        });
        hardest.map(|(_, rival)| rival.to_owned())
    }

    fn judge(&self, ratio: f64) -> Verdict {
        // As much as the table shows: two decimals.
        let shown = (ratio * 100.0).round() / 100.0;
        let reaches = |mark: f64| {
            if self.more {
                shown >= mark
            } else {
                shown <= mark
            }
        };
        match self.goal {
            Some(goal) if reaches(goal) => Verdict::Goal,
            None if reaches(self.floor) => Verdict::Goal,
            _ if reaches(self.floor) => Verdict::Floor,
            _ => Verdict::Missed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::table::{alone, less, more};
    use super::*;

    fn figures(figure: &str, values: &[(&str, f64)]) -> Figures {
        let mut figures = Figures::default();
        for (peer, value) in values {
            figures.add(figure, peer, 0, *value);
        }
        figures
    }

    #[test]
    fn throughput_is_held_against_the_fastest_rival_and_cpu_against_the_leanest() {
        let peers = Peer::all();
        let target = more("", "a", "", 1.0, 1.4);
        let found = figures("a", &[("ours", 12.0), ("stunnel", 5.0), ("nginx64", 10.0)]);
        let standing = target.standing(&found, &peers, "ours");
        assert_eq!(standing.best.unwrap().0, "nginx64");
        assert_eq!(standing.verdict, Verdict::Floor);
        let standing = Target {
            more: false,
            ..target
        }
        .standing(&found, &peers, "ours");
        assert_eq!(standing.best.unwrap().0, "stunnel");
        assert_eq!(standing.verdict, Verdict::Missed);
    }

    #[test]
    fn peers_that_are_no_rivals_set_no_mark() {
        let found = figures("a", &[("ours", 12.0), ("google", 50.0), ("direct", 90.0)]);
        let standing = more("", "a", "", 1.0, 1.4).standing(&found, &Peer::all(), "ours");
        assert_eq!(standing.verdict, Verdict::Open);
    }

    #[test]
    fn a_mark_is_reached_when_the_table_shows_that_it_is() {
        let target = alone(less("", "a", "", 1.1, 1.0));
        for (value, verdict) in [
            (1.004, Verdict::Goal),
            (1.006, Verdict::Floor),
            (1.104, Verdict::Floor),
            (1.106, Verdict::Missed),
        ] {
            assert_eq!(target.judge(value), verdict, "{value}");
        }
    }

    #[test]
    fn every_floor_is_easier_than_its_goal() {
        for target in ALL {
            let Some(goal) = target.goal else { continue };
            let order = if target.more {
                target.floor < goal
            } else {
                target.floor > goal
            };
            assert!(order, "{}", target.title);
        }
    }
}
