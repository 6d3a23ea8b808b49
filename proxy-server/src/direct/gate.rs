//! Who shows a certificate on a direct listener is judged like a tunnel's client.

use std::sync::{Mutex, PoisonError};

use proto::{AccountName, Refusal};
use transport::tls::ClientIdentity;

use super::Direct;
use crate::admission::{self, Asking};
use crate::limits::Counted;
use crate::login::Gate;
use crate::session::Record;

/// The gate of one session, with the room that it holds.
pub(super) struct Door<'a> {
    direct: &'a Direct,
    record: &'a Record,
    account: Mutex<Option<Counted<AccountName>>>,
}

impl<'a> Door<'a> {
    pub(super) const fn new(direct: &'a Direct, record: &'a Record) -> Self {
        Self {
            direct,
            record,
            account: Mutex::new(None),
        }
    }
}

impl Gate for Door<'_> {
    /// Who shows none is nobody: where that is allowed, only the database's passwords stand before it.
    fn admit(
        &self,
        client: Option<&ClientIdentity>,
    ) -> Result<(Vec<String>, Vec<String>), Refusal> {
        let Some(client) = client else {
            return Ok((vec![], vec![]));
        };
        let (agent, instance) = (&self.direct.agent, &self.direct.instance);
        self.record.identified(client);
        let snapshot = instance.snapshot();
        let asking = Asking {
            identity: &client.identity,
            not_after: client.not_after,
            hello: None,
        };
        let now = (agent.served.clock)();
        let admitted = admission::decide(asking, instance.standing(&snapshot, now), now)?;
        let room = agent.limits.account(&client.identity.account)?;
        *self.account.lock().unwrap_or_else(PoisonError::into_inner) = Some(room);
        Ok((admitted.grant.db_users, admitted.grant.schemas))
    }
}
