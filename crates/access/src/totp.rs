//! One-time codes by time (RFC 6238: HMAC-SHA-1, six digits, 30 s, one step either way), their record and its recovery
//! codes. Pure: the time is an argument, keeping the record is the caller's.
//!
//! Invariants: the last accepted step only grows, so a code is accepted once; a refused code changes nothing but the
//! count of failures; every change must be stored before the caller acts on the answer.

use crate::step_up::StepUpRefusal;
use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use secrets::{SecretBytes, SecretError};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

/// Version of the record's layout.
const FORMAT: u32 = 1;
/// The record's kind, which tells it from a key's.
const KIND: &str = "totp";
/// Seconds of a step.
const STEP_SECONDS: u64 = 30;
/// Bytes of a seed: the length of the hash, as RFC 4226 section 4 recommends.
const SEED_BYTES: usize = 20;
/// Bytes of a recovery code: 80 bits, too many to guess even from its hash.
const RECOVERY_BYTES: usize = 10;
/// Letters and digits of a recovery code.
const RECOVERY_CHARS: usize = 16;
/// Recovery codes of a set.
const RECOVERY_CODES: usize = 10;
/// Wrong codes in a row before a lock.
const FAILURES_FREE: u32 = 5;
/// The first lock, in seconds; each further wrong code doubles it.
const LOCK_SECONDS: u64 = 30;
/// Doublings at most: about 17 hours.
const DOUBLINGS_MAX: u32 = 11;

/// Recovery codes in plain text, to be shown once.
pub type RecoveryCodes = Vec<Zeroizing<String>>;

/// The record of one person's codes: seed, last accepted step, failures, hashes of the recovery codes.
pub struct TotpRecord {
    seed: SecretBytes,
    created: u64,
    last_step: u64,
    failures: u32,
    locked_until: u64,
    recovery: Vec<[u8; 32]>,
}

/// A new record and its recovery codes.
pub struct Enrolled {
    /// The record, to be kept once a first code was verified.
    pub record: TotpRecord,
    /// Its recovery codes, to be shown once.
    pub recovery: RecoveryCodes,
}

/// Why a record could not be made, read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// No memory for secrets, or no randomness.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The system gives no randomness.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// Not a record of ours.
    #[error("the record of one-time codes is damaged or of another version")]
    Unreadable,
    /// It cannot be drawn.
    #[error("the code for the authenticator cannot be drawn")]
    NotDrawn,
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    kind: &'static str,
    seed: &'a str,
    created: u64,
    last_step: u64,
    failures: u32,
    locked_until: u64,
    recovery: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<'a> {
    format: u32,
    kind: &'a str,
    #[serde(borrow)]
    seed: &'a str,
    created: u64,
    last_step: u64,
    failures: u32,
    locked_until: u64,
    recovery: Vec<String>,
}

impl TotpRecord {
    /// A new seed and new recovery codes.
    ///
    /// # Errors
    /// [`RecordFault`]: no memory for secrets, or no randomness.
    pub fn enroll(now_unix: u64) -> Result<Enrolled, RecordFault> {
        let seed = SecretBytes::random(SEED_BYTES)?;
        let mut record =
            Self { seed, created: now_unix, last_step: 0, failures: 0, locked_until: 0, recovery: Vec::new() };
        let recovery = record.renew_recovery()?;
        Ok(Enrolled { record, recovery })
    }

    /// When it was made, in seconds since 1970.
    #[must_use]
    pub const fn created(&self) -> u64 {
        self.created
    }

    /// Recovery codes that were not used yet.
    #[must_use]
    pub fn recovery_left(&self) -> usize {
        self.recovery.len()
    }

    /// Until when no code is accepted, in seconds since 1970; 0: there was no lock.
    #[must_use]
    pub const fn locked_until(&self) -> u64 {
        self.locked_until
    }

    /// New recovery codes in place of all former ones.
    ///
    /// # Errors
    /// [`RecordFault::NoRandomness`]; the former ones stay then.
    pub fn renew_recovery(&mut self) -> Result<RecoveryCodes, RecordFault> {
        let mut codes = RecoveryCodes::new();
        for _ in 0..RECOVERY_CODES {
            let mut bytes = Zeroizing::new([0_u8; RECOVERY_BYTES]);
            getrandom::fill(&mut *bytes).map_err(|_| RecordFault::NoRandomness)?;
            let text = Zeroizing::new(BASE32_NOPAD.encode(&*bytes).to_ascii_lowercase());
            let mut grouped = Zeroizing::new(String::with_capacity(RECOVERY_CHARS + 3));
            for (index, letter) in text.chars().enumerate() {
                if index > 0 && index % 4 == 0 {
                    grouped.push('-');
                }
                grouped.push(letter);
            }
            codes.push(grouped);
        }
        self.recovery = codes.iter().map(|code| recovery_hash(code)).collect();
        Ok(codes)
    }

    /// The address that an authenticator reads, seed included; for a person's screen only.
    #[must_use]
    pub fn provisioning_uri(&self, account: &str) -> Zeroizing<String> {
        let seed = Zeroizing::new(BASE32_NOPAD.encode(self.seed.expose()));
        let mut label = String::new();
        for byte in account.bytes() {
            // RFC 3986: what is not unreserved is written as %XX.
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                label.push(char::from(byte));
            } else {
                label.push_str(&format!("%{byte:02X}"));
            }
        }
        Zeroizing::new(format!(
            "otpauth://totp/steadfast:{label}?secret={}&issuer=steadfast&algorithm=SHA1&digits=6&period={STEP_SECONDS}",
            *seed
        ))
    }

    /// Accepts a six-digit code or a recovery code. Whatever the answer, the record may have changed and must be
    /// stored before the answer is given.
    ///
    /// # Errors
    /// [`StepUpRefusal`]; what the code was for must not be done.
    pub fn step_up(&mut self, code: &str, now_unix: u64) -> Result<(), StepUpRefusal> {
        let digits = code.chars().all(|c| c.is_ascii_digit() || c == ' ');
        if digits { self.verify(code, now_unix) } else { self.use_recovery(code, now_unix).map(|_| ()) }
    }

    /// Accepts a six-digit code of this step or of one beside it, once.
    ///
    /// # Errors
    /// [`StepUpRefusal::Wrong`], [`StepUpRefusal::Replayed`], [`StepUpRefusal::Locked`].
    pub fn verify(&mut self, code: &str, now_unix: u64) -> Result<(), StepUpRefusal> {
        self.unlocked(now_unix)?;
        let given: Zeroizing<String> = Zeroizing::new(code.chars().filter(|c| *c != ' ').collect());
        let step = now_unix / STEP_SECONDS;
        let (mut fresh, mut spent) = (None, false);
        for near in step.saturating_sub(1)..=step.saturating_add(1) {
            let expected = Zeroizing::new(format!("{:06}", self.code_of(near)));
            let same = bool::from(expected.as_bytes().ct_eq(given.as_bytes()));
            if same && near > self.last_step {
                fresh = fresh.or(Some(near));
            } else if same {
                spent = true;
            }
        }
        match fresh {
            Some(accepted) => {
                self.last_step = accepted;
                self.failures = 0;
                self.locked_until = 0;
                Ok(())
            }
            None if spent => Err(StepUpRefusal::Replayed),
            None => Err(self.failed(now_unix)),
        }
    }

    /// Accepts a recovery code, once, and says how many are left.
    ///
    /// # Errors
    /// [`StepUpRefusal::Wrong`], [`StepUpRefusal::Locked`].
    pub fn use_recovery(&mut self, code: &str, now_unix: u64) -> Result<usize, StepUpRefusal> {
        self.unlocked(now_unix)?;
        let given = recovery_hash(code);
        let mut place = None;
        for (index, hash) in self.recovery.iter().enumerate() {
            if bool::from(hash.ct_eq(&given)) {
                place = Some(index);
            }
        }
        let Some(index) = place else { return Err(self.failed(now_unix)) };
        self.recovery.remove(index);
        self.failures = 0;
        self.locked_until = 0;
        Ok(self.recovery.len())
    }

    /// The record's bytes, for the vault.
    ///
    /// # Errors
    /// [`RecordFault::Secret`] when there is no memory for them.
    pub fn to_secret_bytes(&self) -> Result<SecretBytes, RecordFault> {
        let seed = Zeroizing::new(hex::encode(self.seed.expose()));
        let written = Written {
            format: FORMAT,
            kind: KIND,
            seed: &seed,
            created: self.created,
            last_step: self.last_step,
            failures: self.failures,
            locked_until: self.locked_until,
            recovery: self.recovery.iter().map(hex::encode).collect(),
        };
        // First measured, then written into memory that never grows: a grown buffer leaves copies behind.
        let mut measure = Measure(0);
        serde_json::to_writer(&mut measure, &written).map_err(|_| RecordFault::Unreadable)?;
        let mut bytes = SecretBytes::zeroed(measure.0)?;
        serde_json::to_writer(bytes.expose_mut(), &written).map_err(|_| RecordFault::Unreadable)?;
        Ok(bytes)
    }

    /// Reads what [`Self::to_secret_bytes`] wrote.
    ///
    /// # Errors
    /// [`RecordFault::Unreadable`] when it is not one of ours.
    pub fn from_secret_bytes(bytes: &SecretBytes) -> Result<Self, RecordFault> {
        let unreadable = |_| RecordFault::Unreadable;
        let read: Read<'_> = serde_json::from_slice(bytes.expose()).map_err(unreadable)?;
        if read.format != FORMAT || read.kind != KIND || read.seed.len() != 2 * SEED_BYTES {
            return Err(RecordFault::Unreadable);
        }
        let mut seed = SecretBytes::zeroed(SEED_BYTES)?;
        hex::decode_to_slice(read.seed, seed.expose_mut()).map_err(|_| RecordFault::Unreadable)?;
        let mut recovery = Vec::new();
        for text in &read.recovery {
            let mut hash = [0; 32];
            hex::decode_to_slice(text, &mut hash).map_err(|_| RecordFault::Unreadable)?;
            recovery.push(hash);
        }
        Ok(Self {
            seed,
            created: read.created,
            last_step: read.last_step,
            failures: read.failures,
            locked_until: read.locked_until,
            recovery,
        })
    }

    fn unlocked(&self, now_unix: u64) -> Result<(), StepUpRefusal> {
        match self.locked_until.checked_sub(now_unix) {
            None | Some(0) => Ok(()),
            Some(seconds) => Err(StepUpRefusal::Locked { seconds }),
        }
    }

    fn failed(&mut self, now_unix: u64) -> StepUpRefusal {
        self.failures = self.failures.saturating_add(1);
        if let Some(further) = self.failures.checked_sub(FAILURES_FREE) {
            let seconds = LOCK_SECONDS << further.min(DOUBLINGS_MAX);
            self.locked_until = now_unix.saturating_add(seconds);
        }
        StepUpRefusal::Wrong
    }

    fn code_of(&self, step: u64) -> u32 {
        hotp(self.seed.expose(), step) % 1_000_000
    }
}

/// The 31-bit number of RFC 4226 section 5.3 for a counter.
fn hotp(seed: &[u8], counter: u64) -> u32 {
    // A key of any length is taken by HMAC.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(seed) else { return u32::MAX };
    mac.update(&counter.to_be_bytes());
    let mut digest: [u8; 20] = mac.finalize().into_bytes().into();
    let offset = usize::from(digest[19] & 0x0f);
    let mut word = [0; 4];
    for (to, from) in word.iter_mut().zip(digest.iter().skip(offset)) {
        *to = *from;
    }
    digest.zeroize();
    u32::from_be_bytes(word) & 0x7fff_ffff
}

fn recovery_hash(code: &str) -> [u8; 32] {
    let plain: Zeroizing<String> =
        Zeroizing::new(code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect());
    Sha256::digest(plain.as_bytes()).into()
}

/// A QR code of this text, for a terminal: two modules to a character, light on dark.
///
/// # Errors
/// [`RecordFault::NotDrawn`] when the text is too long.
pub fn qr(text: &str) -> Result<Zeroizing<String>, RecordFault> {
    let code = QrCode::new(text.as_bytes()).map_err(|_| RecordFault::NotDrawn)?;
    let drawn = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    Ok(Zeroizing::new(drawn))
}

/// Counts what would be written.
struct Measure(usize);

impl std::io::Write for Measure {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_800_000_000;

    fn enrolled() -> Enrolled {
        TotpRecord::enroll(NOW).unwrap()
    }

    fn code(record: &TotpRecord, at: u64) -> String {
        format!("{:06}", record.code_of(at / STEP_SECONDS))
    }

    /// A code that no step near `at` has.
    fn wrong(record: &TotpRecord, at: u64) -> String {
        let near: Vec<_> = (0..=4).map(|step| record.code_of(at / STEP_SECONDS + step - 2)).collect();
        let number = (0..1_000_000).find(|number| !near.contains(number)).unwrap();
        format!("{number:06}")
    }

    fn reopened(record: &TotpRecord) -> TotpRecord {
        TotpRecord::from_secret_bytes(&record.to_secret_bytes().unwrap()).unwrap()
    }

    #[test]
    fn codes_are_those_of_rfc_6238_appendix_b() {
        for (time, expected) in [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ] {
            assert_eq!(hotp(b"12345678901234567890", time / STEP_SECONDS) % 100_000_000, expected, "{time}");
        }
    }

    #[test]
    fn numbers_are_those_of_rfc_4226_appendix_d() {
        let expected = [755_224, 287_082, 359_152, 969_429, 338_314, 254_676, 287_922, 162_583, 399_871, 520_489];
        for (counter, number) in (0..).zip(expected) {
            assert_eq!(hotp(b"12345678901234567890", counter) % 1_000_000, number);
        }
    }

    #[test]
    fn code_of_this_step_and_of_one_beside_it_is_accepted_and_no_other() {
        for (offset, fine) in [(-60_i64, false), (-30, true), (0, true), (30, true), (60, false)] {
            let Enrolled { mut record, .. } = enrolled();
            let code = code(&record, NOW.checked_add_signed(offset).unwrap());
            assert_eq!(record.verify(&code, NOW).is_ok(), fine, "{offset} s");
        }
    }

    #[test]
    fn code_is_accepted_once_also_after_a_restart() {
        let Enrolled { mut record, .. } = enrolled();
        let code = code(&record, NOW);
        record.verify(&code, NOW).unwrap();
        assert_eq!(record.verify(&code, NOW + 1), Err(StepUpRefusal::Replayed));
        let mut record = reopened(&record);
        assert_eq!(record.verify(&code, NOW + 2), Err(StepUpRefusal::Replayed));
    }

    #[test]
    fn older_code_is_refused_after_a_newer_one_and_when_the_clock_goes_back() {
        let Enrolled { mut record, .. } = enrolled();
        let (older, newer) = (code(&record, NOW - 30), code(&record, NOW));
        record.verify(&newer, NOW).unwrap();
        assert_eq!(record.verify(&older, NOW), Err(StepUpRefusal::Replayed));
        assert_eq!(record.verify(&older, NOW - 30), Err(StepUpRefusal::Replayed));
        record.verify(&code(&record, NOW + 30), NOW + 30).unwrap();
    }

    #[test]
    fn five_wrong_codes_lock_for_half_a_minute_and_each_further_one_doubles_it() {
        let Enrolled { mut record, .. } = enrolled();
        let bad = wrong(&record, NOW);
        for _ in 0..5 {
            assert_eq!(record.verify(&bad, NOW), Err(StepUpRefusal::Wrong));
        }
        assert_eq!(record.verify(&code(&record, NOW), NOW), Err(StepUpRefusal::Locked { seconds: 30 }));
        let mut record = reopened(&record);
        assert_eq!(record.verify(&code(&record, NOW), NOW + 1), Err(StepUpRefusal::Locked { seconds: 29 }));
        let mut now = NOW + 30;
        for seconds in [60, 120, 240] {
            assert_eq!(record.verify(&wrong(&record, now), now), Err(StepUpRefusal::Wrong));
            assert_eq!(record.verify(&code(&record, now), now), Err(StepUpRefusal::Locked { seconds }));
            now += seconds;
        }
        record.verify(&code(&record, now), now).unwrap();
        let bad = wrong(&record, now);
        assert_eq!(record.verify(&bad, now), Err(StepUpRefusal::Wrong));
        record.verify(&code(&record, now + 30), now + 30).unwrap();
    }

    #[test]
    fn lock_never_grows_beyond_a_day() {
        let Enrolled { mut record, .. } = enrolled();
        let mut now = NOW;
        for _ in 0..100 {
            let _ = record.verify(&wrong(&record, now), now);
            assert!(record.locked_until().saturating_sub(now) < 86_400);
            now = now.max(record.locked_until());
        }
    }

    #[test]
    fn each_recovery_code_works_once_however_it_is_typed() {
        let Enrolled { mut record, recovery } = enrolled();
        assert_eq!(recovery.len(), RECOVERY_CODES);
        assert!(recovery.iter().all(|code| code.len() == RECOVERY_CHARS + 3));
        assert_eq!(record.use_recovery(&recovery[0], NOW), Ok(9));
        let mut record = reopened(&record);
        assert_eq!(record.use_recovery(&recovery[0], NOW), Err(StepUpRefusal::Wrong));
        let typed = recovery[1].to_uppercase().replace('-', " ");
        record.step_up(&typed, NOW).unwrap();
        assert_eq!(record.recovery_left(), 8);
        let renewed = record.renew_recovery().unwrap();
        assert_eq!(record.use_recovery(&recovery[2], NOW), Err(StepUpRefusal::Wrong));
        record.use_recovery(&renewed[2], NOW).unwrap();
    }

    #[test]
    fn wrong_recovery_codes_lock_like_wrong_codes() {
        let Enrolled { mut record, recovery } = enrolled();
        for _ in 0..5 {
            assert_eq!(record.step_up("aaaa-aaaa-aaaa-aaaa", NOW), Err(StepUpRefusal::Wrong));
        }
        assert!(matches!(record.step_up(&recovery[0], NOW), Err(StepUpRefusal::Locked { .. })));
    }

    #[test]
    fn record_holds_no_recovery_code_and_garbage_is_no_record() {
        let Enrolled { record, recovery } = enrolled();
        let bytes = record.to_secret_bytes().unwrap();
        let text = bytes.expose_text().unwrap();
        assert!(text.starts_with(r#"{"format":1,"kind":"totp","#), "the kind stands where custody looks for it");
        assert!(recovery.iter().all(|code| !text.contains(&**code) && !text.contains(&code.replace('-', ""))));
        for garbage in ["", "{}", &text.replacen("totp", "key", 1), &text.replacen("\"format\":1", "\"format\":2", 1)] {
            let bytes = SecretBytes::from_slice(garbage.as_bytes()).unwrap();
            assert_eq!(TotpRecord::from_secret_bytes(&bytes).err(), Some(RecordFault::Unreadable));
        }
    }

    #[test]
    fn address_has_the_seed_and_an_escaped_name_and_can_be_drawn() {
        let Enrolled { record, .. } = enrolled();
        let uri = record.provisioning_uri("my bot&x=1");
        assert!(uri.starts_with("otpauth://totp/steadfast:my%20bot%26x%3D1?secret="), "the label is escaped");
        let seed = uri.split_once("secret=").unwrap().1.split_once('&').unwrap().0;
        assert_eq!(BASE32_NOPAD.decode(seed.as_bytes()).unwrap(), record.seed.expose());
        let drawn = qr(&uri).unwrap();
        assert!(drawn.lines().count() > 15 && drawn.lines().all(|line| line.chars().count() <= 80));
    }

    proptest! {
        #[test]
        fn no_text_that_is_not_a_code_is_ever_accepted(text in "\\PC{0,24}") {
            let Enrolled { mut record, .. } = enrolled();
            let near = [NOW - 30, NOW, NOW + 30].map(|at| code(&record, at));
            let plain: String = text.chars().filter(|c| *c != ' ').collect();
            prop_assume!(!near.contains(&plain));
            prop_assert_eq!(record.step_up(&text, NOW), Err(StepUpRefusal::Wrong));
        }
    }
}
