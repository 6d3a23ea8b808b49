//! What is told of a session as a trace.

use std::time::Duration;

use proto::Refusal;
use tokio::time::Instant;
use transport::socket::Peer;
use transport::traces::{Leg, Trace};
use transport::tunnel::Ended;

use super::Served;
use crate::legs::Legs;

/// What is known of a session so far, if it is one of those that are told of.
pub(super) struct Told(Option<Box<Known>>);

struct Known {
    session: String,
    peer: Peer,
    begun: Instant,
    legs: Vec<Leg>,
    end: Vec<(&'static str, String)>,
    error: Option<String>,
}

impl Told {
    pub(super) fn of(served: &Served, session: &str, peer: Peer, begun: Instant) -> Self {
        let traces = served.traces.as_ref();
        let wanted = traces.filter(|traces| traces.is_wanted(session));
        Self(wanted.map(|_| {
            Box::new(Known {
                session: session.to_owned(),
                peer,
                begun,
                legs: Vec::new(),
                end: Vec::new(),
                error: None,
            })
        }))
    }

    /// The tunnel stands: each leg began where the one before ended. What took no time was not gone.
    pub(super) fn opened(&mut self, legs: &Legs) {
        let Some(known) = &mut self.0 else {
            return;
        };
        let mut after = Duration::ZERO;
        for (name, took) in legs.all() {
            if !took.is_zero() {
                known.legs.push(Leg { name, after, took });
            }
            after = after.saturating_add(took);
        }
    }

    pub(super) fn ended(&mut self, ended: &Ended) {
        if let Some(known) = &mut self.0 {
            known.end = vec![
                ("ended_by", ended.by.as_str().to_owned()),
                ("bytes.up", ended.up.to_string()),
                ("bytes.down", ended.down.to_string()),
            ];
        }
    }

    pub(super) fn refused(&mut self, refusal: &Refusal) {
        if let Some(known) = &mut self.0 {
            known.error = Some(format!("{}: {}", refusal.code, refusal.reason));
        }
    }

    /// To the collector.
    pub(super) fn tell(self, served: &Served) {
        let (Some(known), Some(traces)) = (self.0, &served.traces) else {
            return;
        };
        let mut attributes = vec![
            ("cloudsql.instance", served.label()),
            ("db.system", served.engine().to_string()),
            ("peer", known.peer.to_string()),
        ];
        attributes.extend(known.end);
        traces.tell(Trace {
            session: known.session,
            age: known.begun.elapsed(),
            within: None,
            legs: known.legs,
            attributes,
            error: known.error,
        });
    }
}
