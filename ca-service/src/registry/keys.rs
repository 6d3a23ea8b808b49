//! The public keys that a service account's assertions are verified with.

use serde_json::{Value, json};
use sqlx::FromRow;

use super::{Account, Registry};
use crate::clock::Seconds;
use crate::error::{Error, Result};
use crate::store::thumbprint;

/// Most keys of one account: assertions without `kid` try all of them.
const MAX_KEYS: usize = 10;

/// How an account's key signs. The one named here is the only one that is accepted for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// A key that verifies assertions.
#[derive(Clone, Debug)]
pub(crate) struct AccountKey {
    /// Its id: the `kid` of assertions, `private_key_id` of key files.
    pub(crate) kid: String,
    /// How it signs.
    pub(crate) algorithm: Algorithm,
    /// DER `SubjectPublicKeyInfo`.
    pub(crate) public_key: Vec<u8>,
    /// Whether it counts.
    pub(crate) enabled: bool,
    /// When it stops counting.
    pub(crate) expires_at: Option<Seconds>,
    /// When it was made.
    pub(crate) created_at: Seconds,
}

/// A key to be registered.
pub(crate) struct NewKey {
    /// Its id.
    pub(crate) kid: String,
    /// How it signs.
    pub(crate) algorithm: Algorithm,
    /// DER `SubjectPublicKeyInfo`.
    pub(crate) public_key: Vec<u8>,
    /// When it stops counting.
    pub(crate) expires_at: Option<Seconds>,
}

#[derive(FromRow)]
struct Row {
    kid: String,
    algorithm: String,
    public_key: Vec<u8>,
    enabled: i64,
    expires_at: Option<Seconds>,
    created_at: Seconds,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// Its name in JOSE (RFC 7518 3.1, RFC 8037).
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name, if we accept it at all.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

impl AccountKey {
    /// Whether it counts at that time.
    pub(crate) fn is_usable(&self, now: Seconds) -> bool {
        self.enabled && self.expires_at.is_none_or(|end| now < end)
    }
}

impl TryFrom<Row> for AccountKey {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let algorithm = Algorithm::named(&row.algorithm)
            .ok_or(Error::Crypto("a stored key has an unknown algorithm"))?;
        Ok(Self {
            kid: row.kid,
            algorithm,
            public_key: row.public_key,
            enabled: row.enabled != 0,
            expires_at: row.expires_at,
            created_at: row.created_at,
        })
    }
}

impl Registry {
    /// An account's keys, oldest first, those that do not count included.
    pub(crate) async fn keys(&self, account: &Account) -> Result<Vec<AccountKey>> {
        self.keys_of(&account.id).await
    }

    /// The keys of the account of that row; none where there is no such row.
    pub(crate) async fn keys_of(&self, account_id: &str) -> Result<Vec<AccountKey>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT kid, algorithm, public_key, enabled, expires_at, created_at
             FROM account_keys WHERE account_id = $1 ORDER BY created_at, kid",
        )
        .bind(account_id)
        .fetch_all(&self.store.read())
        .await?;
        rows.into_iter().map(AccountKey::try_from).collect()
    }

    /// Registers a key that was made for this account.
    pub(crate) async fn create_key(&self, account: &Account, new: &NewKey) -> Result<()> {
        if self.keys(account).await?.len() >= MAX_KEYS {
            return Err(Error::Invalid(format!(
                "{} has {MAX_KEYS} keys already; delete one with `cloudsql-ca keys delete`",
                account.name
            )));
        }
        let mut write = self.store.write().await?;
        sqlx::query(
            "INSERT INTO account_keys
             (kid, account_id, algorithm, public_key, spki_sha256, enabled, expires_at, created_at)
             VALUES ($1, $2, $3, $4, $5, 1, $6, $7)",
        )
        .bind(&new.kid)
        .bind(&account.id)
        .bind(new.algorithm.name())
        .bind(&new.public_key)
        .bind(thumbprint(&new.public_key))
        .bind(new.expires_at)
        .bind(self.now())
        .execute(&mut *write)
        .await?;
        let detail = json!({ "kid": new.kid, "algorithm": new.algorithm.name() });
        self.audit_account(&mut write, "key.create", account, Value::Null, detail)
            .await?;
        self.store.commit_change(write).await
    }

    /// Deletes a key. The very next assertion signed with it is refused.
    pub(crate) async fn delete_key(&self, account: &Account, kid: &str) -> Result<()> {
        let mut write = self.store.write().await?;
        let deleted = sqlx::query("DELETE FROM account_keys WHERE account_id = $1 AND kid = $2")
            .bind(&account.id)
            .bind(kid)
            .execute(&mut *write)
            .await?;
        if deleted.rows_affected() == 0 {
            return Err(Error::Missing {
                kind: "key",
                name: kid.to_owned(),
                list: "keys list",
            });
        }
        let old = json!({ "kid": kid });
        self.audit_account(&mut write, "key.delete", account, old, Value::Null)
            .await?;
        self.store.commit_change(write).await
    }

    /// Whether a public key is one that must never be certified: a CA's, a server's or an account's own.
    pub(crate) async fn is_reserved_key(&self, spki: &[u8], for_client: bool) -> Result<bool> {
        // A server renews with the key that it has; a client may not take it, nor the other way round.
        let others = if for_client {
            ["server", "https"]
        } else {
            ["client", "https"]
        };
        let uses: i64 = sqlx::query_scalar(
            "SELECT (SELECT COUNT(*) FROM authorities WHERE spki_sha256 = $1)
                  + (SELECT COUNT(*) FROM account_keys WHERE spki_sha256 = $1)
                  + (SELECT COUNT(*) FROM certificates WHERE spki_sha256 = $1 AND purpose IN ($2, $3))",
        )
        .bind(thumbprint(spki))
        .bind(others[0])
        .bind(others[1])
        .fetch_one(&self.store.read())
        .await?;
        Ok(uses > 0)
    }
}
