//! Finds the broken place: climbs from the clock to the database with the client's own pieces, one rung at a time.

mod ladder;
mod verdict;

use std::sync::Arc;

use daemon::clock::Clock;
use proto::mysql::Introduction;
use proto::{Code, Engine, Refusal};
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, ExposedKeyFile, Place};
use crate::connector::Tunnel;
use crate::serve::{Shared, trial};
use crate::session::Served;
use ladder::Ladder;
pub use ladder::{Finding, Report, Rung, State};

/// Examines each instance of a configuration. Where not even the program's own pieces can be made, one report says so.
pub async fn examine(config: Config, clock: Clock) -> Vec<Report> {
    let account = config
        .authority
        .credentials
        .account()
        .unwrap_or("no key file, but other credentials")
        .to_owned();
    let exposed = config.authority.exposed_key_file.clone();
    let mut ladder = Ladder::new("");
    ladder.ok(Rung::Settings, "complete");
    let shared = Shared::new(
        config.authority,
        config.keys,
        config.dial_timeout,
        None,
        clock,
    );
    let mut shared = match shared {
        Ok(shared) => shared,
        Err(error) => {
            let fix = "correct the settings";
            let refusal = Refusal::new(Code::Settings, error.to_string(), fix);
            return vec![ladder.broken(Rung::Settings, &refusal)];
        }
    };
    shared.follow(config.failover);
    let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
    let mut reports = Vec::new();
    for instance in config.instances {
        let served = shared.serve(instance, &tasks, &cut);
        let patient = Patient {
            shared: &shared,
            served,
            account: &account,
            exposed: exposed.as_ref(),
        };
        reports.push(patient.examine().await);
    }
    reports
}

/// One instance under examination.
struct Patient<'a> {
    shared: &'a Shared,
    served: Arc<Served>,
    account: &'a str,
    exposed: Option<&'a ExposedKeyFile>,
}

impl Patient<'_> {
    async fn examine(&self) -> Report {
        let deadline = Instant::now() + self.served.dial_timeout;
        let hello = trial::hello();
        let opened = self.served.connector.connect(hello, deadline).await;
        let mut ladder = Ladder::new(&self.served.label());
        ladder.ok(Rung::Settings, "complete");
        let (broken, tunnel) = match opened {
            Ok(tunnel) => (None, Some(tunnel)),
            Err(error) => (Some((verdict::rung(&error), error.refusal())), None),
        };
        let reached = broken.as_ref().map(|(rung, _)| *rung);
        let places = self.places(deadline).await;
        for rung in Rung::OF_THE_WAY {
            if Some(rung) == reached {
                break;
            }
            self.climbed(rung, tunnel.as_ref(), &places, &mut ladder);
        }
        match (broken, tunnel) {
            (Some((rung, refusal)), _) => ladder.broken(rung, &refusal),
            (None, Some(tunnel)) => self.beyond(tunnel, ladder, deadline).await,
            (None, None) => ladder.report(),
        }
    }

    /// Where agents are dialled, as far as that is known.
    async fn places(&self, deadline: Instant) -> String {
        let connector = &self.served.connector;
        let Some(info) = connector.refresher.last_known() else {
            return String::new();
        };
        let places = connector.places(&info, deadline).await;
        let places: Vec<String> = places.iter().flatten().map(ToString::to_string).collect();
        places.join(", ")
    }

    /// What is told of a rung that holds.
    fn climbed(&self, rung: Rung, tunnel: Option<&Tunnel>, places: &str, ladder: &mut Ladder) {
        let millis = |leg: Option<std::time::Duration>| {
            leg.map_or_else(String::new, |leg| format!(" ({} ms)", leg.as_millis()))
        };
        let legs = tunnel.map(|tunnel| tunnel.legs);
        let info = self.served.connector.refresher.last_known();
        let text = match rung {
            Rung::Clock => return self.clock(ladder),
            Rung::KeyFile => return self.key_file(ladder),
            Rung::Ca => self.shared.authority.load().endpoint().to_owned(),
            Rung::Token => "accepted".to_owned(),
            Rung::Certificate => {
                let left = self.served.connector.refresher.remaining();
                let minutes = left.unwrap_or_default().as_secs() / 60;
                let serial = info.map_or_else(String::new, |info| info.serial.clone());
                let took = millis(legs.map(|legs| legs.certificate));
                format!("serial {serial}, valid for {minutes} min{took}")
            }
            Rung::Tcp => {
                let took = millis(legs.map(|legs| legs.tcp));
                format!("{places}{took}")
            }
            Rung::Tls => format!("both sides proved{}", millis(legs.map(|legs| legs.tls))),
            Rung::Policy => "admitted".to_owned(),
            Rung::Settings | Rung::Database | Rung::Authentication | Rung::Transport => return,
        };
        ladder.ok(rung, &text);
    }

    fn key_file(&self, ladder: &mut Ladder) {
        let account = self.account;
        let Some(ExposedKeyFile { path, mode }) = self.exposed else {
            return ladder.ok(Rung::KeyFile, account);
        };
        let reason = format!("{account}; its key file may be read by others (mode {mode:o})");
        let fix = format!("chmod 600 {}", path.display());
        let refusal = Refusal::new(Code::Settings, reason, fix);
        ladder.warn(Rung::KeyFile, &refusal);
    }

    fn clock(&self, ladder: &mut Ladder) {
        match self.shared.authority.load().skew() {
            Some(skew) if skew.is_notable() => {
                let fix = "set this machine's clock, for instance with NTP";
                let refusal = Refusal::new(Code::ClockSkew, skew.to_string(), fix);
                ladder.warn(Rung::Clock, &refusal);
            }
            Some(skew) => {
                let seconds = skew.amount.as_secs();
                ladder.ok(
                    Rung::Clock,
                    &format!("within {} s of the CA's", seconds.max(1)),
                );
            }
            None => ladder.unknown(Rung::Clock, "the CA has not told its time"),
        }
    }

    /// The rungs at the far end of an open tunnel.
    async fn beyond(&self, mut tunnel: Tunnel, mut ladder: Ladder, deadline: Instant) -> Report {
        let took = format!("({} ms)", tunnel.legs.opening.as_millis());
        if tunnel.info.engine != Engine::Mysql {
            ladder.ok(Rung::Database, &format!("the agent reaches it {took}"));
            let says = "the database tells it only to who logs in";
            ladder.unknown(Rung::Authentication, says);
            ladder.ok(Rung::Transport, &self.transport());
            return ladder.report();
        }
        match introduction(&mut tunnel, deadline).await {
            Ok(Introduction::Ready { version, plugin }) => {
                ladder.ok(Rung::Database, &format!("MySQL {version} {took}"));
                ladder.ok(
                    Rung::Authentication,
                    &format!("{plugin} unless the user has another"),
                );
                ladder.ok(Rung::Transport, &self.transport());
                ladder.report()
            }
            Ok(Introduction::Refusal { number, text }) => {
                let reason = format!("the database says: {text} ({number})");
                let fix = "as the database says";
                let refusal = Refusal::new(Code::DatabaseRefused, reason, fix);
                ladder.broken(Rung::Database, &refusal)
            }
            Err(refusal) => ladder.broken(Rung::Database, &refusal),
        }
    }

    /// How passwords travel.
    fn transport(&self) -> String {
        let near = match self.served.config.place {
            Place::Tcp { .. } => "TCP on this machine",
            Place::UnixFolder(_) | Place::UnixPath(_) => "a Unix socket",
        };
        format!("{near} to the client, TLS 1.3 to the agent, the agent's --database from there")
    }
}

/// What the database says first.
async fn introduction(tunnel: &mut Tunnel, deadline: Instant) -> Result<Introduction, Refusal> {
    let silent = |reason: &str| {
        let fix = "check the database and its log";
        Refusal::new(Code::DatabaseUnreachable, reason, fix)
    };
    let input = &mut tunnel.rest.database;
    loop {
        match Introduction::take(input) {
            Ok(Some(introduction)) => return Ok(introduction),
            Ok(None) => {}
            Err(_) => {
                let fix = "check the agent's --database and --engine";
                let reason = "what answers behind the agent is not a MySQL database";
                return Err(Refusal::new(Code::Protocol, reason, fix));
            }
        }
        match timeout_at(deadline, tunnel.stream.read_buf(input)).await {
            Ok(Ok(0) | Err(_)) => return Err(silent("the database ended the connection")),
            Ok(Ok(_)) => {}
            Err(_) => return Err(silent("the database does not speak in time")),
        }
    }
}
