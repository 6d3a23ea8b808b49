//! Who is asking: an assertion at the token endpoint, an access token or an assertion as the bearer of a request.

mod access_token;
mod assertion;
mod bearer;
mod claims;
mod replay;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use proto::admin::TokenResponse;
use rustls_pki_types::pem::PemObject as _;
use tokio::time::Instant;

pub(crate) use access_token::{AccessTokens, new_token_key};
pub(crate) use bearer::from_header;
pub(crate) use claims::Scopes;

use crate::clock::Seconds;
use crate::error::{Error, Rejection, Result};
use crate::registry::{Account, AccountKey, Algorithm, Mode, Registry};
use assertion::Assertion;
use claims::{Expectation, Use};

/// How long an access token lives.
pub(crate) const TOKEN_LIFETIME: Seconds = 3600;

/// The public half of a key whose private half nobody has: verified against where there is no key, so that this
/// takes as long as where there is one.
const DECOY: &str = include_str!("authn/decoy.pem");

/// Refusals of proofs take a multiple of this: keys are one or several, and the store answers now faster, now slower.
const REFUSAL: Duration = Duration::from_millis(10);

/// DER of the decoy, in the form that stored keys have.
fn decoy() -> &'static [u8] {
    static DER: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let key = rustls_pki_types::SubjectPublicKeyInfoDer::from_pem_slice(DECOY.as_bytes());
        key.map(|key| key.to_vec()).unwrap_or_default()
    });
    &DER
}

/// Whoever asks, proved.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    /// The account.
    pub(crate) account: Account,
    /// The key that it signed with.
    pub(crate) kid: String,
    /// What it may use its proof for.
    pub(crate) scopes: Scopes,
    /// SHA-256 of the public key that it may have certified, if its proof is bound to one.
    pub(crate) confirmation: Option<String>,
}

/// Decides who is asking.
pub(crate) struct Authenticator {
    registry: Registry,
    tokens: Arc<AccessTokens>,
    leeway: Seconds,
}

impl Authenticator {
    /// An authenticator whose clock may differ from the caller's by `leeway`.
    pub(crate) fn new(registry: Registry, tokens: Arc<AccessTokens>, leeway: Seconds) -> Self {
        Self {
            registry,
            tokens,
            leeway,
        }
    }

    /// Takes an assertion and gives an access token for it (RFC 7523 2.1).
    pub(crate) async fn exchange(&self, assertion: &str) -> Result<(Principal, TokenResponse)> {
        let principal = self.prove(assertion, Use::Token).await?;
        let access_token = self.tokens.seal(&principal, self.registry.now())?;
        let expires_in = u64::try_from(TOKEN_LIFETIME).unwrap_or_default();
        let response = TokenResponse {
            access_token,
            token_type: "Bearer".to_owned(),
            expires_in,
        };
        Ok((principal, response))
    }

    /// Judges the bearer of a request: an access token of ours, or an assertion.
    pub(crate) async fn bearer(&self, bearer: &str) -> Result<Principal> {
        if bearer.contains('.') {
            self.prove(bearer, Use::Bearer).await
        } else {
            self.access_token(bearer).await
        }
    }

    /// Whether an account that was proved before may still be believed.
    pub(crate) async fn is_current(&self, principal: &Principal) -> Result<bool> {
        let account = self.registry.account_by_id(&principal.account.id).await?;
        let Some(account) = account.filter(|account| account.enabled) else {
            return Ok(false);
        };
        let keys = self.registry.keys(&account).await?;
        let now = self.registry.now();
        Ok(keys
            .iter()
            .any(|key| key.kid == principal.kid && key.is_usable(now)))
    }

    async fn access_token(&self, token: &str) -> Result<Principal> {
        let now = self.registry.now();
        let sealed = self.tokens.open(token, now).ok_or(Rejection::Token)?;
        let account = self.registry.account_by_id(&sealed.account).await?;
        let principal = Principal {
            account: account.ok_or(Rejection::Token)?,
            kid: sealed.kid,
            scopes: Scopes::granted(&sealed.scopes),
            confirmation: sealed.cnf,
        };
        if self.is_current(&principal).await? {
            Ok(principal)
        } else {
            Err(Rejection::Token.into())
        }
    }

    async fn prove(&self, token: &str, purpose: Use) -> Result<Principal> {
        let assertion = Assertion::parse(token)?;
        let (account, key) = self.signer_in_even_time(&assertion).await?;
        let profile = self.registry.profile().await?;
        let now = self.registry.now();
        let expectation = Expectation {
            purpose,
            mode: account.mode,
            account: account.name.as_str(),
            token_url: &profile.token_url(),
            now,
            leeway: self.leeway,
        };
        claims::check(&assertion.claims, &expectation)?;
        let scopes = claims::scopes(&assertion.claims, account.mode)?;
        if account.mode == Mode::Strict {
            let until = assertion.claims.exp + self.leeway;
            replay::consume(self.registry.store(), &assertion.claims, until).await?;
        }
        let confirmation = assertion.claims.cnf.map(|cnf| cnf.spki_sha256);
        Ok(Principal {
            account,
            kid: key.kid,
            scopes,
            confirmation,
        })
    }

    /// The account and the key that signed an assertion. Whatever is missing, the answer is the same.
    async fn signer(&self, assertion: &Assertion<'_>) -> Result<(Account, AccountKey)> {
        let account = self.registry.account(&assertion.claims.iss).await?;
        let account = account.filter(|account| account.enabled);
        // The same work for an account that there is not: the store is asked, and a signature verified.
        let id = account.as_ref().map_or("", |account| &account.id);
        let mode = account
            .as_ref()
            .map_or(Mode::Strict, |account| account.mode);
        let keys = self.candidates(id, mode, assertion).await?;
        if keys.is_empty() {
            // Its result does not matter: it is there for the time that it takes.
            assertion.is_signed_by(&DecodingKey::from_rsa_der(decoy()), Algorithm::Rs256);
        }
        let signer = keys
            .into_iter()
            .find(|key| assertion.is_signed_by(&verification_key(key), key.algorithm));
        match (account, signer) {
            (Some(account), Some(key)) => match key.expires_at {
                // Whoever signs with a key has it, so may be told about it.
                Some(at) if !key.is_usable(self.registry.now()) => {
                    Err(Rejection::ExpiredKey { kid: key.kid, at }.into())
                }
                _ => Ok((account, key)),
            },
            _ => Err(Rejection::Unproven.into()),
        }
    }

    /// The account and the key that signed an assertion; who is refused learns nothing from how long that took.
    async fn signer_in_even_time(
        &self,
        assertion: &Assertion<'_>,
    ) -> Result<(Account, AccountKey)> {
        let begun = Instant::now();
        let found = self.signer(assertion).await;
        if let Err(Error::Rejected(Rejection::Unproven)) = &found {
            let taken = begun.elapsed().as_millis() / REFUSAL.as_millis();
            let periods = u32::try_from(taken).unwrap_or(u32::MAX).saturating_add(1);
            tokio::time::sleep_until(begun + REFUSAL.saturating_mul(periods)).await;
        }
        found
    }

    /// The enabled keys that an assertion may be signed with, expired ones too: the one that it names; all, if it names
    /// none in compat mode.
    async fn candidates(
        &self,
        account_id: &str,
        mode: Mode,
        assertion: &Assertion<'_>,
    ) -> Result<Vec<AccountKey>> {
        let mut keys = self.registry.keys_of(account_id).await?;
        keys.retain(|key| {
            let named = match &assertion.header.kid {
                Some(kid) => key.kid == *kid,
                None => mode == Mode::Compat,
            };
            named && key.enabled && key.algorithm == assertion.header.algorithm
        });
        Ok(keys)
    }
}

fn verification_key(key: &AccountKey) -> DecodingKey {
    match key.algorithm {
        Algorithm::Rs256 => DecodingKey::from_rsa_der(&key.public_key),
        Algorithm::Es256 => DecodingKey::from_ec_der(&key.public_key),
        Algorithm::EdDsa => DecodingKey::from_ed_der(&key.public_key),
    }
}

/// Forgets the assertions that have expired; returns how many are still remembered.
pub(crate) async fn purge(registry: &Registry) -> Result<i64> {
    replay::purge(registry.store(), registry.now()).await
}
