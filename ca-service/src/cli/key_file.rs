//! Makes a service account's key pair, registers the public half, and writes the other into a key file.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto::key_file::KeyFile;
use zeroize::Zeroizing;

use crate::clock::Seconds;
use crate::error::{Error, Result};
use crate::issuer::Authority;
use crate::registry::{Account, Algorithm, HttpsRoot, NewKey, Registry};
use crate::store::random_id;

const PEM_COLUMNS: usize = 64;

/// A key file that has its name and nothing in it yet; goes away unless it is filled.
pub(super) struct Reserved {
    path: PathBuf,
    file: File,
    filled: bool,
}

impl Reserved {
    /// Makes the file, for its owner alone. Never overwrites one.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(Error::file("create", path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            filled: false,
        })
    }

    /// Makes a key of an account, which counts until `expires_at`, and puts it into the file. Returns the key's id.
    pub(super) async fn fill(
        mut self,
        registry: &Registry,
        account: &Account,
        expires_at: Option<Seconds>,
    ) -> Result<String> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| Error::Crypto("no RSA key"))?;
        let public: PublicKeyX509Der<'_> = pair
            .public_key()
            .as_der()
            .map_err(|_| Error::Crypto("no RSA key"))?;
        let new = NewKey {
            kid: random_id()?,
            algorithm: Algorithm::Rs256,
            public_key: public.as_ref().to_vec(),
            expires_at,
        };
        let text = content(registry, account, &new.kid, &pair).await?;
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_all())
            .map_err(Error::file("write", &self.path))?;
        registry.create_key(account, &new).await?;
        self.filled = true;
        Ok(new.kid)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.filled
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(%error, "an empty key file is left behind");
        }
    }
}

async fn content(
    registry: &Registry,
    account: &Account,
    kid: &str,
    pair: &KeyPair,
) -> Result<Zeroizing<String>> {
    let profile = registry.profile().await?;
    let root = match registry.https_root().await? {
        HttpsRoot::Own => Some(Authority::root(registry.store()).await?.pem().to_owned()),
        // Without the member, callers believe the roots of their own machine.
        HttpsRoot::System => None,
        HttpsRoot::Pem(pem) => Some(pem),
    };
    let private: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| Error::Crypto("no RSA key"))?;
    let mut file = KeyFile {
        kind: "service_account".to_owned(),
        project_id: profile.project.clone(),
        private_key_id: kid.to_owned(),
        private_key: pem(private.as_ref()),
        client_email: account.name.to_string(),
        client_id: account.client_id.clone(),
        auth_uri: String::new(),
        token_uri: profile.token_url(),
        universe_domain: account.universe_domain.clone(),
        csql_endpoint: Some(profile.endpoint),
        csql_root_certificate: root,
    };
    let text = serde_json::to_string_pretty(&file).map(Zeroizing::new);
    zeroize::Zeroize::zeroize(&mut file.private_key);
    let mut text = text.map_err(|_| Error::Crypto("the key file cannot be written as JSON"))?;
    text.push('\n');
    Ok(text)
}

fn pem(der: &[u8]) -> String {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
    for (at, character) in body.chars().enumerate() {
        if at > 0 && at % PEM_COLUMNS == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str("\n-----END PRIVATE KEY-----\n");
    text
}
