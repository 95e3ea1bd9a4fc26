//! Every target on its seeds and on a few thousand mutations of them: what the fuzzer does for hours, for a moment.

#![expect(clippy::indexing_slicing, reason = "a failed assumption fails the test")]

use fuzz_bodies::TARGETS;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

/// Mutations of each target.
const ROUNDS: u32 = 2_000;

/// Bytes that matter in the texts and frames of this program.
const TELLING: &[u8] = b"\"{}[],:.-0123456789 \n\\\x00\xff";

fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut SmallRng) {
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=bytes.len());
        let byte = if random.random() { random.random() } else { TELLING[random.random_range(0..TELLING.len())] };
        match random.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] = byte,
            1 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            2 if at < bytes.len() => {
                bytes.remove(at);
            }
            3 => bytes.truncate(at),
            4 if !other.is_empty() => {
                let (from, to) = (random.random_range(0..other.len()), random.random_range(0..other.len()));
                bytes.splice(at..at, other[from.min(to)..from.max(to)].iter().copied());
            }
            _ => bytes.insert(at, byte),
        }
    }
    bytes.truncate(64 * 1024);
}

#[test]
fn promises_of_every_decoder_hold_on_mutations_of_its_seeds() {
    for (target, number) in TARGETS.iter().zip(0_u64..) {
        let mut random = SmallRng::seed_from_u64(7 + number);
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        for seed in &seeds {
            (target.body)(seed);
        }
        for _ in 0..ROUNDS {
            let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
            let other = &seeds[random.random_range(0..seeds.len())];
            mutate(&mut bytes, other, &mut random);
            (target.body)(&bytes);
        }
    }
}

#[test]
fn every_target_has_a_binary_of_its_name() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    for target in TARGETS {
        assert!(folder.join(format!("{}.rs", target.name)).exists(), "no binary for {}", target.name);
    }
}
