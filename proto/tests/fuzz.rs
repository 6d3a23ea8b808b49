//! A smoke run of the fuzz targets: their seeds, cut and changed, through the very functions that the fuzzer calls.

#[path = "../fuzz/bodies.rs"]
mod bodies;
#[path = "../fuzz/seeds.rs"]
mod seeds;

use std::path::Path;

/// Changed copies of one seed; a prime, so that bits at all places of a byte change.
const CHANGES: usize = 97;

#[test]
fn every_target_has_seeds_a_program_and_survives_them_cut_and_changed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let programs = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(programs, bodies::ALL.len());
    for (name, body) in bodies::ALL {
        assert!(folder.join(name).with_extension("rs").exists(), "{name}");
        let seeds = seeds::of(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in seeds {
            body(&seed);
            for change in 0..CHANGES {
                let at = seed.len() * change / CHANGES;
                body(seed.get(..at).unwrap());
                let mut changed = seed.clone();
                *changed.get_mut(at).unwrap() ^= 1 << (change % 8);
                body(&changed);
            }
        }
    }
}

/// `make fuzz` runs it, so that the fuzzer begins where the captures are.
#[test]
#[ignore = "writes files for the fuzzer"]
fn seeds_are_written_for_the_fuzzer() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, _) in bodies::ALL {
        let folder = corpus.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds::of(name).iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
        }
    }
}
