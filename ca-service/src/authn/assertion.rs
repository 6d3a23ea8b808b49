//! The shape of an assertion: three parts, a header that we understand, claims of the right types.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use proto::claims::Claims;
use serde_json::Value;

use crate::error::Rejection;
use crate::registry::Algorithm;
use crate::strict_json;

/// Longest assertion.
const MAX_LENGTH: usize = 8 * 1024;
/// Ways of bringing a key along, and extensions: none is understood, so their presence refuses.
const REFUSED_HEADERS: [&str; 5] = ["jwk", "jku", "x5u", "x5c", "crit"];

/// An assertion that has the right shape. Nothing in it is believed yet.
pub(super) struct Assertion<'a> {
    /// Its header.
    pub(super) header: Header,
    /// Its claims.
    pub(super) claims: Claims,
    /// The first two parts: what is signed.
    signed: &'a str,
    /// The third part.
    signature: &'a str,
}

/// What we read of a header.
pub(super) struct Header {
    /// How it says it is signed.
    pub(super) algorithm: Algorithm,
    /// The key that it says it is signed with.
    pub(super) kid: Option<String>,
}

impl<'a> Assertion<'a> {
    /// Reads an assertion, without a look at any key.
    pub(super) fn parse(token: &'a str) -> Result<Self, Rejection> {
        if token.len() > MAX_LENGTH {
            return Err(Rejection::Malformed("it is longer than 8 KiB"));
        }
        let shape = Rejection::Malformed("it is not three parts of base64url without padding");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(|| shape.clone())?;
        let (header, claims) = signed.split_once('.').ok_or_else(|| shape.clone())?;
        if claims.contains('.') || URL_SAFE_NO_PAD.decode(signature).is_err() {
            return Err(shape);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| shape.clone());
        Ok(Self {
            header: Header::parse(&decode(header)?)?,
            claims: parse_claims(&decode(claims)?)?,
            signed,
            signature,
        })
    }

    /// Whether that key made its signature.
    pub(super) fn is_signed_by(&self, key: &DecodingKey, algorithm: Algorithm) -> bool {
        let algorithm = match algorithm {
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        };
        jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm)
            .unwrap_or(false)
    }
}

impl Header {
    fn parse(json: &[u8]) -> Result<Self, Rejection> {
        let header = object(json, "its header is not a JSON object without repetitions")?;
        if REFUSED_HEADERS
            .iter()
            .any(|name| header.get(name).is_some())
        {
            return Err(Rejection::Malformed(
                "its header has one of jwk, jku, x5u, x5c, crit, which are not accepted",
            ));
        }
        let typ = header.get("typ");
        if !typ.is_none_or(|typ| {
            typ.as_str()
                .is_some_and(|typ| typ.eq_ignore_ascii_case("JWT"))
        }) {
            return Err(Rejection::Malformed("its header's typ is not JWT"));
        }
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(Rejection::Malformed("its header's kid is not a text")),
        };
        let algorithm = header
            .get("alg")
            .and_then(Value::as_str)
            .and_then(Algorithm::named);
        let algorithm = algorithm.ok_or(Rejection::Malformed(
            "its algorithm is none of RS256, ES256, EdDSA",
        ))?;
        Ok(Self { algorithm, kid })
    }
}

fn parse_claims(json: &[u8]) -> Result<Claims, Rejection> {
    let claims = object(json, "its claims are not a JSON object without repetitions")?;
    serde_json::from_value(claims)
        .map_err(|_| Rejection::Malformed("a claim is missing or of a wrong type"))
}

fn object(json: &[u8], otherwise: &'static str) -> Result<Value, Rejection> {
    let value = strict_json::parse(json).map_err(|_| Rejection::Malformed(otherwise))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(Rejection::Malformed(otherwise))
    }
}
