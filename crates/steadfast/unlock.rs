//! Where the vault's passphrase comes from: a prompt, a file, a descriptor, or a credential of the service manager.

use crate::audit_trail;
use crate::cli::Global;
use crate::data_dir::write_private;
use crate::report::{Exit, Trouble, causes};
use crate::signers::UnlockFrom;
use crate::term;
use domain::UnixNanos;
use order_signer::{Custody, CustodyError};
use secrets::SecretBytes;
use settings::Unlock;
use std::io::{BufRead as _, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use vault::{KdfParams, Passphrase, SECRET_BYTES_MIN, SlotKind, VaultError};
use zeroize::Zeroizing;

/// Longest passphrase file.
const LEN_MAX: u64 = 4_096;
/// Rights that nobody may have on a credential. The service manager may grant by an access list, which shows as a
/// group's right to read.
const CREDENTIAL_FORBIDDEN: u32 = 0o037;
/// How the passphrase gets here without a terminal.
const UNATTENDED: &str = "run it at a terminal, or put the passphrase into a file of mode 0600 and set [vault] unlock = \"file:PATH\" in\nconfig/steadfast.toml; for one command: STEADFAST__VAULT__UNLOCK=file:PATH, where /dev/fd/3 takes it from descriptor 3";

/// Opens the vault of a custody directory with the passphrase from its configured source.
///
/// # Errors
/// [`Trouble`]: no vault yet, passphrase not to be had or wrong, vault open to others or damaged.
pub fn open(global: &Global, dir: &Path, settings: &settings::Vault) -> Result<Custody, Trouble> {
    open_with_opener(global, dir, settings).map(|(custody, _)| custody)
}

/// As [`open`], with what opened it.
///
/// # Errors
/// As [`open`].
pub fn open_with_opener(global: &Global, dir: &Path, settings: &settings::Vault) -> Result<(Custody, Opener), Trouble> {
    exists(dir)?;
    open_by(global, dir, &source_of(global, &settings.unlock)?, settings.auto_lock_after_failures)
}

fn exists(dir: &Path) -> Result<(), Trouble> {
    if Custody::exists(dir) {
        return Ok(());
    }
    Err(Trouble::new(Exit::Key, format!("there is no vault in {}", dir.display()))
        .why("no key has been linked yet")
        .fix("steadfast keys add ALIAS --venue bitget"))
}

/// As [`open`], from a source whose place is known already; `lock_after` wrong passphrases in a row, it is not read
/// any more unless a person types it.
///
/// # Errors
/// As [`open`].
pub fn open_from(global: &Global, dir: &Path, unlock: &UnlockFrom, lock_after: u32) -> Result<Custody, Trouble> {
    exists(dir)?;
    open_by(global, dir, unlock, lock_after).map(|(custody, _)| custody)
}

fn open_by(global: &Global, dir: &Path, unlock: &UnlockFrom, lock_after: u32) -> Result<(Custody, Opener), Trouble> {
    attempt(global, dir, unlock, lock_after, |opener| {
        let custody = opener.custody(dir).inspect_err(|error| {
            if let CustodyError::Vault(VaultError::RolledBack { .. }) = error {
                // Genuine, but old: what is in it says where the refusal is to be recorded.
                if let Ok(vault) = opener.vault(dir) {
                    audit_trail::rollback_refused(dir, &vault, error);
                }
            }
        })?;
        Ok((custody, opener))
    })
}

/// What opens a vault.
pub enum Opener {
    /// What a person knows.
    Passphrase(Passphrase),
    /// A random secret, of a machine or recovery slot.
    Secret(SlotKind, SecretBytes),
}

impl Opener {
    /// First word of a file that holds the secret of a machine slot.
    pub const MACHINE: &'static str = "steadfast-machine-key-1";
    /// First word of a recovery code.
    pub const RECOVERY: &'static str = "steadfast-recovery-1";

    /// A passphrase, or one of the two secrets, which say what they are.
    fn from_text(text: &str) -> Result<Self, Trouble> {
        for (word, kind) in [(Self::MACHINE, SlotKind::Machine), (Self::RECOVERY, SlotKind::Recovery)] {
            if let Some(rest) = text.strip_prefix(word).filter(|rest| rest.starts_with([' ', '-'])) {
                let digits: Zeroizing<String> =
                    Zeroizing::new(rest.chars().filter(|character| !matches!(character, ' ' | '-')).collect());
                let mut bytes = Zeroizing::new([0_u8; SECRET_BYTES_MIN]);
                hex::decode_to_slice(digits.as_bytes(), &mut *bytes).map_err(|_| {
                    Trouble::new(Exit::Key, format!("the {kind} secret is incomplete"))
                        .why("64 hexadecimal digits are expected after its first word")
                })?;
                let secret = SecretBytes::from_slice(&*bytes)
                    .map_err(|error| Trouble::new(Exit::Key, "no safe memory for a secret").why(causes(&error)))?;
                return Ok(Self::Secret(kind, secret));
            }
        }
        to_passphrase(text).map(Self::Passphrase)
    }

    fn custody(&self, dir: &Path) -> Result<Custody, CustodyError> {
        match self {
            Self::Passphrase(passphrase) => Custody::open(dir, passphrase),
            Self::Secret(kind, secret) => Custody::open_by_secret(dir, *kind, secret),
        }
    }

    /// The vault as if no generation of it had been seen.
    fn vault(&self, dir: &Path) -> Result<vault::Vault, CustodyError> {
        let path = Custody::vault_path(dir);
        Ok(match self {
            Self::Passphrase(passphrase) => vault::Vault::open(path, passphrase, 0)?,
            Self::Secret(kind, secret) => vault::Vault::open_by_secret(path, *kind, secret, 0)?,
        })
    }
}

/// Opens the vault to look into it, beside a running daemon too: nothing is written.
///
/// # Errors
/// As [`open`].
pub fn look(global: &Global, dir: &Path, settings: &settings::Vault) -> Result<vault::Vault, Trouble> {
    if !Custody::exists(dir) {
        return Err(Trouble::new(Exit::Key, format!("there is no vault in {}", dir.display())));
    }
    let unlock = source_of(global, &settings.unlock)?;
    attempt(global, dir, &unlock, settings.auto_lock_after_failures, |opener| opener.vault(dir))
}

/// How often a wrong passphrase was given since the vault was opened last.
#[must_use]
pub fn failures(dir: &Path) -> u32 {
    Failures::of(dir).number()
}

fn attempt<T>(
    global: &Global,
    dir: &Path,
    unlock: &UnlockFrom,
    lock_after: u32,
    open: impl FnOnce(Opener) -> Result<T, CustodyError>,
) -> Result<T, Trouble> {
    let failures = Failures::of(dir);
    if !matches!(unlock, UnlockFrom::Prompt | UnlockFrom::Terminal) && failures.number() >= lock_after {
        return Err(Trouble::new(
            Exit::Key,
            format!("the vault is locked after {} wrong passphrases in a row", failures.number()),
        )
        .why(format!(
            "the passphrase came from {}; it is not tried again ([vault] auto_lock_after_failures = {lock_after})",
            place(unlock),
        ))
        .fix("correct it there, then open the vault once by hand, at a terminal:\nSTEADFAST__VAULT__UNLOCK=prompt steadfast keys list"));
    }
    failures.wait(global);
    let opener = Opener::from_text(&text(global, unlock, "passphrase of the vault: ")?)?;
    match open(opener) {
        Ok(opened) => {
            failures.forget();
            Ok(opened)
        }
        Err(error) => {
            failures.count(&error);
            Err(vault_trouble(dir, unlock, &error))
        }
    }
}

/// Creates a vault; the passphrase is asked for twice when a person types it.
///
/// # Errors
/// [`Trouble`]: passphrase too short or not the same twice, directory not safe.
pub fn create(
    global: &Global,
    dir: &Path,
    unlock: &Unlock,
    cost: KdfParams,
    now: UnixNanos,
) -> Result<Custody, Trouble> {
    let unlock = &source_of(global, unlock)?;
    let asks = matches!(unlock, UnlockFrom::Prompt) && term::can_ask(global);
    if asks {
        term::say(
            global,
            &format!(
                "a new vault is made in {}; choose its passphrase: at least {} characters,\nsix words are good. It cannot be recovered.",
                dir.display(),
                Passphrase::CHARACTERS_MIN
            ),
        );
    }
    let first = text(global, unlock, "new passphrase of the vault: ")?;
    if asks {
        let second = term::ask_secret(global, "the same again: ", UNATTENDED)?;
        if *first != *second {
            return Err(
                Trouble::new(Exit::Key, "the two passphrases differ").fix("run the command again; nothing was stored")
            );
        }
    }
    let passphrase = to_passphrase(&first)?;
    if asks {
        term::say(global, &format!("strength: {}", strength(&first)));
    }
    let custody = Custody::create(dir, &passphrase, cost, now).map_err(|error| vault_trouble(dir, unlock, &error))?;
    if !asks {
        term::say(global, &format!("made a new vault in {}; its passphrase is {}", dir.display(), source(unlock)));
    }
    Ok(custody)
}

/// The place that a setting means: a file's, or a credential's of the service manager. The descriptor that was named
/// for this one command goes before it.
///
/// # Errors
/// [`Trouble`] when the service manager gave no credentials.
pub fn source_of(global: &Global, unlock: &Unlock) -> Result<UnlockFrom, Trouble> {
    if let Some(descriptor) = global.passphrase_fd {
        return Ok(UnlockFrom::Descriptor(descriptor));
    }
    Ok(match unlock {
        Unlock::Prompt => UnlockFrom::Prompt,
        Unlock::File(path) => UnlockFrom::File(path.clone()),
        Unlock::Credential(name) => UnlockFrom::Credential(credential(name)?),
    })
}

/// The file of a credential.
fn credential(name: &str) -> Result<PathBuf, Trouble> {
    let dir = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).ok_or_else(|| {
        Trouble::new(Exit::Key, format!("the credential `{name}` is not there"))
            .why("CREDENTIALS_DIRECTORY is not set: the service manager gave no credentials")
            .fix(format!("add LoadCredentialEncrypted={name}: to the unit, or set [vault] unlock = \"prompt\""))
    })?;
    Ok(dir.join(name))
}

/// A passphrase of the person's choice for a vault that is there: typed twice, or from a private file.
///
/// # Errors
/// [`Trouble`]: too short, or not the same twice.
pub fn choose(global: &Global, file: Option<&Path>) -> Result<Passphrase, Trouble> {
    let first = match file {
        Some(path) => read_secret_file(path)?,
        None => term::ask_secret(global, "new passphrase of the vault: ", "name a file with --new-passphrase-file")?,
    };
    if file.is_none() {
        let second = term::ask_secret(global, "the same again: ", UNATTENDED)?;
        if *first != *second {
            return Err(
                Trouble::new(Exit::Key, "the two passphrases differ").fix("run the command again; nothing was changed")
            );
        }
    }
    let chosen = to_passphrase(&first)?;
    chosen.check_for_new_slot().map_err(|error| {
        Trouble::new(Exit::Key, "the passphrase is too short")
            .why(causes(&error))
            .fix("choose a longer one, six words are good; nothing was changed")
    })?;
    term::say(global, &format!("strength: {}", strength(&first)));
    Ok(chosen)
}

/// What can be said of a passphrase's strength from looking at it: how many guesses it takes if it was drawn at
/// random. Nobody can see whether it was.
#[must_use]
pub fn strength(text: &str) -> String {
    /// Bits of a word drawn from a list of 7,776.
    const BITS_PER_WORD: usize = 13;
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut distinct: Vec<char> = text.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let mut different = words.clone();
    different.sort_unstable();
    different.dedup();
    if distinct.len() < 6 || words.len() > 3 && different.len() < 3 {
        return "weak: it repeats itself; six words drawn at random are good".to_owned();
    }
    let is_words = words.len() >= 3 && words.iter().all(|word| word.chars().all(char::is_alphabetic));
    let (bits, of) = if is_words {
        (different.len() * BITS_PER_WORD, format!("{} words", different.len()))
    } else {
        // The smaller of what its letters allow and what its different letters suggest.
        let characters = text.chars().count();
        let classes = [
            (text.chars().any(|c| c.is_ascii_lowercase()), 26_usize),
            (text.chars().any(|c| c.is_ascii_uppercase()), 26),
            (text.chars().any(|c| c.is_ascii_digit()), 10),
            (text.chars().any(|c| !c.is_ascii_alphanumeric()), 32),
        ];
        let alphabet: usize = classes.iter().filter(|(there, _)| *there).map(|(_, size)| size).sum();
        let bits = |symbols: usize| usize::try_from(symbols.max(2).ilog2()).unwrap_or(1);
        (characters * bits(alphabet).min(bits(distinct.len()) + 1), format!("{characters} characters"))
    };
    let word = match bits {
        0..=50 => "weak",
        51..=69 => "fair",
        70..=99 => "good",
        _ => "very good",
    };
    format!("{word}: {of}, about 2^{bits} guesses if they were drawn at random")
}

fn to_passphrase(text: &str) -> Result<Passphrase, Trouble> {
    Passphrase::from_text(text)
        .map_err(|error| Trouble::new(Exit::Key, "the passphrase cannot be used").why(causes(&error)))
}

fn text(global: &Global, unlock: &UnlockFrom, prompt: &str) -> Result<Zeroizing<String>, Trouble> {
    match unlock {
        UnlockFrom::Prompt => term::ask_secret(global, prompt, UNATTENDED),
        UnlockFrom::Terminal => term::ask_terminal(prompt),
        UnlockFrom::File(path) => read_secret_file(path),
        UnlockFrom::Credential(path) => read_secret(path, CREDENTIAL_FORBIDDEN),
        UnlockFrom::Descriptor(number) => read_descriptor(*number),
    }
}

/// The first line of what an open descriptor gives.
fn read_descriptor(descriptor: u32) -> Result<Zeroizing<String>, Trouble> {
    let cannot = |error: std::io::Error| {
        Trouble::new(Exit::Key, format!("cannot read the passphrase from descriptor {descriptor}"))
            .why(error)
            .fix("open it for this command, such as 3<FILE with --passphrase-fd 3")
    };
    let file = std::fs::File::open(format!("/dev/fd/{descriptor}")).map_err(cannot)?;
    let mut line = Zeroizing::new(String::with_capacity(LEN_MAX as usize + 1));
    std::io::BufReader::with_capacity(1, file).take(LEN_MAX).read_line(&mut line).map_err(cannot)?;
    while line.ends_with(['\n', '\r']) {
        line.pop();
    }
    Ok(line)
}

/// Reads a secret from a file that only its owner can read; the last line break is not part of it.
///
/// # Errors
/// [`Trouble`] when the file is missing, open to others, or too long.
pub fn read_secret_file(path: &Path) -> Result<Zeroizing<String>, Trouble> {
    read_secret(path, 0o077)
}

fn read_secret(path: &Path, forbidden: u32) -> Result<Zeroizing<String>, Trouble> {
    let name = path.display();
    let cannot = |error: std::io::Error| {
        Trouble::new(Exit::Key, format!("cannot read {name}"))
            .why(error)
            .fix("make the file, with mode 0600, or name another")
    };
    let meta = std::fs::metadata(path).map_err(cannot)?;
    if meta.mode() & forbidden != 0 {
        return Err(Trouble::new(Exit::Key, format!("{name} is open to others"))
            .why(format!("its mode is {:04o}", meta.mode() & 0o7777))
            .fix(format!("chmod 600 {name}")));
    }
    if meta.len() > LEN_MAX {
        return Err(Trouble::new(Exit::Key, format!("{name} is too long for a secret")));
    }
    let mut text = Zeroizing::new(std::fs::read_to_string(path).map_err(cannot)?);
    while text.ends_with(['\n', '\r']) {
        text.pop();
    }
    Ok(text)
}

/// The passphrase by where it comes from, for people.
fn source(unlock: &UnlockFrom) -> String {
    match unlock {
        UnlockFrom::Prompt | UnlockFrom::Terminal => "the one that was typed".to_owned(),
        UnlockFrom::File(_) => format!("the one in {}", place(unlock)),
        UnlockFrom::Descriptor(_) => format!("the one from {}", place(unlock)),
        UnlockFrom::Credential(_) => place(unlock),
    }
}

/// Where the passphrase comes from, for people.
fn place(unlock: &UnlockFrom) -> String {
    match unlock {
        UnlockFrom::Prompt | UnlockFrom::Terminal => "the terminal".to_owned(),
        UnlockFrom::File(path) => path.display().to_string(),
        UnlockFrom::Descriptor(number) => format!("descriptor {number}"),
        UnlockFrom::Credential(path) => {
            format!("the credential `{}`", path.file_name().unwrap_or_default().to_string_lossy())
        }
    }
}

/// What a person reads about a vault that does not open.
#[must_use]
pub fn vault_trouble(dir: &Path, unlock: &UnlockFrom, error: &CustodyError) -> Trouble {
    use vault::VaultError as V;
    let name = Custody::vault_path(dir);
    let name = name.display();
    let base = Trouble::new(Exit::Key, format!("the vault {name} cannot be used")).why(causes(error));
    let CustodyError::Vault(vault) = error else { return base };
    match vault {
        V::CannotUnlock => Trouble::new(Exit::Key, format!("the passphrase does not open the vault {name}"))
            .why(format!("{} is not its passphrase, or the vault is damaged", source(unlock)))
            .fix(format!(
                "{}; a forgotten passphrase cannot be recovered:\nlink the keys anew in another data directory",
                match unlock {
                    UnlockFrom::Prompt | UnlockFrom::Terminal => "type it again".to_owned(),
                    UnlockFrom::File(_) | UnlockFrom::Credential(_) | UnlockFrom::Descriptor(_) => format!("correct {}", place(unlock)),
                }
            )),
        V::PassphraseTooShort { .. } => Trouble::new(Exit::Key, "the new vault's passphrase is too short")
            .why(causes(error))
            .fix("choose a longer one, six words are good; nothing was stored"),
        V::RolledBack { found, seen } => Trouble::new(Exit::Key, format!("an older vault is in place of {name}"))
            .why(format!("it is generation {found}, and generation {seen} was seen before"))
            .fix(format!("if you did not put it there, somebody did: restore the newest copy.\nIf you did: steadfast vault accept-rollback --generation {found}")),
        V::UnsafeFile { .. } => base.fix(format!("chmod 600 {name} && chmod 700 {}", dir.display())),
        V::Io { .. } => Trouble { exit: Exit::Failure, ..base }
            .fix("check the disk's room and the directory's permissions; the vault is as it was"),
        _ => base.fix("restore the custody directory from a backup; the file is left as it is"),
    }
}

/// Wrong passphrases in a row; each doubles the wait before the next try.
struct Failures(PathBuf);

impl Failures {
    fn of(dir: &Path) -> Self {
        Self(dir.join("unlock-failures"))
    }

    fn number(&self) -> u32 {
        std::fs::read_to_string(&self.0).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    fn wait(&self, global: &Global) {
        let failures = self.number().min(6);
        if failures >= 3 {
            let seconds = 1_u64 << (failures - 2);
            term::say(global, &format!("{failures} wrong passphrases in a row: waiting {seconds} s"));
            std::thread::park_timeout(std::time::Duration::from_secs(seconds));
        }
    }

    fn count(&self, error: &CustodyError) {
        if matches!(error, CustodyError::Vault(vault::VaultError::CannotUnlock)) {
            telemetry::vault_unlock_failures_total().increment(1);
            let _ = write_private(&self.0, format!("{}\n", self.number().saturating_add(1)).as_bytes());
        }
    }

    fn forget(&self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::strength;

    #[test]
    fn strength_follows_number_and_kind_of_what_was_typed() {
        for (text, word) in [
            ("aaaaaaaaaaaaaaaaaaaa", "weak"),
            ("word word word word word word", "weak"),
            ("three plain words", "weak"),
            ("four quite plain words", "fair"),
            ("six plain words guard this vault", "good"),
            ("eight plain words that nobody would guess today", "very good"),
            ("kR7#vq2LmZ!w9Tx4", "good"),
            ("kR7#vq2LmZ!w9Tx4bN6$yHc8", "very good"),
        ] {
            let said = strength(text);
            assert!(said.starts_with(&format!("{word}:")), "{text}: {said}");
            assert!(!said.contains(text), "what was typed is not repeated");
        }
    }
}
