//! `log-level`: what a program at work logs, and how it is told to log more or less.

use daemon::exit::Exit;

use super::ask::Door;
use super::say;
use crate::admin::LOG_LEVEL;

/// Shows the level, or sets it.
pub(super) async fn run(door: Door, level: Option<&str>) -> Exit {
    let Some(door) = door.admin() else {
        say::complain("give the path of the program's --admin-socket");
        return Exit::Usage;
    };
    let asked = match level {
        None => door.ask("GET", LOG_LEVEL).await,
        Some(level) if level.bytes().all(is_of_directives) => {
            door.ask("POST", &format!("{LOG_LEVEL}/{level}")).await
        }
        Some(level) => {
            say::complain(&format!(
                "{level:?} is no level: try debug, or session=info"
            ));
            return Exit::Usage;
        }
    };
    match asked {
        Ok(answer) if answer.status == 200 => say::out(&answer.body),
        Ok(answer) => {
            say::complain(&format!("not set: {}", answer.body.trim_end()));
            Exit::Failure
        }
        Err(error) => say::fail(&error),
    }
}

/// What levels and directives are written with, as far as it passes in a path.
const fn is_of_directives(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b',' | b'=' | b':' | b'_' | b'-')
}
