//! The claims of an assertion (RFC 7523 3, RFC 7519 4.1), as our own client writes them and the CA reads them.

use serde::{Deserialize, Serialize};

/// Longest life of an assertion, `exp - iat`, in seconds.
pub const MAX_LIFETIME: i64 = 3600;
/// Fewest and most characters of a `jti`.
pub const JTI_LENGTH: std::ops::RangeInclusive<usize> = 16..=128;

/// Claims of an assertion. Unknown claims are ignored; wrong types do not parse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The account's name.
    pub iss: String,
    /// The same, where present; Google's libraries leave it out of assertions for the token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The token endpoint's URL. Absent or empty when a Google library uses the JWT itself as the bearer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// Wished scopes, separated by blanks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// When it was made, in seconds since 1970.
    pub iat: i64,
    /// When it ends.
    pub exp: i64,
    /// From when it holds, where present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Makes it usable once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Binds it to the key to be certified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
}

/// The confirmation claim (RFC 7800 3.1) with a member of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// base64url, unpadded, of the SHA-256 of the DER `SubjectPublicKeyInfo`.
    #[serde(rename = "spki#S256")]
    pub spki_sha256: String,
}

impl Confirmation {
    /// The confirmation of a key, given as DER `SubjectPublicKeyInfo`.
    pub fn of_spki(spki: &[u8]) -> Self {
        use base64::Engine as _;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, spki);
        let spki_sha256 = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.as_ref());
        Self { spki_sha256 }
    }
}
