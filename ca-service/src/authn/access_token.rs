//! Access tokens: a few facts, sealed by AES-256-GCM under a key that only this CA has. Opaque to everybody else.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{Principal, TOKEN_LIFETIME};
use crate::clock::Seconds;
use crate::error::{Error, Result};
use crate::registry::{NewAuthority, Profile};
use crate::store::{Store, random_id};
use crate::vault::{Label, Vault};

/// What a token begins with, so that people and leak scanners recognise one. Has no dot: that tells it from a JWT.
const PREFIX: &str = "csqlat_";
/// Longest token that is looked at.
const MAX_LENGTH: usize = 2048;
const KEY_LENGTH: usize = 32;

/// Seals and opens access tokens.
pub(crate) struct AccessTokens {
    sealer: Vault,
    about: Vec<u8>,
}

/// What a token holds.
#[derive(Serialize, Deserialize)]
pub(super) struct Sealed {
    /// The account's row.
    pub(super) account: String,
    /// The key that the account signed with.
    pub(super) kid: String,
    /// What it may be used for.
    pub(super) scopes: String,
    /// The public key that it may have certified.
    pub(super) cnf: Option<String>,
    /// When it ends.
    pub(super) exp: Seconds,
}

/// Makes the key that seals tokens.
pub(crate) fn new_token_key(vault: &Vault) -> Result<NewAuthority> {
    let id = random_id()?;
    let mut key = zeroize::Zeroizing::new([0_u8; KEY_LENGTH]);
    aws_lc_rs::rand::fill(key.as_mut()).map_err(|_| Error::Crypto("no random numbers"))?;
    let wrapped_key = vault.wrap(&label(&id), key.as_ref())?;
    Ok(NewAuthority {
        id,
        purpose: "token",
        certificate: String::new(),
        spki_sha256: String::new(),
        wrapped_key,
        not_after: 0,
    })
}

fn label(id: &str) -> Label<'_> {
    Label {
        owner: "service",
        key_id: id,
        version: 1,
    }
}

impl AccessTokens {
    /// Opens the sealing key of the store.
    pub(crate) async fn open_key(
        store: &Store,
        vault: &Vault,
        profile: &Profile,
    ) -> Result<Arc<Self>> {
        let row: Option<(String, Vec<u8>)> =
            sqlx::query_as("SELECT id, wrapped_key FROM authorities WHERE purpose = 'token'")
                .fetch_optional(&store.read())
                .await?;
        let (id, wrapped) =
            row.ok_or_else(|| Error::Vault("the store has no key that seals tokens".to_owned()))?;
        let sealer = vault.sealer(&label(&id), &wrapped)?;
        let about = format!("csql-token\0{}", profile.ca_id).into_bytes();
        Ok(Arc::new(Self { sealer, about }))
    }

    /// A new token.
    pub(super) fn seal(&self, principal: &Principal, now: Seconds) -> Result<String> {
        let sealed = Sealed {
            account: principal.account.id.clone(),
            kid: principal.kid.clone(),
            scopes: principal.scopes.text(),
            cnf: principal.confirmation.clone(),
            exp: now + TOKEN_LIFETIME,
        };
        let json = serde_json::to_vec(&sealed).map_err(|_| Error::Crypto("sealing failed"))?;
        let sealed = self.sealer.seal(&self.about, &json)?;
        Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// What a token holds, unless it is not ours or has expired.
    pub(super) fn open(&self, token: &str, now: Seconds) -> Option<Sealed> {
        let body = token
            .strip_prefix(PREFIX)
            .filter(|body| body.len() <= MAX_LENGTH)?;
        let sealed = URL_SAFE_NO_PAD.decode(body).ok()?;
        let json = self.sealer.unseal(&self.about, &sealed)?;
        let sealed: Sealed = serde_json::from_slice(&json).ok()?;
        (now < sealed.exp).then_some(sealed)
    }
}
