//! Where the vault's passphrase comes from: a prompt, a file, or a credential of the service manager.

use crate::cli::Global;
use crate::data_dir::write_private;
use crate::report::{Exit, Trouble, causes};
use crate::signers::UnlockFrom;
use crate::term;
use domain::UnixNanos;
use order_signer::{Custody, CustodyError};
use settings::Unlock;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use vault::{KdfParams, Passphrase};
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
    exists(dir)?;
    open_from(global, dir, &source_of(&settings.unlock)?, settings.auto_lock_after_failures)
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
    let passphrase = to_passphrase(&text(global, unlock, "passphrase of the vault: ")?)?;
    match Custody::open(dir, &passphrase) {
        Ok(custody) => {
            failures.forget();
            Ok(custody)
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
    let unlock = &source_of(unlock)?;
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
    let custody = Custody::create(dir, &passphrase, cost, now).map_err(|error| vault_trouble(dir, unlock, &error))?;
    if !asks {
        term::say(global, &format!("made a new vault in {}; its passphrase is {}", dir.display(), source(unlock)));
    }
    Ok(custody)
}

/// The place that a setting means: a file's, or a credential's of the service manager.
///
/// # Errors
/// [`Trouble`] when the service manager gave no credentials.
pub fn source_of(unlock: &Unlock) -> Result<UnlockFrom, Trouble> {
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
    }
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
        UnlockFrom::Credential(_) => place(unlock),
    }
}

/// Where the passphrase comes from, for people.
fn place(unlock: &UnlockFrom) -> String {
    match unlock {
        UnlockFrom::Prompt | UnlockFrom::Terminal => "the terminal".to_owned(),
        UnlockFrom::File(path) => path.display().to_string(),
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
                    UnlockFrom::File(_) | UnlockFrom::Credential(_) => format!("correct {}", place(unlock)),
                }
            )),
        V::PassphraseTooShort { .. } => Trouble::new(Exit::Key, "the new vault's passphrase is too short")
            .why(causes(error))
            .fix("choose a longer one, six words are good; nothing was stored"),
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
