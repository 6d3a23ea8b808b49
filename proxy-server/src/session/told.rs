//! What a collector of traces is told of a session.

use std::sync::OnceLock;

use proto::frame::Hello;
use tokio::time::Instant;
use transport::socket::Peer;
use transport::traces::{Trace, Traces};
use transport::tunnel::Ended;

use crate::error::SessionError;
use crate::legs::Legs;

/// The client's leg in which our part of a session is.
const WITHIN: (&str, &str) = ("cloudsql-proxy", "opening");

/// What is known of a session from its beginning.
pub(super) struct Told {
    traces: Traces,
    instance: String,
    principal: Option<String>,
    peer: Peer,
    /// Its name, and whether its client gave it that.
    session: OnceLock<(String, bool)>,
}

impl Told {
    /// Nothing where there is no collector.
    pub(super) fn of(
        traces: Option<&Traces>,
        instance: &impl ToString,
        principal: Option<&dyn std::fmt::Display>,
        peer: Peer,
    ) -> Option<Box<Self>> {
        let traces = traces?.clone();
        Some(Box::new(Self {
            traces,
            instance: instance.to_string(),
            principal: principal.map(ToString::to_string),
            peer,
            session: OnceLock::new(),
        }))
    }

    /// The session's name in the log, which may be its client's.
    pub(super) fn named(&self, id: &str, hello: Option<&Hello>) {
        let is_clients = hello.is_some_and(|hello| hello.session_id == id);
        self.session.get_or_init(|| (id.to_owned(), is_clients));
    }

    /// A session that began then has ended, in one way or the other.
    pub(super) fn tell(&self, begun: Instant, legs: &Legs, end: Result<&Ended, &SessionError>) {
        let Some((session, is_clients)) = self.session.get() else {
            return;
        };
        if !self.traces.is_wanted(session) {
            return;
        }
        let mut attributes = vec![
            ("cloudsql.instance", self.instance.clone()),
            ("peer", self.peer.to_string()),
        ];
        if let Some(principal) = &self.principal {
            attributes.push(("principal", principal.clone()));
        }
        if let Ok(ended) = end {
            attributes.push(("ended_by", ended.by.as_str().to_owned()));
            attributes.push(("bytes.up", ended.up.to_string()));
            attributes.push(("bytes.down", ended.down.to_string()));
        }
        self.traces.tell(Trace {
            session: session.clone(),
            age: begun.elapsed(),
            within: is_clients.then_some(WITHIN),
            legs: legs.since_then(begun),
            attributes,
            error: end.err().map(|error| match error.refusal() {
                Some(refusal) => format!("{}: {}", refusal.code, refusal.reason),
                None => error.kind().to_owned(),
            }),
        });
    }
}
