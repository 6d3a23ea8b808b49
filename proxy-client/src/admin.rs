//! The administrator's Unix socket: HTTP that only this user can reach, with the probes, the metrics, the sessions
//! open now, the log's level, and the request to stop.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use daemon::health::{More, Page, Probes};
use daemon::log::{DEFAULT, LogLevel};
use daemon::shutdown::Shutdown;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;
use transport::accept::Listener;
use transport::error::BindError;

use crate::conversations::{QUIT, hold, quit};
use crate::health::Status;
use crate::sessions::{Line, Sessions};

/// For this user alone.
const SOCKET_MODE: u32 = 0o600;
/// The folder, where there is none yet.
const FOLDER_MODE: u32 = 0o700;

/// The path of [`Overview`].
pub const STATUS: &str = "/status";

/// The path of the log's level; by POST, the new one stands behind it.
pub const LOG_LEVEL: &str = "/log-level";

/// How the program is, in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// The program's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// How long it has been at work.
    pub uptime_seconds: u64,
    /// Where each instance is listened for.
    pub mounts: Vec<Mounted>,
    /// Tunnels that are kept ready, of all instances.
    #[serde(default)]
    pub spare_tunnels: i64,
    /// The sessions open now.
    pub sessions: Vec<Line>,
}

/// Where an instance is listened for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounted {
    /// The instance.
    pub instance: String,
    /// An address or a path.
    pub local: String,
}

/// What the socket tells of, and what it can do.
pub(crate) struct Admin {
    pub(crate) status: Arc<Status>,
    pub(crate) sessions: Sessions,
    pub(crate) shutdown: Shutdown,
    pub(crate) begun: Instant,
    pub(crate) log: Option<LogLevel>,
}

impl Admin {
    /// Binds the socket and answers on it until `cancel`.
    pub(crate) fn serve(
        self,
        path: &Path,
        probes: Probes,
        cancel: CancellationToken,
        tracker: &TaskTracker,
    ) -> Result<(), BindError> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            let mut builder = std::fs::DirBuilder::new();
            let made = builder.recursive(true).mode(FOLDER_MODE).create(folder);
            made.map_err(|source| BindError::Io {
                path: folder.to_owned(),
                doing: "make the folder",
                source,
            })?;
        }
        let listener = Listener::bind_unix(path, SOCKET_MODE)?;
        let more: More = Arc::new(move |method, path| self.page(method, path));
        hold(listener, probes, more, cancel, tracker);
        Ok(())
    }

    fn page(&self, method: &str, path: &str) -> Option<Page> {
        match (method, path) {
            ("GET", STATUS) => Some(Page {
                status: 200,
                kind: "application/json",
                body: serde_json::to_string(&self.overview()).unwrap_or_default(),
            }),
            (method, QUIT) => Some(quit(method, &self.shutdown)),
            ("GET", LOG_LEVEL) => Some(text(200, self.log.as_ref()?.current())),
            ("POST", path) => {
                let level = path.strip_prefix(LOG_LEVEL)?.strip_prefix('/')?;
                Some(set_level(self.log.as_ref()?, level))
            }
            _ => None,
        }
    }

    fn overview(&self) -> Overview {
        let mounted = |(instance, local)| Mounted { instance, local };
        Overview {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.begun.elapsed().as_secs(),
            mounts: self.status.mounts().into_iter().map(mounted).collect(),
            spare_tunnels: self.status.spare_tunnels(),
            sessions: self.sessions.lines(),
        }
    }
}

fn set_level(log: &LogLevel, level: &str) -> Page {
    match log.set((level != DEFAULT).then_some(level)) {
        Ok(()) => {
            info!(level, "the administrator has set the log's level");
            text(200, log.current())
        }
        Err(wrong) => text(400, wrong.to_string()),
    }
}

fn text(status: u16, words: String) -> Page {
    Page {
        status,
        kind: "text/plain",
        body: words + "\n",
    }
}
