//! An assertion is good once: its `jti` is remembered until it has expired.

use proto::claims::Claims;

use crate::clock::Seconds;
use crate::error::{Rejection, Result};
use crate::store::{Store, is_duplicate};

/// Remembers an assertion until then; refuses one that is remembered already. The store decides between two at once.
pub(super) async fn consume(store: &Store, claims: &Claims, until: Seconds) -> Result<()> {
    let mut write = store.write().await?;
    let inserted =
        sqlx::query("INSERT INTO used_assertions (issuer, jti, expires_at) VALUES ($1, $2, $3)")
            .bind(&claims.iss)
            .bind(claims.jti.as_deref().unwrap_or_default())
            .bind(until)
            .execute(&mut *write)
            .await;
    match inserted {
        Err(error) if is_duplicate(&error) => {
            // An answer, not a failure of the store: its connection is kept.
            write.rollback().await?;
            Err(Rejection::Replayed.into())
        }
        Err(error) => Err(error.into()),
        Ok(_) => write.commit().await,
    }
}

/// Forgets what has expired; returns how many are left.
pub(super) async fn purge(store: &Store, now: Seconds) -> Result<i64> {
    let mut write = store.write().await?;
    sqlx::query("DELETE FROM used_assertions WHERE expires_at < $1")
        .bind(now)
        .execute(&mut *write)
        .await?;
    let left = sqlx::query_scalar("SELECT COUNT(*) FROM used_assertions")
        .fetch_one(&mut *write)
        .await?;
    write.commit().await?;
    Ok(left)
}
