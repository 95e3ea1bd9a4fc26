//! The keys of the log: the seed that lies in the vault, the key that each record uses up, the keys of the seals.

use crate::{AuditError, format::bytes};
use ed25519_dalek::{Signature, Signer as _, SigningKey as EdKey, VerifyingKey};
use secrets::{Secret, SecretBytes, SigningKey, scrub_stack};
use sha2::{Digest, Sha256};

const SEED_VERSION: u8 = 1;
const SEED_BYTES: usize = 1 + 32 + 16 + 32;

/// What the vault keeps of the log: the secret that its MACs begin with, which log it is, and its first public key.
/// The keys of the seals are not derived from it.
pub struct AuditSeed {
    secret: Secret<32>,
    chain: [u8; 16],
    anchor: PublicKey,
}

impl AuditSeed {
    /// From the bytes that [`Self::to_secret_bytes`] gave.
    ///
    /// # Errors
    /// [`AuditError::BadSeed`], or no memory for it.
    pub fn from_secret_bytes(from: &SecretBytes) -> Result<Self, AuditError> {
        let (version, rest) = from.expose().split_first().ok_or(AuditError::BadSeed)?;
        let (secret, rest) = rest.split_first_chunk::<32>().ok_or(AuditError::BadSeed)?;
        let (chain, rest) = rest.split_first_chunk::<16>().ok_or(AuditError::BadSeed)?;
        let anchor: [u8; 32] = rest.try_into().map_err(|_| AuditError::BadSeed)?;
        if *version != SEED_VERSION {
            return Err(AuditError::BadSeed);
        }
        Ok(Self {
            secret: Secret::from_bytes(SecretBytes::from_slice(secret)?)?,
            chain: *chain,
            anchor: PublicKey(anchor),
        })
    }

    /// The bytes for a record of the vault.
    ///
    /// # Errors
    /// No memory for them.
    pub fn to_secret_bytes(&self) -> Result<SecretBytes, AuditError> {
        let mut out = SecretBytes::zeroed(SEED_BYTES)?;
        let parts = [&[SEED_VERSION][..], self.secret.expose(), &self.chain, &self.anchor.0];
        let mut rest = out.expose_mut();
        for part in parts {
            let (head, tail) = rest.split_at_mut_checked(part.len()).ok_or(AuditError::BadSeed)?;
            head.copy_from_slice(part);
            rest = tail;
        }
        Ok(out)
    }

    /// Which log it belongs to.
    #[must_use]
    pub const fn chain(&self) -> [u8; 16] {
        self.chain
    }

    /// The first public key: whoever has it can check the whole log.
    #[must_use]
    pub const fn anchor(&self) -> PublicKey {
        self.anchor
    }

    pub(crate) fn new(anchor: PublicKey) -> Result<Self, AuditError> {
        let mut chain = [0; 16];
        secrets::fill_random(&mut chain)?;
        Ok(Self { secret: Secret::random()?, chain, anchor })
    }

    pub(crate) fn first_mac_key(&self) -> Result<Ratchet, AuditError> {
        Ok(Ratchet(self.derive(b"mac")?))
    }

    pub(crate) fn first_state_key(&self) -> Result<Ratchet, AuditError> {
        Ok(Ratchet(self.derive(b"state")?))
    }

    pub(crate) fn salt(&self) -> Result<Salt, AuditError> {
        Ok(Salt(SigningKey::new(SecretBytes::from_slice(self.derive(b"salt")?.expose())?)?))
    }

    fn derive(&self, what: &[u8]) -> Result<Secret<32>, AuditError> {
        let key = SigningKey::new(SecretBytes::from_slice(self.secret.expose())?)?;
        let mut derived = key.sign(&[what, &self.chain]);
        let kept = SecretBytes::take_from(&mut derived)?;
        scrub_stack();
        Ok(Secret::from_bytes(kept)?)
    }
}

/// Hides names.
pub(crate) struct Salt(SigningKey);

impl Salt {
    pub(crate) fn hide(&self, name: &str) -> String {
        let mac = self.0.sign(&[name.as_bytes()]);
        let (kept, _) = mac.split_at(16);
        format!("hmac:{}", hex::encode(kept))
    }
}

/// A key that is used once and then replaced by its own hash.
pub(crate) struct Ratchet(Secret<32>);

impl Ratchet {
    pub(crate) fn from_secret(key: Secret<32>) -> Self {
        Self(key)
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    pub(crate) fn secret(&self) -> &Secret<32> {
        &self.0
    }

    pub(crate) fn mac(&self, body: &[u8]) -> Result<[u8; 32], AuditError> {
        Ok(SigningKey::new(SecretBytes::from_slice(self.0.expose())?)?.sign(&[body]))
    }

    /// The key after this one. This one is wiped when it is dropped.
    pub(crate) fn next(&self) -> Result<Self, AuditError> {
        let mut hashed: [u8; 32] =
            Sha256::new().chain_update(b"ratchet").chain_update(self.0.expose()).finalize().into();
        let kept = SecretBytes::take_from(&mut hashed)?;
        scrub_stack();
        Ok(Self(Secret::from_bytes(kept)?))
    }
}

/// The secret key of one checkpoint.
pub(crate) struct Sealer(Secret<32>);

impl Sealer {
    pub(crate) fn fresh() -> Result<Self, AuditError> {
        Ok(Self(Secret::random()?))
    }

    pub(crate) fn from_secret(key: Secret<32>) -> Self {
        Self(key)
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    pub(crate) fn public(&self) -> Result<PublicKey, AuditError> {
        let public = PublicKey(self.key()?.verifying_key().to_bytes());
        scrub_stack();
        Ok(public)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<[u8; 64], AuditError> {
        let signature = self.key()?.sign(message).to_bytes();
        scrub_stack();
        Ok(signature)
    }

    fn key(&self) -> Result<EdKey, AuditError> {
        let bytes: &[u8; 32] = self.0.expose().try_into().map_err(|_| AuditError::BadSeed)?;
        Ok(EdKey::from_bytes(bytes))
    }
}

/// An Ed25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// From 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn from_hex(digits: &str) -> Option<Self> {
        bytes(digits).map(Self)
    }

    /// As 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// Whether `signature` over `message` is this key's; keys and signatures that fit several messages are refused.
    #[must_use]
    pub fn verifies(self, message: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
    }
}
