//! Service accounts as callers: they sign whatever a test wants signed.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto::admin::SCOPE_ADMIN;
use serde_json::{Value, json};

use super::world::{ENDPOINT, GOOGLE, World};
use crate::registry::Account;

/// Making RSA keys takes long; each account of each test registers one of these under its own id.
pub(super) static KEYS: LazyLock<[KeyPair; 2]> =
    LazyLock::new(|| [(); 2].map(|()| KeyPair::generate(KeySize::Rsa2048).unwrap()));

/// A service account with one key.
pub(super) struct Caller {
    pub(super) account: Account,
    pub(super) kid: String,
    pub(super) key: &'static KeyPair,
}

impl Caller {
    /// The claims that our own client writes.
    pub(super) fn claims(&self, world: &World) -> Value {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let jti = format!(
            "jti-of-a-test-{:016}",
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let name = self.account.name.as_str();
        json!({
            "iss": name,
            "sub": name,
            "aud": format!("{ENDPOINT}/token"),
            "scope": SCOPE_ADMIN,
            "iat": world.now(),
            "exp": world.now() + 600,
            "jti": jti,
        })
    }

    /// The claims that Google's libraries write.
    pub(super) fn google_claims(&self, world: &World) -> Value {
        json!({
            "iss": self.account.name.as_str(),
            "aud": GOOGLE,
            "scope": SCOPE_ADMIN,
            "iat": world.now(),
            "exp": world.now() + 3600,
        })
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_with(
            &json!({ "alg": "RS256", "typ": "JWT", "kid": self.kid }),
            claims,
        )
    }

    pub(super) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// Signs texts as they are, however bad they are as JSON.
    pub(super) fn sign_text(&self, header: &str, claims: &str) -> String {
        let signed = unsigned(header, claims);
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &random,
                signed.as_bytes(),
                &mut signature,
            )
            .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// DER of the public key.
    pub(super) fn public_key(&self) -> Vec<u8> {
        let public: PublicKeyX509Der<'_> = self.key.public_key().as_der().unwrap();
        public.as_ref().to_vec()
    }
}

/// The first two parts of a JWT.
pub(super) fn unsigned(header: &str, claims: &str) -> String {
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    )
}
