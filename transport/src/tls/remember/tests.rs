//! Tests of what is remembered, and of what is not.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Calls good whatever is signed `good`, and counts how often it was asked.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

impl SignatureVerificationAlgorithm for Counting {
    fn verify_signature(
        &self,
        _: &[u8],
        _: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        self.0.fetch_add(1, Ordering::Relaxed);
        if signature == b"good" {
            Ok(())
        } else {
            Err(InvalidSignature)
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::from_slice(b"key")
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::from_slice(b"signature")
    }
}

fn remembering() -> (&'static Counting, Remembering) {
    let counting: &'static Counting = Box::leak(Box::default());
    (counting, Remembering::new(counting))
}

#[test]
fn a_good_signature_is_reckoned_once() {
    let (counting, algorithm) = remembering();
    for _ in 0..3 {
        algorithm.verify_signature(b"k", b"text", b"good").unwrap();
    }
    assert_eq!(counting.0.load(Ordering::Relaxed), 1);
}

#[test]
fn another_key_text_or_signature_is_reckoned_for_itself() {
    let (counting, algorithm) = remembering();
    algorithm.verify_signature(b"k", b"text", b"good").unwrap();
    algorithm.verify_signature(b"kt", b"ext", b"good").unwrap();
    algorithm.verify_signature(b"k", b"texu", b"good").unwrap();
    assert_eq!(counting.0.load(Ordering::Relaxed), 3);
    for _ in 0..2 {
        assert!(algorithm.verify_signature(b"k", b"text", b"bad").is_err());
    }
    assert_eq!(
        counting.0.load(Ordering::Relaxed),
        5,
        "bad ones are not kept"
    );
}

#[test]
fn the_oldest_are_forgotten() {
    let (counting, algorithm) = remembering();
    for number in 0..=MOST {
        let text = number.to_be_bytes();
        algorithm.verify_signature(b"k", &text, b"good").unwrap();
    }
    let good = algorithm.good.lock().unwrap();
    assert_eq!((good.known.len(), good.order.len()), (MOST, MOST));
    drop(good);
    let before = counting.0.load(Ordering::Relaxed);
    let first = 0_usize.to_be_bytes();
    algorithm.verify_signature(b"k", &first, b"good").unwrap();
    assert_eq!(counting.0.load(Ordering::Relaxed), before + 1);
}

#[test]
fn every_algorithm_of_the_provider_is_there_and_says_what_it_is() {
    let all = provider().signature_verification_algorithms.all;
    assert_eq!(algorithms().len(), all.len());
    for (ours, theirs) in algorithms().iter().zip(all) {
        assert_eq!(ours.public_key_alg_id(), theirs.public_key_alg_id());
        assert_eq!(ours.signature_alg_id(), theirs.signature_alg_id());
    }
}
