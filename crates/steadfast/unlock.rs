//! Where the vault's passphrase comes from: a prompt, a file, or a credential of the service manager.

use crate::cli::Global;
use crate::data_dir::write_private;
use crate::report::{Exit, Trouble, causes};
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
/// How the passphrase gets here without a terminal.
const UNATTENDED: &str =
    "put it into a file of mode 0600 and set [vault] unlock = \"file:PATH\" in config/steadfast.toml";

/// Opens the vault of a custody directory with the passphrase from its configured source.
///
/// # Errors
/// [`Trouble`]: no vault yet, passphrase not to be had or wrong, vault open to others or damaged.
pub fn open(global: &Global, dir: &Path, unlock: &Unlock) -> Result<Custody, Trouble> {
    if !Custody::exists(dir) {
        return Err(Trouble::new(Exit::Key, format!("there is no vault in {}", dir.display()))
            .why("no key has been linked yet")
            .fix("steadfast keys add ALIAS --venue bitget"));
    }
    attempt(global, dir, unlock, |passphrase| Custody::open(dir, passphrase))
}

/// Opens the vault to look into it, beside a running daemon too: nothing is written.
///
/// # Errors
/// As [`open`].
pub fn look(global: &Global, dir: &Path, unlock: &Unlock) -> Result<vault::Vault, Trouble> {
    if !Custody::exists(dir) {
        return Err(Trouble::new(Exit::Key, format!("there is no vault in {}", dir.display())));
    }
    attempt(global, dir, unlock, |passphrase| Ok(vault::Vault::open(Custody::vault_path(dir), passphrase, 0)?))
}

/// How often a wrong passphrase was given since the vault was opened last.
#[must_use]
pub fn failures(dir: &Path) -> u32 {
    Failures::of(dir).number()
}

fn attempt<T>(
    global: &Global,
    dir: &Path,
    unlock: &Unlock,
    open: impl FnOnce(&Passphrase) -> Result<T, CustodyError>,
) -> Result<T, Trouble> {
    let failures = Failures::of(dir);
    failures.wait(global);
    let passphrase = passphrase(global, unlock, "passphrase of the vault: ")?;
    match open(&passphrase) {
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
    let asks = *unlock == Unlock::Prompt && term::can_ask(global);
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

fn passphrase(global: &Global, unlock: &Unlock, prompt: &str) -> Result<Passphrase, Trouble> {
    to_passphrase(&text(global, unlock, prompt)?)
}

fn to_passphrase(text: &str) -> Result<Passphrase, Trouble> {
    Passphrase::from_text(text)
        .map_err(|error| Trouble::new(Exit::Key, "the passphrase cannot be used").why(causes(&error)))
}

fn text(global: &Global, unlock: &Unlock, prompt: &str) -> Result<Zeroizing<String>, Trouble> {
    match unlock {
        Unlock::Prompt => term::ask_secret(global, prompt, UNATTENDED),
        Unlock::File(path) => read_secret_file(path),
        Unlock::Credential(name) => {
            let dir = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).ok_or_else(|| {
                Trouble::new(Exit::Key, format!("the credential `{name}` is not there"))
                    .why("CREDENTIALS_DIRECTORY is not set: the service manager gave no credentials")
                    .fix(format!("add LoadCredentialEncrypted={name}: to the unit, or set [vault] unlock = \"prompt\""))
            })?;
            // The service manager may grant by an access list, which shows as a group's right to read.
            read_secret(&dir.join(name), 0o037)
        }
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

/// Where the passphrase comes from, for people.
fn source(unlock: &Unlock) -> String {
    match unlock {
        Unlock::Prompt => "the one that was typed".to_owned(),
        Unlock::File(path) => format!("the one in {}", path.display()),
        Unlock::Credential(name) => format!("the credential `{name}`"),
    }
}

/// What a person reads about a vault that does not open.
#[must_use]
pub fn vault_trouble(dir: &Path, unlock: &Unlock, error: &CustodyError) -> Trouble {
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
                    Unlock::Prompt => "type it again".to_owned(),
                    Unlock::File(path) => format!("correct {}", path.display()),
                    Unlock::Credential(name) => format!("correct the credential `{name}`"),
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
