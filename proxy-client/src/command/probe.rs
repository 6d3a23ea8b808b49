//! `wait`, `healthcheck` and `shutdown`: short questions to a program at work.

use std::time::Duration;

use daemon::exit::Exit;
use serde::Deserialize;
use tokio::time::Instant;

use super::ask::{Answer, AskError, Door};
use super::say;
use crate::conversations::QUIT;

/// Between two questions of who waits.
const PACE: Duration = Duration::from_millis(200);

/// Waits until the program has started: its listeners are bound and a certificate was issued.
pub(super) async fn wait(door: Door, most: Duration) -> Exit {
    let deadline = Instant::now() + most;
    loop {
        let asked = door.ask("GET", "/startup").await;
        let problem = match told(asked) {
            Ok(()) => return Exit::Success,
            Err(problem) => problem,
        };
        if Instant::now() + PACE > deadline {
            let most = most.as_secs_f64();
            say::complain(&format!("not started after {most} s: {problem}"));
            return Exit::Failure;
        }
        tokio::time::sleep(PACE).await;
    }
}

/// Asks once whether it can serve now.
pub(super) async fn healthcheck(door: Door) -> Exit {
    match told(door.ask("GET", "/readiness").await) {
        Ok(()) => Exit::Success,
        Err(problem) => {
            say::complain(&format!("not ready: {problem}"));
            Exit::Failure
        }
    }
}

/// Asks it to stop.
pub(super) async fn shutdown(door: Door) -> Exit {
    match told(door.ask("POST", QUIT).await) {
        Ok(()) => Exit::Success,
        Err(problem) => {
            say::complain(&format!("not stopped: {problem}"));
            Exit::Failure
        }
    }
}

/// What probes answer.
#[derive(Deserialize)]
struct Body {
    reason: Option<String>,
    #[serde(default)]
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    instance: String,
    reason: Option<String>,
}

/// Yes, or why not.
fn told(asked: Result<Answer, AskError>) -> Result<(), String> {
    let answer = asked.map_err(|error| error.to_string())?;
    if answer.status == 200 {
        return Ok(());
    }
    let Ok(body) = serde_json::from_str::<Body>(&answer.body) else {
        return Err(format!("{}: {}", answer.status, answer.body.trim_end()));
    };
    let mut text = body.reason.unwrap_or_else(|| "no reason given".to_owned());
    for instance in body.instances {
        if let Some(reason) = instance.reason {
            text.push_str(&format!("\n  {}: {reason}", instance.instance));
        }
    }
    Err(text)
}
