//! Callers whom a listener does not serve.

use std::sync::Arc;

use daemon::log::SESSION;
use proto::{Code, Refusal};
use tracing::{debug, warn};
use transport::accept::Stranger;
use transport::socket::Socket;

use super::{Served, refuse};

/// Says no, in the application's protocol, and names who was not known.
pub async fn turn_away(mut app: Socket, stranger: Stranger, served: Arc<Served>) {
    let hint = match stranger {
        Stranger::User { .. } | Stranger::Unknown => {
            "ask who runs cloudsql-proxy to name it with --allow-uid or --allow-gid"
        }
        Stranger::Address(_) => "ask who runs cloudsql-proxy to name its network with --allow-from",
    };
    // One reason for all of them, so that many strangers do not fill the log.
    let kind = Refusal::new(Code::CallerRefused, "a caller was turned away", hint);
    debug!(%stranger, "caller turned away");
    if let Some(repeated) = served.repeats.is_worth_telling(&kind) {
        warn!(
            target: SESSION,
            code = %kind.code,
            reason = %stranger,
            hint,
            instance = served.label(),
            repeated,
            "session refused"
        );
    }
    let refusal = Refusal::new(Code::CallerRefused, stranger.to_string(), hint);
    refuse::tell(&mut app, &refusal, served.engine()).await;
}
