//! Values of a key on their way from the person's terminal to the open vault: sealed by the command that asked for
//! them, opened where the vault is, ciphertext everywhere between.
//!
//! HPKE (RFC 9180), base mode: X25519, HKDF-SHA256, ChaCha20-Poly1305. What is said of the key beside its values, and
//! the start that the sealing key belongs to, is authenticated with them.
//!
//! Invariant: opened values exist in locked memory only; what was sealed to another start is refused.

use crate::custody::NewKey;
use crate::record::KeySecrets;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hpke::aead::{AeadTag, ChaCha20Poly1305};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use messages::{KeyAlias, KeyRole};
use secrets::{SecretBytes, SecretError};
use serde::{Deserialize, Serialize};

type Aead = ChaCha20Poly1305;
type Kdf = HkdfSha256;
type Exchange = X25519HkdfSha256;

/// What the ciphertext is for.
const INFO: &[u8] = b"steadfast keys v1";
const ENCAPSULATED_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// Longest text of sealed values: three values with their lengths, as base64.
const SEALED_CHARS_MAX: usize = 2_048;

/// The public half of a start's sealing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealingPublic {
    /// The X25519 key, 64 hexadecimal digits.
    pub key: String,
    /// The start that it belongs to, 32 hexadecimal digits; made up at each start.
    pub boot: String,
}

/// A key whose values nobody but the signer of one start can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedKey {
    /// The name to give it.
    pub alias: KeyAlias,
    /// Kind of venue, such as `bitget`.
    pub venue: String,
    /// The account as the settings name it.
    pub account: String,
    /// What it is for.
    pub role: KeyRole,
    /// The wallets to follow.
    pub wallets: Vec<String>,
    /// API key, secret and passphrase, as base64 of what HPKE made of them.
    pub sealed: String,
}

/// What the settings, and not whoever links a key, say of the account that it is linked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// `production`, `demo` or `sim`.
    pub environment: String,
    /// Whether it is certain that no order can be entered over the log-in of a trading key.
    pub login_confirmed: bool,
}

/// Why sealed values were not made or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The public key is none.
    #[error("the signer's sealing key cannot be used")]
    BadPublicKey,
    /// Not what [`seal`] makes.
    #[error("the sealed values are malformed")]
    Malformed,
    /// Changed on the way, sealed for another key or name, or to another start of the signer.
    #[error("the sealed values do not open: they were changed, or sealed to another start of the daemon")]
    NotOurs,
    /// No locked memory or randomness.
    #[error(transparent)]
    Memory(#[from] SecretError),
}

impl SealedKey {
    /// What custody is told of the key.
    #[must_use]
    pub fn described(&self, origin: &Origin) -> NewKey {
        NewKey {
            alias: self.alias,
            venue: self.venue.clone(),
            environment: origin.environment.clone(),
            account: self.account.clone(),
            role: self.role,
            wallets: self.wallets.clone(),
            stream_login_confirmed: origin.login_confirmed,
        }
    }

    /// What is authenticated with the values.
    fn bound(&self, boot: &str) -> Vec<u8> {
        let role = match self.role {
            KeyRole::Trade => "trade",
            KeyRole::Stream => "stream",
        };
        let mut bound = Vec::new();
        let fields = [self.alias.as_str(), &self.venue, boot, &self.account, role];
        for field in fields.into_iter().chain(self.wallets.iter().map(String::as_str)) {
            bound.extend_from_slice(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            bound.extend_from_slice(field.as_bytes());
        }
        bound
    }
}

/// Seals the values of a key to a signer. `described` says what is known of the key; its `sealed` is replaced.
///
/// # Errors
/// [`SealError`].
pub fn seal(public: &SealingPublic, described: SealedKey, secrets: &KeySecrets) -> Result<SealedKey, SealError> {
    let key = hex::decode(&public.key).map_err(|_| SealError::BadPublicKey)?;
    let key = <Exchange as Kem>::PublicKey::from_bytes(&key).map_err(|_| SealError::BadPublicKey)?;
    let mut values = pack(secrets)?;
    let bound = described.bound(&public.boot);
    let buffer = InOutBuf::from(values.expose_mut());
    let (encapsulated, tag) =
        hpke::single_shot_seal_inout_detached::<Aead, Kdf, Exchange>(&OpModeS::Base, &key, INFO, buffer, &bound)
            .map_err(|_| SealError::BadPublicKey)?;
    let mut text = encapsulated.to_bytes().to_vec();
    text.extend_from_slice(values.expose());
    text.extend_from_slice(&tag.to_bytes());
    Ok(SealedKey { sealed: BASE64.encode(text), ..described })
}

/// The sealing key of one start. Its secret half exists in locked memory and is gone with this value.
pub struct SealingKey {
    secret: SecretBytes,
    public: SealingPublic,
}

impl SealingKey {
    /// Makes one up.
    ///
    /// # Errors
    /// [`SealError::Memory`].
    pub fn generate() -> Result<Self, SealError> {
        let seed = SecretBytes::random(32)?;
        let (secret, public) = Exchange::derive_keypair(seed.expose());
        let mut kept = SecretBytes::zeroed(32)?;
        secret.write_exact(kept.expose_mut());
        let mut boot = [0_u8; 16];
        secrets::fill_random(&mut boot)?;
        let public = SealingPublic { key: hex::encode(public.to_bytes()), boot: hex::encode(boot) };
        drop(secret);
        secrets::scrub_stack();
        Ok(Self { secret: kept, public })
    }

    /// The half that everybody may know.
    #[must_use]
    pub const fn public(&self) -> &SealingPublic {
        &self.public
    }

    /// Opens the values of a key.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open(&self, key: &SealedKey) -> Result<KeySecrets, SealError> {
        if key.sealed.len() > SEALED_CHARS_MAX {
            return Err(SealError::Malformed);
        }
        let bytes = BASE64.decode(&key.sealed).map_err(|_| SealError::Malformed)?;
        let (encapsulated, rest) = bytes.split_at_checked(ENCAPSULATED_BYTES).ok_or(SealError::Malformed)?;
        let values = rest.len().checked_sub(TAG_BYTES).ok_or(SealError::Malformed)?;
        let (ciphertext, tag) = rest.split_at_checked(values).ok_or(SealError::Malformed)?;
        let encapsulated =
            <Exchange as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| SealError::Malformed)?;
        let tag = AeadTag::<Aead>::from_bytes(tag).map_err(|_| SealError::Malformed)?;
        let secret = <Exchange as Kem>::PrivateKey::from_bytes(self.secret.expose())
            .map_err(|_| SealError::Memory(SecretError::NoRandomness))?;
        // Locked memory first: what is opened is opened there.
        let mut opened = SecretBytes::from_slice(ciphertext)?;
        let buffer = InOutBuf::from(opened.expose_mut());
        let bound = key.bound(&self.public.boot);
        let done = hpke::single_shot_open_inout_detached::<Aead, Kdf, Exchange>(
            &OpModeR::Base,
            &secret,
            &encapsulated,
            INFO,
            buffer,
            &bound,
            &tag,
        );
        drop(secret);
        secrets::scrub_stack();
        done.map_err(|_| SealError::NotOurs)?;
        unpack(&opened)
    }
}

/// Each value behind its length, two bytes.
fn pack(secrets: &KeySecrets) -> Result<SecretBytes, SealError> {
    let parts = [&secrets.key, &secrets.secret, &secrets.passphrase];
    let mut packed = SecretBytes::zeroed(parts.iter().map(|part| 2 + part.len()).sum())?;
    let mut rest = packed.expose_mut();
    for part in parts {
        let len = u16::try_from(part.len()).map_err(|_| SealError::Malformed)?.to_be_bytes();
        for bytes in [&len[..], part.expose()] {
            let (here, behind) = rest.split_at_mut_checked(bytes.len()).ok_or(SealError::Malformed)?;
            here.copy_from_slice(bytes);
            rest = behind;
        }
    }
    Ok(packed)
}

fn unpack(packed: &SecretBytes) -> Result<KeySecrets, SealError> {
    let mut rest = packed.expose();
    let mut next = || -> Result<SecretBytes, SealError> {
        let (len, behind) = rest.split_first_chunk::<2>().ok_or(SealError::Malformed)?;
        let (value, behind) =
            behind.split_at_checked(usize::from(u16::from_be_bytes(*len))).ok_or(SealError::Malformed)?;
        rest = behind;
        Ok(SecretBytes::from_slice(value)?)
    };
    let opened = KeySecrets { key: next()?, secret: next()?, passphrase: next()? };
    if rest.is_empty() { Ok(opened) } else { Err(SealError::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::secrets;

    fn described() -> SealedKey {
        SealedKey {
            alias: KeyAlias::from("main").unwrap(),
            venue: "bitget".to_owned(),
            account: "bitget-main".to_owned(),
            role: KeyRole::Trade,
            wallets: vec!["spot".to_owned()],
            sealed: String::new(),
        }
    }

    #[test]
    fn sealed_values_open_at_the_start_they_were_sealed_to_and_at_no_other() {
        let (here, there) = (SealingKey::generate().unwrap(), SealingKey::generate().unwrap());
        for passphrase in ["", "Passw0rd1"] {
            let given = secrets("bg_invented", "an invented secret", passphrase);
            let sealed = seal(here.public(), described(), &given).unwrap();
            let opened = here.open(&sealed).unwrap();
            assert_eq!(opened.key.expose(), given.key.expose());
            assert_eq!(opened.secret.expose(), given.secret.expose());
            assert_eq!(opened.passphrase.expose(), given.passphrase.expose());
            assert!(matches!(there.open(&sealed), Err(SealError::NotOurs)));
        }
        // The same key pair at another start: the name of the start alone tells them apart.
        let again = SealingKey {
            secret: here.secret.duplicate().unwrap(),
            public: SealingPublic { boot: there.public.boot.clone(), ..here.public.clone() },
        };
        let sealed = seal(here.public(), described(), &secrets("k", "s", "p")).unwrap();
        assert!(matches!(again.open(&sealed), Err(SealError::NotOurs)));
        assert!(here.open(&sealed).is_ok());
    }

    #[test]
    fn no_bit_of_the_ciphertext_and_no_word_about_the_key_can_be_changed() {
        let here = SealingKey::generate().unwrap();
        let sealed = seal(here.public(), described(), &secrets("bg_invented", "invented", "pass")).unwrap();
        let bytes = BASE64.decode(&sealed.sealed).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let text = BASE64.encode(&changed);
            assert!(here.open(&SealedKey { sealed: text, ..sealed.clone() }).is_err(), "byte {place}");
        }
        for cut in [0, 1, ENCAPSULATED_BYTES, bytes.len() - 1] {
            let text = BASE64.encode(&bytes[..cut]);
            assert!(here.open(&SealedKey { sealed: text, ..sealed.clone() }).is_err());
        }
        let others = [
            SealedKey { alias: KeyAlias::from("other").unwrap(), ..sealed.clone() },
            SealedKey { venue: "bybit".to_owned(), ..sealed.clone() },
            SealedKey { account: "bitget-sub".to_owned(), ..sealed.clone() },
            SealedKey { role: KeyRole::Stream, ..sealed.clone() },
            SealedKey { wallets: vec!["spot".to_owned(), "futures".to_owned()], ..sealed.clone() },
            SealedKey { wallets: Vec::new(), ..sealed.clone() },
        ];
        for other in others {
            assert!(matches!(here.open(&other), Err(SealError::NotOurs)), "{other:?}");
        }
        let long = SealedKey { sealed: "A".repeat(SEALED_CHARS_MAX + 4), ..sealed.clone() };
        assert!(matches!(here.open(&long), Err(SealError::Malformed)));
        assert!(here.open(&sealed).is_ok(), "the control opens");
    }

    #[test]
    fn what_is_sent_holds_no_value_in_any_common_form_and_differs_each_time() {
        let here = SealingKey::generate().unwrap();
        let given = secrets("bg_0123456789abcdef", "fedcba98765432100123456789", "Quiet0rchard7");
        let one = seal(here.public(), described(), &given).unwrap();
        let two = seal(here.public(), described(), &given).unwrap();
        assert_ne!(one.sealed, two.sealed);
        let sent = serde_json::to_string(&one).unwrap();
        let raw = BASE64.decode(&one.sealed).unwrap();
        let forms = |value: &SecretBytes| {
            [
                value.expose().to_vec(),
                BASE64.encode(value.expose()).into_bytes(),
                hex::encode(value.expose()).into_bytes(),
            ]
        };
        for form in [&given.key, &given.secret, &given.passphrase].into_iter().flat_map(forms) {
            for window in form.windows(8) {
                assert!(!sent.as_bytes().windows(8).any(|here| here == window));
                assert!(!raw.windows(8).any(|here| here == window));
            }
        }
        assert!(pack(&given).unwrap().expose().windows(8).any(|here| here == b"Quiet0rc"), "the control is found");
    }

    #[test]
    fn public_key_that_is_none_seals_nothing() {
        for key in ["", "00", "zz", &"0".repeat(63)] {
            let public = SealingPublic { key: key.to_owned(), boot: "00".to_owned() };
            assert_eq!(seal(&public, described(), &secrets("k", "s", "p")).unwrap_err(), SealError::BadPublicKey);
        }
    }
}
