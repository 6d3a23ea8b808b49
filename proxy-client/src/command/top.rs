//! `top`: the sessions open now, as a table that renews itself on a terminal and as plain text elsewhere.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use daemon::exit::Exit;

use super::ask::Door;
use super::say;
use crate::admin::{Overview, STATUS};
use crate::legs::Opened;
use crate::sessions::Line;

/// Between two pictures.
const EVERY: Duration = Duration::from_secs(1);
/// Back to the upper left corner, with nothing below.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// Most lines of one picture on a terminal.
const MOST: usize = 40;

/// How the sessions are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// Again and again on a terminal, else once.
    Live,
    /// Once.
    Once,
    /// Once, as JSON.
    Json,
}

/// Shows the table; on a terminal until Ctrl-C, unless once is enough.
pub(super) async fn run(door: Door, show: Show) -> Exit {
    let Some(door) = door.admin() else {
        say::complain("give the path of the program's --admin-socket");
        return Exit::Usage;
    };
    let is_live = show == Show::Live && std::io::stdout().is_terminal();
    loop {
        let answer = match door.ask("GET", STATUS).await {
            Ok(answer) => answer.body,
            Err(error) => return say::fail(&error),
        };
        if show == Show::Json {
            return say::out(&(answer + "\n"));
        }
        let overview: Overview = match serde_json::from_str(&answer) {
            Ok(overview) => overview,
            Err(error) => return say::fail(&error),
        };
        if !is_live {
            return say::out(&picture(&overview, usize::MAX));
        }
        let drawn = say::out(&format!("{CLEAR}{}", picture(&overview, MOST)));
        if drawn != Exit::Success {
            return drawn;
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn picture(overview: &Overview, most: usize) -> String {
    let mut text = format!(
        "cloudsql-proxy {}, process {}, up {}, {} open, {} tunnels ready\n",
        overview.version,
        overview.pid,
        age(overview.uptime_seconds),
        overview.sessions.len(),
        overview.spare_tunnels
    );
    for mount in &overview.mounts {
        line(
            &mut text,
            format_args!("{} at {}", mount.instance, mount.local),
        );
    }
    let rows: Vec<[String; 8]> = overview.sessions.iter().take(most).map(row).collect();
    let head = [
        "INSTANCE",
        "PEER",
        "AGE",
        "UP",
        "DOWN",
        "STATE",
        "OPENED IN",
        "SESSION",
    ]
    .map(str::to_owned);
    text.push('\n');
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            let cells = std::iter::once(&head).chain(&rows);
            let widths = cells.filter_map(|row| row.get(column)).map(String::len);
            widths.max().unwrap_or_default()
        })
        .collect();
    for row in std::iter::once(&head).chain(&rows) {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        line(&mut text, format_args!("{}", cells.join("  ").trim_end()));
    }
    if overview.sessions.len() > rows.len() {
        let more = overview.sessions.len().saturating_sub(rows.len());
        line(&mut text, format_args!("... and {more} more"));
    }
    text
}

fn row(session: &Line) -> [String; 8] {
    [
        session.instance.clone(),
        session.peer.clone(),
        age(session.age_seconds),
        bytes(session.bytes_up),
        bytes(session.bytes_down),
        session.state.clone(),
        session.opened.as_ref().map_or_else(String::new, opened),
        session.id.clone(),
    ]
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    if writeln!(text, "{words}").is_err() {
        text.push('\n');
    }
}

fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// The whole, and the leg that took longest of it.
fn opened(opened: &Opened) -> String {
    let Opened {
        millis,
        slowest,
        slowest_millis,
    } = opened;
    match millis {
        0 => "0 ms".to_owned(),
        _ => format!("{millis} ms ({slowest} {slowest_millis})"),
    }
}

/// Three digits and a unit, in powers of 1024.
fn bytes(count: u64) -> String {
    let mut whole = count;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if whole < 1024 {
            return format!("{whole} {unit}");
        }
        whole /= 1024;
    }
    format!("{whole} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Mounted;

    #[test]
    fn the_picture_is_a_table_with_a_line_a_session() {
        let session = |id: &str, instance: &str, up| Line {
            id: id.into(),
            instance: instance.into(),
            peer: "uid:1000".into(),
            age_seconds: 3725,
            bytes_up: up,
            bytes_down: 1_500_000,
            state: "open".into(),
            opened: Some(Opened {
                millis: up,
                slowest: "tls".into(),
                slowest_millis: 9,
            }),
        };
        let overview = Overview {
            version: "1.2.3".into(),
            pid: 7,
            uptime_seconds: 90_000,
            mounts: vec![Mounted {
                instance: "p:r:a".into(),
                local: "127.0.0.1:3306".into(),
            }],
            spare_tunnels: 3,
            sessions: vec![session("aa", "p:r:a", 12), session("bb", "p:r:long", 2048)],
        };
        assert_eq!(
            picture(&overview, 10),
            "cloudsql-proxy 1.2.3, process 7, up 1d01h, 2 open, 3 tunnels ready\n\
             p:r:a at 127.0.0.1:3306\n\
             \n\
             INSTANCE  PEER      AGE    UP     DOWN   STATE  OPENED IN        SESSION\n\
             p:r:a     uid:1000  1h02m  12 B   1 MiB  open   12 ms (tls 9)    aa\n\
             p:r:long  uid:1000  1h02m  2 KiB  1 MiB  open   2048 ms (tls 9)  bb\n"
        );
        assert!(picture(&overview, 1).ends_with("aa\n... and 1 more\n"));
    }

    #[test]
    fn ages_and_bytes_have_the_unit_that_fits() {
        assert_eq!([59, 60, 3600].map(age), ["59s", "1m00s", "1h00m"]);
        assert_eq!(
            [0, 1023, 1024, u64::MAX].map(bytes),
            ["0 B", "1023 B", "1 KiB", "16777215 TiB"]
        );
    }
}
