//! The cryptography of the format: wrapping the data key, the header's MAC, sealing records.
//!
//! Plain bytes go from locked memory straight into ciphertext and back; no copy is made on the heap.

use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce, aead::inout::InOutBuf};
use hkdf::Hkdf;
use secrets::{Secret, SecretBytes};
use sha2::{Digest, Sha256};

use crate::{
    VaultError,
    format::{Nonce, RecordId, TAG_BYTES, VERSION},
};

/// The data encryption key: everything in one vault hangs on it.
pub(crate) type DataKey = Secret<32>;

/// Something did not authenticate; what that means is the caller's to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

/// What all records of one saved vault are bound to.
pub(crate) struct Binding {
    pub(crate) vault_id: [u8; 16],
    pub(crate) generation: u64,
    pub(crate) header_digest: [u8; 32],
}

impl Binding {
    pub(crate) fn new(vault_id: [u8; 16], generation: u64, header: &[u8]) -> Self {
        Self { vault_id, generation, header_digest: digest(header) }
    }

    fn associated_data(&self, id: RecordId) -> Vec<u8> {
        let mut data = Vec::with_capacity(74);
        data.extend_from_slice(&VERSION.to_le_bytes());
        data.extend_from_slice(&self.vault_id);
        data.extend_from_slice(&self.generation.to_le_bytes());
        data.extend_from_slice(&id.0);
        data.extend_from_slice(&self.header_digest);
        data
    }
}

pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The MAC over everything from the magic to the end of the header.
pub(crate) fn header_mac(key: &DataKey, covered: &[u8]) -> Result<[u8; 32], VaultError> {
    let derived = SecretBytes::from_slice(derive(key, &[b"header"])?.expose())?;
    Ok(secrets::SigningKey::new(derived)?.sign(&[covered]))
}

/// Encrypts one record under a fresh nonce.
pub(crate) fn seal_record(
    key: &DataKey,
    binding: &Binding,
    id: RecordId,
    plain: &SecretBytes,
) -> Result<(Nonce, Vec<u8>), VaultError> {
    let nonce = fresh_nonce()?;
    let sealed = seal(&derive(key, &[b"rec", &id.0])?, &nonce, &binding.associated_data(id), plain.expose())?;
    Ok((nonce, sealed))
}

/// Decrypts one record into locked memory.
pub(crate) fn open_record(
    key: &DataKey,
    binding: &Binding,
    id: RecordId,
    nonce: &Nonce,
    ciphertext: &[u8],
) -> Result<Result<SecretBytes, NotAuthentic>, VaultError> {
    unseal(&derive(key, &[b"rec", &id.0])?, nonce, &binding.associated_data(id), ciphertext)
}

/// Encrypts the data key under a key made from a passphrase.
pub(crate) fn wrap(kek: &Secret<32>, associated: &[u8], key: &DataKey) -> Result<(Nonce, [u8; 48]), VaultError> {
    let nonce = fresh_nonce()?;
    let sealed = seal(kek, &nonce, associated, key.expose())?;
    let wrapped = sealed.try_into().map_err(|_| VaultError::Malformed { what: "a wrapped key of another length" })?;
    Ok((nonce, wrapped))
}

/// Decrypts the data key.
pub(crate) fn unwrap(
    kek: &Secret<32>,
    associated: &[u8],
    nonce: &Nonce,
    wrapped: &[u8; 48],
) -> Result<Result<DataKey, NotAuthentic>, VaultError> {
    match unseal(kek, nonce, associated, wrapped)? {
        Ok(bytes) => Ok(Ok(Secret::from_bytes(bytes)?)),
        Err(NotAuthentic) => Ok(Err(NotAuthentic)),
    }
}

/// The key that wraps the data key in a machine or recovery slot.
pub(crate) fn slot_key(
    secret: &SecretBytes,
    kind: u8,
    vault_id: &[u8; 16],
    salt: &[u8; 16],
) -> Result<Secret<32>, VaultError> {
    let mut derived = Secret::zeroed()?;
    let info: [&[u8]; 4] = [b"slot", &[kind], vault_id, salt];
    let expanded = Hkdf::<Sha256>::new(None, secret.expose()).expand_multi_info(&info, derived.expose_mut());
    secrets::scrub_stack();
    expanded.map_err(|_| VaultError::Malformed { what: "a derived key of impossible length" })?;
    Ok(derived)
}

fn fresh_nonce() -> Result<Nonce, VaultError> {
    let mut nonce = [0; 24];
    secrets::fill_random(&mut nonce)?;
    Ok(nonce)
}

/// HKDF-SHA256 without salt; the parts of the info are concatenated.
fn derive(key: &DataKey, info: &[&[u8]]) -> Result<Secret<32>, VaultError> {
    let mut derived = Secret::zeroed()?;
    let expanded = Hkdf::<Sha256>::new(None, key.expose()).expand_multi_info(info, derived.expose_mut());
    secrets::scrub_stack();
    expanded.map_err(|_| VaultError::Malformed { what: "a derived key of impossible length" })?;
    Ok(derived)
}

fn seal(key: &Secret<32>, nonce: &Nonce, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
    let too_long = VaultError::Malformed { what: "more bytes than one key may encrypt" };
    let mut sealed = vec![0; plain.len()];
    let tag = match InOutBuf::new(plain, &mut sealed) {
        Ok(buffer) => cipher(key)?.encrypt_inout_detached(&XNonce::from(*nonce), associated, buffer),
        Err(_) => return Err(too_long),
    };
    secrets::scrub_stack();
    sealed.extend_from_slice(&tag.map_err(|_| too_long)?);
    Ok(sealed)
}

fn unseal(
    key: &Secret<32>,
    nonce: &Nonce,
    associated: &[u8],
    sealed: &[u8],
) -> Result<Result<SecretBytes, NotAuthentic>, VaultError> {
    let Some((body, tag)) = sealed.split_last_chunk::<TAG_BYTES>() else { return Ok(Err(NotAuthentic)) };
    let mut plain = SecretBytes::zeroed(body.len())?;
    let Ok(buffer) = InOutBuf::new(body, plain.expose_mut()) else { return Ok(Err(NotAuthentic)) };
    let opened = cipher(key)?.decrypt_inout_detached(&XNonce::from(*nonce), associated, buffer, &Tag::from(*tag));
    secrets::scrub_stack();
    Ok(opened.map(|()| plain).map_err(|_| NotAuthentic))
}

fn cipher(key: &Secret<32>) -> Result<XChaCha20Poly1305, VaultError> {
    XChaCha20Poly1305::new_from_slice(key.expose())
        .map_err(|_| VaultError::Malformed { what: "a key of another length" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(bytes: &[u8]) -> Secret<32> {
        Secret::from_bytes(SecretBytes::from_slice(bytes).unwrap()).unwrap()
    }

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn sealing_matches_the_published_vector() {
        let key = secret(&hex::decode("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f").unwrap());
        let nonce: Nonce = hex::decode("404142434445464748494a4b4c4d4e4f5051525354555657").unwrap().try_into().unwrap();
        let associated = hex::decode("50515253c0c1c2c3c4c5c6c7").unwrap();
        let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let sealed = seal(&key, &nonce, &associated, plain).unwrap();
        assert_eq!(hex::encode(&sealed[sealed.len() - 16..]), "c0875924c1c7987947deafd8780acf49");
        assert_eq!(hex::encode(&sealed[..16]), "bd6d179d3e83d43b9576579493c0e939");
        let opened = unseal(&key, &nonce, &associated, &sealed).unwrap();
        assert_eq!(opened.map(|plain| plain.len()), Ok(plain.len()));
    }

    /// RFC 5869, test case 3: no salt, no info.
    #[test]
    fn derivation_matches_the_published_vector_prefix() {
        let mut derived = [0; 42];
        Hkdf::<Sha256>::new(None, &[0x0b; 22]).expand(b"", &mut derived).unwrap();
        assert_eq!(hex::encode(&derived[..16]), "8da4e775a563c18f715f802a063c5a31");
    }

    #[test]
    fn record_opens_only_with_its_own_binding_and_id() {
        let key = Secret::random().unwrap();
        let binding = |generation| Binding::new([1; 16], generation, b"header");
        let (id, other) = (RecordId([2; 16]), RecordId([3; 16]));
        let plain = SecretBytes::from_slice(b"an invented secret").unwrap();
        let (nonce, sealed) = seal_record(&key, &binding(1), id, &plain).unwrap();
        let open = |binding: &Binding, id| {
            open_record(&key, binding, id, &nonce, &sealed).unwrap().map(|plain| plain.expose().to_vec())
        };
        assert_eq!(open(&binding(1), id), Ok(b"an invented secret".to_vec()));
        assert_eq!(open(&binding(2), id), Err(NotAuthentic));
        assert_eq!(open(&binding(1), other), Err(NotAuthentic));
        assert_eq!(open(&Binding::new([9; 16], 1, b"header"), id), Err(NotAuthentic));
        assert_eq!(open(&Binding::new([1; 16], 1, b"Header"), id), Err(NotAuthentic));
    }

    #[test]
    fn same_record_never_encrypts_to_the_same_bytes() {
        let key = Secret::random().unwrap();
        let binding = Binding::new([1; 16], 1, b"header");
        let plain = SecretBytes::from_slice(b"an invented secret").unwrap();
        let seal = || seal_record(&key, &binding, RecordId([2; 16]), &plain).unwrap();
        assert_ne!(seal(), seal());
    }
}
