//! The keys inside a vault, taken out of its file by its description alone, so that they can be looked for.

use super::scan::Needles;
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::path::Path;
use unicode_normalization::UnicodeNormalization as _;

/// Takes so many bytes from the front.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (head, tail) = rest.split_at(N);
    *rest = tail;
    head.try_into().unwrap()
}

fn number(rest: &mut &[u8]) -> u32 {
    u32::from_le_bytes(take(rest))
}

fn mac(key: &[u8], over: &[u8]) -> Vec<u8> {
    <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).unwrap().chain_update(over).finalize().into_bytes().to_vec()
}

/// Adds the key that a passphrase is turned into, the data key, and all that is derived from it.
pub(crate) fn add(needles: &mut Needles, file: &Path, passphrase: &str) {
    let data = std::fs::read(file).unwrap();
    let mut rest = data.as_slice();
    assert_eq!(&take::<8>(&mut rest), b"SFVAULT\0");
    let version: [u8; 2] = take(&mut rest);
    let length = number(&mut rest);
    let header = &rest[..length as usize];
    let covered = &data[..14 + header.len()];
    let stored: [u8; 32] = rest[header.len()..header.len() + 32].try_into().unwrap();
    let mut fields = header;
    let vault: [u8; 16] = take(&mut fields);
    let _generation_and_time: [u8; 16] = take(&mut fields);
    assert_eq!(take::<2>(&mut fields), [1, 1], "one slot, of a passphrase");
    let _length: [u8; 2] = take(&mut fields);
    let fixed: [u8; 29] = take(&mut fields);
    let mut slot = &fixed[1..];
    let (memory, passes, lanes, salt) =
        (number(&mut slot), number(&mut slot), number(&mut slot), take::<16>(&mut slot));
    let (nonce, wrapped): ([u8; 24], [u8; 48]) = (take(&mut fields), take(&mut fields));
    let mut kek = [0; 32];
    let normal: String = passphrase.nfkc().collect();
    let cost = Params::new(memory, passes, lanes, Some(32)).unwrap();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, cost)
        .hash_password_into(normal.as_bytes(), &salt, &mut kek)
        .unwrap();
    let bound = [&b"dek"[..], &version, &vault, &[1], &fixed].concat();
    let payload = Payload { msg: &wrapped, aad: &bound };
    let key = XChaCha20Poly1305::new(&kek.into()).decrypt(&XNonce::from(nonce), payload).unwrap();
    let extracted = mac(&[0; 32], &key);
    let header_key = mac(&extracted, b"header\x01");
    assert_eq!(mac(&header_key, covered), stored, "this is the vault's own key");
    needles.add("vault keys", "from the passphrase", &kek, 12);
    needles.add("vault keys", "data key", &key, 12);
    needles.add("vault keys", "extracted", &extracted, 12);
    needles.add("vault keys", "header", &header_key, 12);
    for key in [&key, &extracted, &header_key] {
        needles.add_mac_states("vault keys", key);
    }
    let count = u16::from_le_bytes(take(&mut fields));
    for _ in 0..count {
        let (id, _length): ([u8; 16], [u8; 4]) = (take(&mut fields), take(&mut fields));
        let key = mac(&extracted, &[b"rec", &id[..], b"\x01"].concat());
        needles.add("vault keys", "of a record", &key, 12);
    }
}
