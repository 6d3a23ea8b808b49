//! Tables in Markdown.

use crate::figures::Spread;
use crate::peers::Peer;
use crate::phases::Run;
use crate::plot::number;
use crate::targets::{ALL, Basis, Standing, Target, Verdict};

/// What stands where there is no figure.
pub(super) fn none() -> String {
    "-".to_owned()
}

/// Every target, met or missed, for each of ours.
pub(super) fn targets(run: &Run<'_>) -> String {
    let ours = run
        .peers
        .iter()
        .filter(|peer| matches!(peer, Peer::Ours(_)));
    ours.map(|peer| targets_of(run, peer.name())).collect()
}

fn targets_of(run: &Run<'_>, name: &str) -> String {
    let mut text = format!(
        "| measure | {name} | compared with | ratio (least to most) | plain relay | floor | goal | |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    for target in ALL {
        let standing = target.standing(&run.figures, &run.peers, name);
        if standing.verdict != Verdict::Open || run.options.is_whole() {
            text += &row(&target, &standing);
        }
    }
    text
}

fn row(target: &Target, standing: &Standing) -> String {
    let sign = if target.more { "≥" } else { "≤" };
    let times = if target.basis == Basis::Itself {
        ""
    } else {
        "x"
    };
    let mark = |mark: f64| format!("{sign} {mark:.2}{times}");
    let verdict = match standing.verdict {
        Verdict::Goal => "goal met",
        Verdict::Floor => "floor met",
        Verdict::Missed => "**MISSED**",
        Verdict::Open => "**not measured**",
    };
    let shown = |spread: &Option<Spread>| spread.map_or_else(none, |one| ratio(one, times));
    let ours = standing.ours.map_or_else(none, |ours| {
        format!("{} {}", number(ours.median), target.unit)
    });
    let best = standing.best.as_ref().map_or_else(none, |(peer, spread)| {
        format!("{peer}: {}", number(spread.median))
    });
    let plain = standing
        .plain
        .map_or_else(none, |plain| format!("{:.2}{times}", plain.median));
    format!(
        "| {} | {ours} | {best} | {} | {plain} | {} | {} | {verdict} |\n",
        target.title,
        shown(&standing.ratio),
        mark(target.floor),
        target.goal.map_or_else(none, mark),
    )
}

fn ratio(spread: Spread, times: &str) -> String {
    format!(
        "**{:.2}{times}** ({:.2} to {:.2})",
        spread.median, spread.least, spread.most
    )
}

/// Every figure of every peer.
pub(super) fn figures(run: &Run<'_>) -> String {
    let names = &run.columns;
    let mut text = format!("| figure | {} |\n|---|", names.join(" | "));
    text += &"---|".repeat(names.len());
    text.push('\n');
    for figure in run
        .figures
        .names()
        .iter()
        .filter(|name| !name.starts_with("soak"))
    {
        text += &format!("| {figure} |");
        for peer in names {
            match run.figures.spread(figure, peer) {
                Some(found) => text += &format!(" {} |", cell(found)),
                None => text += " - |",
            }
        }
        text.push('\n');
    }
    text
}

fn cell(spread: Spread) -> String {
    let [median, least, most] = [spread.median, spread.least, spread.most].map(number);
    if least == most {
        median
    } else {
        format!("{median} ({least} to {most})")
    }
}

/// What disturbed the run, and what is missing.
pub(super) fn notes(run: &Run<'_>) -> String {
    let (samples, doubtful) = run.figures.samples();
    let mut text = format!(
        "* {doubtful} of {samples} samples were taken while other processes had more than 10 % of the machine{}.\n\
         * The run took {} minutes.\n",
        if run.options.quick {
            ""
        } else {
            ", after two repetitions"
        },
        run.age().as_secs().div_ceil(60)
    );
    for note in run.figures.notes() {
        text += &format!("* {}\n", note.replace('\n', " "));
    }
    text
}
