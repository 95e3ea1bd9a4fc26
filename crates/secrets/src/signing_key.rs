//! The key of a message authentication code: the raw secret is turned into hash states and wiped.

use hmac::{HmacReset, KeyInit, Mac};
use sha2::Sha256;

use crate::{SecretBytes, SecretError, arena::Locked, scrub_stack};

/// An HMAC-SHA256 key, ready to sign. Holds the two hash states that depend on the secret, not the
/// secret, in locked memory; cannot be printed, cloned or serialised.
pub struct SigningKey {
    keyed: Locked<HmacReset<Sha256>>,
}

impl SigningKey {
    /// Length of a signature, in bytes.
    pub const SIGNATURE_BYTES: usize = 32;

    /// Takes the raw secret over, makes the key of it and wipes it.
    ///
    /// # Errors
    /// [`SecretError`] if there is no memory for the key; the secret is wiped all the same.
    pub fn new(secret: SecretBytes) -> Result<Self, SecretError> {
        let made = Self::build(&secret);
        drop(secret);
        scrub_stack();
        made
    }

    #[inline(never)]
    fn build(secret: &SecretBytes) -> Result<Self, SecretError> {
        #[expect(clippy::expect_used, reason = "HMAC is defined for keys of every length")]
        let keyed = Locked::new(|| HmacReset::new_from_slice(secret.expose()).expect("any length is a key"))?;
        Ok(Self { keyed })
    }

    /// The signature over the concatenation of `parts`. Allocates nothing, takes no lock.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; Self::SIGNATURE_BYTES] {
        let mut mac = (*self.keyed).clone();
        for part in parts {
            mac.update(part);
        }
        // The copy of the state is wiped where it stands; finishing it by value would move it first.
        mac.finalize_reset().into_bytes().into()
    }

    /// Whether `signature` is the one over `parts`, in a time that does not depend on its bytes.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], signature: &[u8]) -> bool {
        crate::equal_in_constant_time(&self.sign(parts), signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(bytes: &[u8]) -> SigningKey {
        SigningKey::new(SecretBytes::from_slice(bytes).unwrap()).unwrap()
    }

    /// RFC 4231, test cases 1 to 7 without the truncated case 5: key, data, HMAC-SHA-256.
    const RFC_4231: [(&str, &str, &str); 6] = [
        (
            "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            "4869205468657265",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            "4a656665",
            "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            "0102030405060708090a0b0c0d0e0f10111213141516171819",
            "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (
            // 131 bytes of aa, written by the test.
            "",
            "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            "",
            "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a65206b657920616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b6579206e6565647320746f20626520686173686564206265666f7265206265696e6720757365642062792074686520484d414320616c676f726974686d2e",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];

    #[test]
    fn signatures_match_the_published_vectors() {
        for (secret, data, expected) in RFC_4231 {
            let secret = if secret.is_empty() { vec![0xAA; 131] } else { hex::decode(secret).unwrap() };
            let data = hex::decode(data).unwrap();
            let signature = key(&secret).sign(&[&data]);
            assert_eq!(hex::encode(signature), expected);
        }
    }

    #[test]
    fn signature_depends_on_the_bytes_and_not_on_how_they_are_cut() {
        let key = key(b"an invented secret");
        let whole = key.sign(&[b"1700000000000POST/api/v2/spot/trade/place-order{}"]);
        assert_eq!(key.sign(&[b"1700000000000", b"POST", b"", b"/api/v2/spot/trade/place-order", b"{}"]), whole);
        assert_ne!(key.sign(&[b"1700000000001", b"POST", b"/api/v2/spot/trade/place-order", b"{}"]), whole);
    }

    #[test]
    fn one_key_signs_many_times_with_the_same_result() {
        let key = key(b"an invented secret");
        let first = key.sign(&[b"message"]);
        assert!((0..100).all(|_| key.sign(&[b"message"]) == first));
        assert!(key.verify(&[b"mess", b"age"], &first));
        assert!(!key.verify(&[b"message"], first.get(..31).unwrap()), "a cut signature is not one");
    }

    #[test]
    fn signing_allocates_nothing() {
        let key = key(b"an invented secret");
        let body = [7_u8; 1_000];
        let counted = allocation_counter::measure(|| {
            std::hint::black_box(key.sign(&[b"1700000000000", &body]));
        });
        assert_eq!(counted.count_total, 0);
        let control = allocation_counter::measure(|| drop(std::hint::black_box(vec![0_u8; 32])));
        assert_eq!(control.count_total, 1, "the counter sees an allocation");
    }

    #[test]
    fn keys_of_different_secrets_sign_differently() {
        assert_ne!(key(b"an invented secret").sign(&[b"m"]), key(b"an invented secreT").sign(&[b"m"]));
    }
}
