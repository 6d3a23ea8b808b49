//! The rungs, and what was found on each.

use proto::Refusal;
use serde::Serialize;

/// The rungs from the ground up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Flags, environment, settings file.
    Settings,
    /// This machine's time.
    Clock,
    /// Who we are.
    KeyFile,
    /// Whether the CA answers, and is the CA.
    Ca,
    /// Whether it believes us.
    Token,
    /// Whether it gives settings and a certificate.
    Certificate,
    /// The connection to the agent.
    Tcp,
    /// Whether agent and client believe each other.
    Tls,
    /// Whether the agent lets us in.
    Policy,
    /// Whether the database answers.
    Database,
    /// How it wants users to prove themselves.
    Authentication,
    /// How that travels.
    Transport,
}

impl Rung {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Settings,
        Self::Clock,
        Self::KeyFile,
        Self::Ca,
        Self::Token,
        Self::Certificate,
        Self::Tcp,
        Self::Tls,
        Self::Policy,
        Self::Database,
        Self::Authentication,
        Self::Transport,
    ];

    /// Those between the settings and the database.
    pub(super) const OF_THE_WAY: [Self; 8] = [
        Self::Clock,
        Self::KeyFile,
        Self::Ca,
        Self::Token,
        Self::Certificate,
        Self::Tcp,
        Self::Tls,
        Self::Policy,
    ];

    /// As people read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Clock => "clock",
            Self::KeyFile => "key file",
            Self::Ca => "CA",
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Tcp => "TCP",
            Self::Tls => "mutual TLS",
            Self::Policy => "policy",
            Self::Database => "database",
            Self::Authentication => "authentication",
            Self::Transport => "transport",
        }
    }
}

/// How a rung is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It holds.
    Ok,
    /// It holds, and should be looked at.
    Warning,
    /// It does not hold.
    Broken,
    /// It could not be tried.
    Unknown,
}

/// What was found on one rung.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which.
    pub rung: Rung,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub detail: String,
    /// What `explain` explains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// What was found at one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The instance.
    pub instance: String,
    /// Whether no rung is broken.
    pub healthy: bool,
    /// All rungs, from the ground up.
    pub rungs: Vec<Finding>,
}

/// A ladder being climbed.
pub(super) struct Ladder {
    instance: String,
    found: Vec<Finding>,
}

impl Ladder {
    pub(super) fn new(instance: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            found: Vec::new(),
        }
    }

    pub(super) fn ok(&mut self, rung: Rung, detail: &str) {
        self.add(rung, State::Ok, detail);
    }

    pub(super) fn unknown(&mut self, rung: Rung, detail: &str) {
        self.add(rung, State::Unknown, detail);
    }

    pub(super) fn warn(&mut self, rung: Rung, refusal: &Refusal) {
        self.add(rung, State::Warning, &refusal.reason);
        self.mend(refusal);
    }

    /// The end of the climb.
    pub(super) fn broken(mut self, rung: Rung, refusal: &Refusal) -> Report {
        self.found.retain(|finding| finding.rung < rung);
        self.add(rung, State::Broken, &refusal.reason);
        self.mend(refusal);
        self.report()
    }

    /// The report, whatever is left unknown.
    pub(super) fn report(mut self) -> Report {
        for rung in Rung::ALL {
            if !self.found.iter().any(|finding| finding.rung == rung) {
                self.add(rung, State::Unknown, "not reached");
            }
        }
        self.found.sort_by_key(|finding| finding.rung);
        Report {
            healthy: self.found.iter().all(|one| one.state != State::Broken),
            instance: self.instance,
            rungs: self.found,
        }
    }

    fn add(&mut self, rung: Rung, state: State, detail: &str) {
        self.found.push(Finding {
            rung,
            state,
            detail: detail.to_owned(),
            code: None,
            fix: None,
        });
    }

    fn mend(&mut self, refusal: &Refusal) {
        if let Some(last) = self.found.last_mut() {
            last.code = Some(refusal.code.as_str());
            last.fix = Some(refusal.hint.clone());
        }
    }
}

impl Report {
    /// A report of settings that cannot be used: nothing else could be tried.
    pub fn of_settings(rung: Rung, refusal: &Refusal) -> Self {
        let mut ladder = Ladder::new("");
        if rung > Rung::Settings {
            ladder.ok(Rung::Settings, "complete");
        }
        ladder.broken(rung, refusal)
    }

    /// For people: a line a rung.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.instance);
        for finding in &self.rungs {
            let mark = match finding.state {
                State::Ok => "ok",
                State::Warning => "look",
                State::Broken => "BROKEN",
                State::Unknown => "-",
            };
            let rung = finding.rung.as_str();
            text.push_str(&format!("  {mark:<7} {rung:<15} {}\n", finding.detail));
            if let (Some(fix), Some(code)) = (&finding.fix, finding.code) {
                text.push_str(&format!("  {:<7} {:<15} {fix}\n", "", "-> fix"));
                text.push_str(&format!(
                    "  {:<23} more: cloudsql-proxy explain {code}\n",
                    ""
                ));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proto::Code;

    use super::*;

    #[test]
    fn a_broken_rung_ends_the_climb_and_what_is_above_was_not_reached() {
        let mut ladder = Ladder::new("p:r:a");
        for rung in [Rung::Settings, Rung::Clock, Rung::KeyFile, Rung::Ca] {
            ladder.ok(rung, "fine");
        }
        let refusal = Refusal::new(Code::ClockSkew, "ten minutes behind", "set it");
        let report = ladder.broken(Rung::Clock, &refusal);
        assert!(!report.healthy);
        let states: Vec<State> = report.rungs.iter().map(|finding| finding.state).collect();
        assert_eq!(states[..3], [State::Ok, State::Broken, State::Unknown]);
        assert_eq!(report.rungs.len(), Rung::ALL.len());
        assert!(states[2..].iter().all(|state| *state == State::Unknown));
        let text = report.text();
        assert!(
            text.contains("BROKEN  clock           ten minutes behind\n")
                && text.contains("set it\n")
                && text.contains("explain clock-skew\n"),
            "{text}"
        );
    }
}
