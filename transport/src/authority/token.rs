//! Bearer tokens: got when needed, kept while fresh, asked for once however many wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, SystemTime};

use proto::admin::{JWT_BEARER, OAuthError, TokenResponse};
use proto::claims::Confirmation;
use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use tokio::sync::Mutex;

use super::credentials::{AuthorizedUser, Credentials, ServiceAccount};
use super::error::{AuthorityError, Failure};
use super::http::{Answer, Http};
use super::skew::SkewMeter;
use super::{GOOGLE_UNIVERSE, admin_api, assertion};

/// A token that ends within this time is not used for a new call.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// Life of a bearer that we sign ourselves.
const SELF_SIGNED_LIFE: Duration = Duration::from_secs(3600);
/// A clock that is further off than this when an assertion was signed is worth a second one.
const WORTH_SIGNING_AGAIN: Duration = Duration::from_secs(10);
/// Where the metadata server hands out tokens of the default service account, and the header that it demands.
const METADATA_TOKEN: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");

/// Where tokens come from and the one that is fresh.
pub(super) struct Tokens {
    credentials: Credentials,
    http: Http,
    skew: Arc<SkewMeter>,
    binding: StdMutex<Option<Confirmation>>,
    /// Held while a token is being got, so that one attempt serves all who wait.
    state: Mutex<State>,
    /// How many attempts have ended: who waited through one shares its failure.
    ended: AtomicU64,
}

#[derive(Default)]
enum State {
    #[default]
    None,
    Fresh(Token),
    Failed(AuthorityError),
}

/// A bearer and how long it lives; without an end when nobody told.
type Life = (SecretString, Option<Duration>);

struct Token {
    bearer: SecretString,
    end: Option<SystemTime>,
    binding: Option<Confirmation>,
}

/// A form of the token endpoint.
#[derive(Serialize)]
#[serde(untagged)]
enum Form<'a> {
    Assertion {
        grant_type: &'static str,
        assertion: String,
    },
    Refresh {
        grant_type: &'static str,
        client_id: &'a str,
        client_secret: &'a str,
        refresh_token: &'a str,
    },
}

impl Tokens {
    pub(super) fn new(credentials: Credentials, http: Http, skew: Arc<SkewMeter>) -> Self {
        Self {
            credentials,
            http,
            skew,
            binding: StdMutex::default(),
            state: Mutex::default(),
            ended: AtomicU64::new(0),
        }
    }

    /// Binds the tokens to come to this key.
    pub(super) fn bind(&self, spki: &[u8]) {
        *self.lock_binding() = Some(Confirmation::of_spki(spki));
    }

    /// A token that is good for a while. Callers that come while one is being got share it, and its failure too.
    pub(super) async fn bearer(&self) -> Result<SecretString, AuthorityError> {
        let binding = self.lock_binding().clone();
        let seen = self.ended.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        let ended_meanwhile = self.ended.load(Ordering::Acquire) != seen;
        match &*state {
            State::Fresh(token) if token.binding == binding && self.is_fresh(token) => {
                return Ok(token.bearer.clone());
            }
            State::Failed(error) if ended_meanwhile => return Err(error.clone()),
            State::Fresh(_) | State::Failed(_) | State::None => {}
        }
        let got = self.get(binding).await;
        self.ended.fetch_add(1, Ordering::AcqRel);
        match got {
            Ok(token) => {
                let bearer = token.bearer.clone();
                *state = State::Fresh(token);
                Ok(bearer)
            }
            Err(error) => {
                *state = State::Failed(error.clone());
                Err(error)
            }
        }
    }

    /// The CA does not take this token (any more): the next call gets another. `false` when there is no other.
    pub(super) async fn refused(&self, bearer: &SecretString) -> bool {
        if matches!(self.credentials, Credentials::StaticToken(_)) {
            return false;
        }
        let mut state = self.state.lock().await;
        if let State::Fresh(token) = &*state
            && token.bearer.expose_secret() == bearer.expose_secret()
        {
            *state = State::None;
        }
        true
    }

    fn is_fresh(&self, token: &Token) -> bool {
        let soon = self.skew.now() + MARGIN;
        token.end.is_none_or(|end| end > soon)
    }

    fn lock_binding(&self) -> std::sync::MutexGuard<'_, Option<Confirmation>> {
        self.binding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn get(&self, binding: Option<Confirmation>) -> Result<Token, AuthorityError> {
        let (bearer, life) = match &self.credentials {
            Credentials::StaticToken(token) => (token.clone(), None),
            Credentials::MetadataServer { host } => self.of_metadata_server(host).await?,
            Credentials::AuthorizedUser(user) => self.of_user(user).await?,
            Credentials::KeyFile(account)
                if !account.is_ours() && account.universe() != GOOGLE_UNIVERSE =>
            {
                self.self_signed(account)?
            }
            Credentials::KeyFile(account) => self.of_account(account, binding.as_ref()).await?,
        };
        let end = life.map(|life| self.skew.now() + life);
        Ok(Token {
            bearer,
            end,
            binding,
        })
    }

    fn self_signed(&self, account: &ServiceAccount) -> Result<Life, AuthorityError> {
        let bearer = assertion::as_bearer(account, self.skew.now())
            .ok_or_else(|| self.cannot_sign(&account.file.token_uri))?;
        Ok((bearer.into(), Some(SELF_SIGNED_LIFE)))
    }

    /// Signs with the CA's time. When that was not known yet, and turns out to be another, signs once more.
    async fn of_account(
        &self,
        account: &ServiceAccount,
        binding: Option<&Confirmation>,
    ) -> Result<Life, AuthorityError> {
        let signed_at = self.skew.now();
        match self.exchange(account, binding).await {
            Err(error) if matches!(error.failure, Failure::Unauthenticated(_)) => {
                let off = distance(signed_at, self.skew.now());
                if off < WORTH_SIGNING_AGAIN {
                    return Err(error);
                }
                self.exchange(account, binding).await
            }
            done => done,
        }
    }

    async fn exchange(
        &self,
        account: &ServiceAccount,
        binding: Option<&Confirmation>,
    ) -> Result<Life, AuthorityError> {
        let url = &account.file.token_uri;
        self.post(url, || {
            let assertion = assertion::for_token(account, self.skew.now(), binding)
                .ok_or_else(|| self.cannot_sign(url))?;
            Ok(Form::Assertion {
                grant_type: JWT_BEARER,
                assertion,
            })
        })
        .await
    }

    async fn of_user(&self, user: &AuthorizedUser) -> Result<Life, AuthorityError> {
        self.post(user.token_uri(), || {
            Ok(Form::Refresh {
                grant_type: "refresh_token",
                client_id: &user.client_id,
                client_secret: user.client_secret.expose_secret(),
                refresh_token: user.refresh_token.expose_secret(),
            })
        })
        .await
    }

    async fn of_metadata_server(&self, host: &str) -> Result<Life, AuthorityError> {
        let url = format!("http://{host}{METADATA_TOKEN}");
        let answer = self
            .http
            .send_direct(&url, |client| client.get(&url).header(FLAVOR.0, FLAVOR.1))
            .await;
        answer
            .and_then(|answer| self.token(&url, &answer))
            .map_err(|error| {
                let problem = format!("the metadata server at {host}: {}", error.failure);
                self.http.error(&url, Failure::NoCredentials(problem))
            })
    }

    async fn post<'a>(
        &self,
        url: &str,
        form: impl Fn() -> Result<Form<'a>, AuthorityError>,
    ) -> Result<Life, AuthorityError> {
        let request =
            || -> Result<RequestBuilder, AuthorityError> { Ok(self.http.post(url).form(&form()?)) };
        let answer = self.http.send(url, super::http::MAX_BODY, request).await?;
        self.token(url, &answer)
    }

    fn token(&self, url: &str, answer: &Answer) -> Result<Life, AuthorityError> {
        if !answer.status.is_success() {
            return Err(self.http.error(url, refused(answer)));
        }
        let token: TokenResponse = serde_json::from_slice(&answer.body).map_err(|_| {
            let problem = "the answer of the token endpoint is no token".to_owned();
            self.http.error(url, Failure::Malformed(problem))
        })?;
        let life = Duration::from_secs(token.expires_in);
        Ok((token.access_token.into(), Some(life)))
    }

    fn cannot_sign(&self, url: &str) -> AuthorityError {
        let problem = "the key file's private key does not sign".to_owned();
        self.http.error(url, Failure::Settings(problem))
    }
}

/// The token endpoint's errors are OAuth's, where it is one; else those of the API.
fn refused(answer: &Answer) -> Failure {
    match serde_json::from_slice::<OAuthError>(&answer.body) {
        Ok(error)
            if answer.status.is_client_error()
                && answer.status != StatusCode::TOO_MANY_REQUESTS =>
        {
            let text = match error.error_description.as_str() {
                "" => error.error,
                description => description.to_owned(),
            };
            Failure::Unauthenticated(admin_api::shown(&text))
        }
        _ => admin_api::failure(answer),
    }
}

fn distance(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b).unwrap_or_else(|error| error.duration())
}
