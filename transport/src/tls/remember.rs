//! Signatures of CAs that were found good, so that they are not reckoned again for each connection.
//!
//! The same certificates come again and again. Whether a signature is good for a key and a text never changes; all else about
//! a certificate (its time, its purpose, its names, who issued it) is judged anew each time.

use std::collections::{HashSet, VecDeque};
use std::sync::{LazyLock, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

use super::provider::provider;

/// Most signatures that are remembered: 32 bytes each, and their order.
const MOST: usize = 1024;

/// The provider's algorithms, with a memory: for signatures on certificates, not for those of handshakes.
pub(super) fn algorithms() -> &'static [&'static dyn SignatureVerificationAlgorithm] {
    static REMEMBERING: LazyLock<Vec<Remembering>> = LazyLock::new(|| {
        let all = provider().signature_verification_algorithms.all;
        all.iter().copied().map(Remembering::new).collect()
    });
    static ALL: LazyLock<Vec<&'static dyn SignatureVerificationAlgorithm>> = LazyLock::new(|| {
        let all = REMEMBERING.iter();
        all.map(|one| one as &dyn SignatureVerificationAlgorithm)
            .collect()
    });
    &ALL
}

/// An algorithm that remembers what it has found good. What is not good is reckoned each time.
#[derive(Debug)]
struct Remembering {
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    good: Mutex<Good>,
}

/// The last good ones, as digests.
#[derive(Debug, Default)]
struct Good {
    known: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Good {
    fn insert(&mut self, digest: [u8; 32]) {
        if !self.known.insert(digest) {
            return;
        }
        self.order.push_back(digest);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl Remembering {
    fn new(algorithm: &'static dyn SignatureVerificationAlgorithm) -> Self {
        Self {
            algorithm,
            good: Mutex::default(),
        }
    }
}

impl SignatureVerificationAlgorithm for Remembering {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let digest = digest([public_key, message, signature]);
        let good = || self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if good().known.contains(&digest) {
            return Ok(());
        }
        self.algorithm
            .verify_signature(public_key, message, signature)?;
        good().insert(digest);
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }

    fn fips(&self) -> bool {
        self.algorithm.fips()
    }
}

/// SHA-256 over all parts, each with its length before it, so that nothing can pass from one to the next.
fn digest(parts: [&[u8]; 3]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests;
