//! Keys at rest: wrapped by AES-256-GCM under a key-encryption key that lives in a file of its own.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// The key-encryption key's file within the data directory.
pub(crate) const KEK_FILE: &str = "kek";
const KEK_LENGTH: usize = 32;
/// First byte of everything sealed: how the rest is to be read.
const FORMAT: u8 = 1;

/// Wraps and opens keys. Implements no `Debug`: it holds the key-encryption key.
pub(crate) struct Vault {
    key: RandomizedNonceKey,
}

/// What a sealed key is bound to: moved to another row, it does not open.
pub(crate) struct Label<'a> {
    /// The instance's id, or what stands for it.
    pub(crate) owner: &'a str,
    /// The key's id.
    pub(crate) key_id: &'a str,
    /// Its version.
    pub(crate) version: i64,
}

impl Vault {
    /// Makes a key-encryption key, in a new file of the data directory.
    pub(crate) fn create(data: &Path) -> Result<Self> {
        let mut kek = Zeroizing::new([0_u8; KEK_LENGTH]);
        aws_lc_rs::rand::fill(kek.as_mut()).map_err(|_| Error::Crypto("no random numbers"))?;
        let path = data.join(KEK_FILE);
        let text = Zeroizing::new(format!("{}\n", STANDARD.encode(kek.as_ref())));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(Error::file("create", &path))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(Error::file("write", &path))?;
        Self::with_key(kek.as_ref())
    }

    /// Reads the key-encryption key; refuses a file that others may read.
    pub(crate) fn open(data: &Path) -> Result<Self> {
        let path = data.join(KEK_FILE);
        let about = fs::metadata(&path).map_err(Error::file("read", &path))?;
        if about.mode() & 0o177 != 0 {
            return Err(Error::Exposed {
                problem: format!("open to others (mode {:o})", about.mode() & 0o7777),
                remedy: format!("run: chmod 600 {}", path.display()),
                path,
            });
        }
        if about.uid() != rustix::process::geteuid().as_raw() {
            return Err(Error::Exposed {
                problem: format!(
                    "owned by user {}, not by the one that runs this",
                    about.uid()
                ),
                remedy: "run the CA as the owner of its files".to_owned(),
                path,
            });
        }
        let text = Zeroizing::new(fs::read_to_string(&path).map_err(Error::file("read", &path))?);
        let kek = STANDARD.decode(text.trim()).map(Zeroizing::new);
        match kek {
            Ok(kek) if kek.len() == KEK_LENGTH => Self::with_key(&kek),
            _ => Err(Error::Vault(format!(
                "{} does not hold a key-encryption key; restore it from your backup",
                path.display()
            ))),
        }
    }

    fn with_key(key: &[u8]) -> Result<Self> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, key)
            .map_err(|_| Error::Crypto("the key-encryption key is refused"))?;
        Ok(Self { key })
    }

    /// A sealer under a key that this vault keeps wrapped.
    pub(crate) fn sealer(&self, label: &Label<'_>, wrapped: &[u8]) -> Result<Self> {
        Self::with_key(&self.open_key(label, wrapped)?)
    }

    /// Wraps a key.
    pub(crate) fn wrap(&self, label: &Label<'_>, key: &[u8]) -> Result<Vec<u8>> {
        self.seal(label.text().as_bytes(), key)
    }

    /// Opens a wrapped key.
    pub(crate) fn open_key(&self, label: &Label<'_>, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.unseal(label.text().as_bytes(), wrapped).ok_or_else(|| {
            Error::Vault(format!(
                "key {} does not open: its row was changed, or the file `{KEK_FILE}` is not the one of this store",
                label.key_id
            ))
        })
    }

    /// Seals `plain`, bound to `about`.
    pub(crate) fn seal(&self, about: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let mut sealed = Zeroizing::new(plain.to_vec());
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(about), &mut *sealed)
            .map_err(|_| Error::Crypto("sealing failed"))?;
        let mut out = vec![FORMAT];
        out.extend_from_slice(nonce.as_ref());
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Opens what [`Vault::seal`] made of the same `about`.
    pub(crate) fn unseal(&self, about: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, body) = sealed
            .strip_prefix(&[FORMAT])?
            .split_first_chunk::<NONCE_LEN>()?;
        let mut plain = Zeroizing::new(body.to_vec());
        let length = {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let opened = self.key.open_in_place(nonce, Aad::from(about), &mut plain);
            opened.ok()?.len()
        };
        plain.truncate(length);
        Some(plain)
    }
}

impl Label<'_> {
    fn text(&self) -> String {
        format!(
            "csql-key\0{}\0{}\0{}",
            self.owner, self.key_id, self.version
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const LABEL: Label<'static> = Label {
        owner: "instance",
        key_id: "key",
        version: 1,
    };

    #[test]
    fn a_wrapped_key_opens_under_its_own_label_only() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::create(dir.path()).unwrap();
        let wrapped = vault.wrap(&LABEL, b"secret").unwrap();
        assert_eq!(
            vault.open_key(&LABEL, &wrapped).unwrap().as_slice(),
            b"secret"
        );
        for moved in [
            Label {
                owner: "other",
                ..LABEL
            },
            Label {
                key_id: "other",
                ..LABEL
            },
            Label {
                version: 2,
                ..LABEL
            },
        ] {
            assert!(vault.open_key(&moved, &wrapped).is_err());
        }
    }

    #[test]
    fn every_changed_byte_of_a_wrapped_key_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::create(dir.path()).unwrap();
        let wrapped = vault.wrap(&LABEL, b"secret").unwrap();
        for at in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 1;
            assert!(vault.open_key(&LABEL, &changed).is_err(), "byte {at}");
        }
        for end in 0..wrapped.len() {
            assert!(
                vault.open_key(&LABEL, &wrapped[..end]).is_err(),
                "cut at {end}"
            );
        }
    }

    #[test]
    fn another_stores_key_encryption_key_opens_nothing() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let wrapped = Vault::create(one.path())
            .unwrap()
            .wrap(&LABEL, b"secret")
            .unwrap();
        let error = Vault::create(two.path())
            .unwrap()
            .open_key(&LABEL, &wrapped)
            .unwrap_err();
        assert!(error.to_string().contains("kek"), "{error}");
    }

    #[test]
    fn a_key_encryption_key_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(Vault::create(dir.path()).unwrap());
        let path = dir.path().join(KEK_FILE);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Vault::open(dir.path()).err().unwrap();
        assert!(error.to_string().contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(Vault::open(dir.path()).is_ok());
    }

    #[test]
    fn a_damaged_or_missing_key_encryption_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            Vault::open(dir.path())
                .err()
                .unwrap()
                .to_string()
                .contains("kek")
        );
        drop(Vault::create(dir.path()).unwrap());
        fs::write(dir.path().join(KEK_FILE), "short").unwrap();
        assert!(
            Vault::open(dir.path())
                .err()
                .unwrap()
                .to_string()
                .contains("backup")
        );
    }
}
