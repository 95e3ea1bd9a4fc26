//! Searches the memory of this very process for copies of a secret that has been used.
//!
//! One test alone in its process, so that no other test's data is scanned.
#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "a test stops at the first thing that is not as it must be")]

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
};

use secrets::{MemoryLevel, SecretBytes, SigningKey, memory_level};

/// Keeps the searched bytes out of memory in clear: they are stored combined with this.
const MASK: u8 = 0xC3;
/// What HMAC combines a key with (RFC 2104): a key combined so is as good as the key.
const FORMS: [(&str, u8); 3] = [("raw", 0), ("inner pad", 0x36), ("outer pad", 0x5C)];
const NONE: [(&str, usize); 3] = [("raw", 0), ("inner pad", 0), ("outer pad", 0)];
/// Length of the run of bytes that counts as a copy.
const WINDOW: usize = 16;

/// A mapping as large as this, in bytes, is the shadow memory of a sanitizer, under which the scan
/// takes minutes and shows nothing more.
const SHADOW_BYTES_MIN: u64 = 1 << 40;

/// First and last address of each readable and writable mapping of this process.
fn mappings() -> Vec<(u64, u64)> {
    let maps = fs::read_to_string("/proc/self/maps").expect("the list of mappings");
    let ranges = maps.lines().filter(|line| line.contains(" rw")).map(|line| {
        let range = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
        let address = |text| u64::from_str_radix(text, 16).expect("an address");
        (address(range.0), address(range.1))
    });
    ranges.collect()
}

/// How many times each form of the secret is in the memory of this process.
fn copies(masked: &[u8; 32]) -> Vec<(&'static str, usize)> {
    let memory = File::open("/proc/self/mem").expect("our own memory");
    let mut found = FORMS.map(|(name, _)| (name, 0));
    let mut page = vec![0_u8; 0x1000 + WINDOW];
    for (start, end) in mappings() {
        for address in (start..end).step_by(0x1000) {
            // The pages of memfd_secret cannot be read even by their owner in this way.
            let Ok(read) = memory.read_at(&mut page, address) else { continue };
            let page = page.get(..read).expect("no more than was asked for");
            if page.iter().all(|byte| *byte == 0) {
                continue;
            }
            for (count, (_, pad)) in found.iter_mut().zip(FORMS) {
                let is_copy = |run: &&[u8]| run.iter().zip(masked).all(|(byte, want)| byte ^ pad == want ^ MASK);
                count.1 += page.windows(WINDOW).filter(is_copy).count();
            }
        }
    }
    found.into()
}

#[test]
fn no_copy_of_a_secret_is_in_readable_memory_after_ten_thousand_signatures() {
    if mappings().iter().any(|(start, end)| end - start >= SHADOW_BYTES_MIN) {
        println!("skipped: this process runs under a sanitizer");
        return;
    }
    let mut masked = [0_u8; 32];
    let mut secret = SecretBytes::random(32).expect("a secret");
    for (masked, byte) in masked.iter_mut().zip(secret.expose()) {
        *masked = byte ^ MASK;
    }
    let level = memory_level().expect("some memory");
    println!("secrets lie in {level} memory");

    // Positive control: a copy that leaked is found.
    let leaked = secret.expose().to_vec();
    let seen = copies(&masked);
    assert!(seen.iter().any(|(form, count)| *form == "raw" && *count > 0), "the scan finds a leaked copy: {seen:?}");
    let mut leaked = leaked;
    leaked.fill(0);
    std::hint::black_box(&leaked);

    let signature = {
        let key = SigningKey::new(SecretBytes::take_from(secret.expose_mut()).expect("a secret")).expect("a key");
        assert_eq!(copies(&masked), NONE, "just made, level {level}");
        let mut last = [0; 32];
        for round in 0_u32..10_000 {
            last = key.sign(&[&round.to_le_bytes(), b"POST/api/v2/spot/trade/place-order"]);
        }
        assert_eq!(copies(&masked), NONE, "in use, level {level}");
        last
    };
    assert_ne!(signature, [0; 32]);
    if level == MemoryLevel::MemfdSecret {
        let mut held = SecretBytes::zeroed(32).expect("a secret");
        for (byte, masked) in held.expose_mut().iter_mut().zip(masked) {
            *byte = masked ^ MASK;
        }
        assert_eq!(copies(&masked).iter().map(|(_, count)| count).sum::<usize>(), 0, "a held secret is out of reach");
        drop(held);
    }
}
