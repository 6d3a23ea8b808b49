//! The claims of an assertion, judged: pure, the time and the expected values are arguments.

use proto::admin::{SCOPE_ADMIN, SCOPE_CLOUD_PLATFORM, SCOPE_LOGIN};
use proto::claims::{Claims, JTI_LENGTH, MAX_LIFETIME};

use crate::clock::Seconds;
use crate::error::Rejection;
use crate::registry::Mode;

/// What Google's Python, Java and Node libraries write as the audience, whatever the key file says.
const GOOGLE_AUDIENCE: &str = "https://oauth2.googleapis.com/token";
/// Largest integer that every JSON library reads exactly: 2^53.
const MAX_TIME: Seconds = 9_007_199_254_740_992;

/// Where an assertion is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// At the token endpoint.
    Token,
    /// As the bearer of a request.
    Bearer,
}

/// What the claims must say.
pub(super) struct Expectation<'a> {
    /// Where the assertion is shown.
    pub(super) purpose: Use,
    /// How strict the account is.
    pub(super) mode: Mode,
    /// The account whose key signed it.
    pub(super) account: &'a str,
    /// Our token endpoint.
    pub(super) token_url: &'a str,
    /// The time.
    pub(super) now: Seconds,
    /// How far clocks may differ.
    pub(super) leeway: Seconds,
}

/// What a proof may be used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes {
    /// The API.
    pub(crate) api: bool,
    /// A passwordless login at a database.
    pub(crate) login: bool,
}

impl Scopes {
    /// The scopes that we know among those asked for.
    pub(crate) fn granted(asked: &str) -> Self {
        asked
            .split(' ')
            .fold(Self::default(), |granted, scope| match scope {
                SCOPE_ADMIN => Self {
                    api: true,
                    ..granted
                },
                SCOPE_LOGIN => Self {
                    login: true,
                    ..granted
                },
                SCOPE_CLOUD_PLATFORM => Self {
                    api: true,
                    login: true,
                },
                _ => granted,
            })
    }

    /// As [`Scopes::granted`] reads them.
    pub(super) fn text(self) -> String {
        let api = self.api.then_some(SCOPE_ADMIN);
        let login = self.login.then_some(SCOPE_LOGIN);
        api.into_iter().chain(login).collect::<Vec<_>>().join(" ")
    }
}

/// The scopes that an assertion asks for. Our own client need not ask: it wants the API.
pub(super) fn scopes(claims: &Claims, mode: Mode) -> Result<Scopes, Rejection> {
    let scopes = match (&claims.scope, mode) {
        (Some(asked), _) => Scopes::granted(asked),
        (None, Mode::Strict) => Scopes {
            api: true,
            login: false,
        },
        (None, Mode::Compat) => Scopes::default(),
    };
    if scopes == Scopes::default() {
        return Err(Rejection::Claim(format!(
            "its scope names none of {SCOPE_ADMIN}, {SCOPE_LOGIN}, {SCOPE_CLOUD_PLATFORM}"
        )));
    }
    Ok(scopes)
}

/// Judges the claims of an assertion whose signature is good.
pub(super) fn check(claims: &Claims, expected: &Expectation<'_>) -> Result<(), Rejection> {
    check_names(claims, expected)?;
    check_audience(claims.aud.as_deref(), expected)?;
    check_times(claims, expected)?;
    if expected.mode == Mode::Strict {
        let jti = claims.jti.as_deref().unwrap_or_default();
        if !JTI_LENGTH.contains(&jti.len()) || !jti.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(refuse("its jti must be 16 to 128 printable characters"));
        }
    }
    Ok(())
}

fn check_names(claims: &Claims, expected: &Expectation<'_>) -> Result<(), Rejection> {
    let sub = match (&claims.sub, expected.mode) {
        (Some(sub), _) => sub,
        (None, Mode::Compat) => &claims.iss,
        (None, Mode::Strict) => return Err(refuse("it has no sub")),
    };
    if claims.iss != expected.account || sub != expected.account {
        return Err(refuse("its iss and sub must both be the service account"));
    }
    Ok(())
}

fn check_audience(aud: Option<&str>, expected: &Expectation<'_>) -> Result<(), Rejection> {
    let own = aud == Some(expected.token_url);
    let accepted = match (expected.mode, expected.purpose) {
        (Mode::Strict, _) => own,
        (Mode::Compat, Use::Token) => own || aud == Some(GOOGLE_AUDIENCE),
        (Mode::Compat, Use::Bearer) => own || aud.unwrap_or_default().is_empty(),
    };
    if accepted {
        return Ok(());
    }
    Err(Rejection::Claim(format!(
        "its aud must be {} (is the key file from another CA, or older than a move of this one?)",
        expected.token_url
    )))
}

fn check_times(claims: &Claims, expected: &Expectation<'_>) -> Result<(), Rejection> {
    let (now, leeway) = (expected.now, expected.leeway);
    let times = [Some(claims.iat), Some(claims.exp), claims.nbf];
    if times
        .into_iter()
        .flatten()
        .any(|time| !(0..=MAX_TIME).contains(&time))
    {
        return Err(refuse("a time in it is not one"));
    }
    let ahead = |claim, by| Rejection::Clock {
        claim,
        by,
        direction: "ahead of",
        now,
    };
    if claims.exp <= claims.iat {
        return Err(refuse("its exp is not after its iat"));
    }
    if claims.exp - claims.iat > MAX_LIFETIME {
        return Err(Rejection::Claim(format!(
            "it lives longer than {MAX_LIFETIME} s (exp - iat)"
        )));
    }
    if claims.iat > now + leeway {
        return Err(ahead("iat", claims.iat - now));
    }
    if let Some(nbf) = claims.nbf.filter(|nbf| *nbf > now + leeway) {
        return Err(ahead("nbf", nbf - now));
    }
    if claims.exp > now + MAX_LIFETIME + leeway {
        return Err(ahead("exp", claims.exp - now));
    }
    if claims.exp <= now - leeway {
        return Err(Rejection::Clock {
            claim: "exp",
            by: now - claims.exp,
            direction: "behind",
            now,
        });
    }
    Ok(())
}

fn refuse(reason: &str) -> Rejection {
    Rejection::Claim(reason.to_owned())
}

#[cfg(test)]
mod tests;
