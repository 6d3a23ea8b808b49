//! Assertions (RFC 7523): what a service account signs to get a token.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proto::admin::SCOPE_ADMIN;
use proto::claims::{Claims, Confirmation};

use super::credentials::{CredentialsError, ServiceAccount};

/// Life of an assertion to our own CA, in seconds: it is used at once.
const OUR_LIFETIME: i64 = 300;
/// Life and back-dating of an assertion to Google, in seconds, as Google's Go library has them.
const GOOGLE_LIFETIME: i64 = 3600;
const GOOGLE_BACKDATING: i64 = 10;
/// Random bytes of a `jti`.
const JTI_BYTES: usize = 16;

/// An RSA key that signs assertions. Implements no `Debug`: it is a secret.
pub(super) struct Signer {
    key: EncodingKey,
    header: Header,
}

impl Signer {
    /// Signs once, so that a key that cannot sign is found at start and not at the first connection.
    pub(super) fn new(pem: &str, key_id: &str) -> Result<Self, CredentialsError> {
        let key =
            EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| CredentialsError::BadKey)?;
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(key_id.to_owned()).filter(|id| !id.is_empty());
        let signer = Self { key, header };
        let trial = claims("trial", 0, 1);
        match signer.sign(&trial) {
            Some(_) => Ok(signer),
            None => Err(CredentialsError::BadKey),
        }
    }

    fn sign(&self, claims: &Claims) -> Option<String> {
        jsonwebtoken::encode(&self.header, claims, &self.key).ok()
    }
}

/// An assertion for the token endpoint. `binding` is the DER `SubjectPublicKeyInfo` of the key to be certified.
///
/// `None` when the system gives no random numbers or the key does not sign.
pub(super) fn for_token(
    account: &ServiceAccount,
    now: SystemTime,
    binding: Option<&Confirmation>,
) -> Option<String> {
    let email = &account.file.client_email;
    let now = seconds(now);
    let mut claims = if account.is_ours() {
        let mut ours = claims(email, now, now.checked_add(OUR_LIFETIME)?);
        ours.sub = Some(email.clone());
        ours.jti = Some(random_id()?);
        ours.cnf = binding.cloned();
        ours
    } else {
        google_claims(email, now)
    };
    claims.aud = Some(account.file.token_uri.clone());
    account.signer.sign(&claims)
}

/// An assertion that is itself the bearer token, as Google's libraries make it for another universe.
pub(super) fn as_bearer(account: &ServiceAccount, now: SystemTime) -> Option<String> {
    let email = &account.file.client_email;
    let mut claims = google_claims(email, seconds(now));
    claims.sub = Some(email.clone());
    claims.aud = Some(String::new());
    account.signer.sign(&claims)
}

/// `iss`, `scope`, `iat`, `exp` and nothing else: what Google's Go library writes.
fn google_claims(email: &str, now: i64) -> Claims {
    let issued = now.saturating_sub(GOOGLE_BACKDATING);
    claims(email, issued, issued.saturating_add(GOOGLE_LIFETIME))
}

fn claims(email: &str, iat: i64, exp: i64) -> Claims {
    Claims {
        iss: email.to_owned(),
        sub: None,
        aud: None,
        scope: Some(SCOPE_ADMIN.to_owned()),
        iat,
        exp,
        nbf: None,
        jti: None,
        cnf: None,
    }
}

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}

fn random_id() -> Option<String> {
    let mut bytes = [0; JTI_BYTES];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}
