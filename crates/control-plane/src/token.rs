//! The token of the control API: made once, kept in a file of mode 0600, compared by its hash.
//!
//! Invariants: a token file that others may read, or that is not a plain file, is refused; the token has no `Debug`,
//! `Display` or `Serialize`, and its text is wiped when dropped.

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of randomness in a token.
const TOKEN_BYTES: usize = 32;
/// Characters of a token's text.
const TOKEN_CHARS: usize = 2 * TOKEN_BYTES;

/// The right to use the control API.
pub struct Token {
    text: Zeroizing<String>,
    hash: TokenHash,
}

/// The hash of a token, which is all that the server keeps.
#[derive(Clone, Copy)]
pub(crate) struct TokenHash([u8; 32]);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Others than the owner may read or change the file.
    #[error("the token file {path} is open to others: its mode is {mode:04o}")]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user.
    #[error("the token file {path} belongs to user {owner}")]
    OtherOwner {
        /// The file.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
    },
    /// Not a file, or not 64 hexadecimal digits.
    #[error("the token file {path} does not hold a token")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The system failed.
    #[error("cannot {action} the token file {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Token {
    /// The token's text, for the link that is printed at start and for our own client. It must not reach a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub(crate) fn hash(&self) -> TokenHash {
        self.hash
    }

    fn of(text: Zeroizing<String>) -> Self {
        let hash = TokenHash(Sha256::digest(text.as_bytes()).into());
        Self { text, hash }
    }
}

impl TokenHash {
    /// Whether this text is the token; takes the same time for every wrong one of the same length.
    pub(crate) fn matches(&self, presented: &[u8]) -> bool {
        let presented: [u8; 32] = Sha256::digest(presented).into();
        bool::from(self.0.ct_eq(&presented))
    }
}

/// The token in the file at `path`; if there is no file, a new token is made and written with mode 0600.
///
/// # Errors
/// [`TokenError`]; the control plane must not start then.
pub fn create_or_read(path: &Path) -> Result<Token, TokenError> {
    match read(path) {
        Err(TokenError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => create(path),
        result => result,
    }
}

/// The token in the file at `path`.
///
/// # Errors
/// [`TokenError`]; of kind [`TokenError::Io`] with `NotFound` when there is no file.
pub fn read(path: &Path) -> Result<Token, TokenError> {
    let failed = |action| move |source| TokenError::Io { action, path: path.to_owned(), source };
    let no_follow = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(no_follow).open(path).map_err(failed("open"))?;
    let meta = file.metadata().map_err(failed("examine"))?;
    let malformed = || TokenError::Malformed { path: path.to_owned() };
    if !meta.is_file() {
        return Err(malformed());
    }
    if meta.mode() & 0o077 != 0 {
        return Err(TokenError::OpenToOthers { path: path.to_owned(), mode: meta.mode() & 0o7777 });
    }
    let own = rustix::process::geteuid();
    // Root may use the token of a daemon that runs as another user.
    if !own.is_root() && meta.uid() != own.as_raw() {
        return Err(TokenError::OtherOwner { path: path.to_owned(), owner: meta.uid() });
    }
    let mut text = Zeroizing::new(String::with_capacity(TOKEN_CHARS + 2));
    file.take(TOKEN_CHARS as u64 + 2).read_to_string(&mut text).map_err(failed("read"))?;
    let token = Zeroizing::new(text.trim_end().to_owned());
    if token.len() != TOKEN_CHARS || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(malformed());
    }
    Ok(Token::of(token))
}

fn create(path: &Path) -> Result<Token, TokenError> {
    let failed = |action| move |source| TokenError::Io { action, path: path.to_owned(), source };
    let mut random = [0; TOKEN_BYTES];
    getrandom::fill(&mut random).map_err(|error| failed("make")(std::io::Error::other(error)))?;
    let text = Zeroizing::new(hex::encode(random));
    random.zeroize();
    // Written aside and renamed, so that a crash leaves no half token.
    let draft = path.with_extension("draft");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("write")(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed("write"))?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(failed("write"))?;
    file.sync_all().map_err(failed("write"))?;
    std::fs::rename(&draft, path).map_err(failed("write"))?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("write"))?;
    Ok(Token::of(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn refused(path: &Path) -> TokenError {
        create_or_read(path).map(|_| ()).unwrap_err()
    }

    #[test]
    fn token_is_made_once_private_and_long_and_read_back_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.token");
        let made = create_or_read(&path).unwrap();
        assert_eq!(made.expose().len(), 64);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(create_or_read(&path).unwrap().expose(), made.expose());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no draft stays behind");

        let other = create_or_read(&directory.path().join("other.token")).unwrap();
        assert_ne!(other.expose(), made.expose());
    }

    #[test]
    fn token_file_open_to_others_is_refused_and_not_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.token");
        let made = create_or_read(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o666] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(refused(&path), TokenError::OpenToOthers { mode: found, .. } if found == mode));
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(create_or_read(&path).unwrap().expose(), made.expose());
    }

    #[test]
    fn what_is_no_token_is_refused_without_repeating_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.token");
        let too_long = "a".repeat(65);
        let no_digits = "g".repeat(64);
        for text in ["", "hunter2", too_long.as_str(), no_digits.as_str()] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let error = refused(&path);
            assert!(matches!(error, TokenError::Malformed { .. }), "{text}");
            assert!(text.is_empty() || !error.to_string().contains(text));
        }
    }

    #[test]
    fn link_or_directory_in_place_of_the_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real.token");
        create_or_read(&real).unwrap();
        let link = directory.path().join("link.token");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(matches!(refused(&link), TokenError::Io { .. }));
        assert!(create_or_read(directory.path()).is_err());
    }

    #[test]
    fn only_the_whole_token_matches() {
        let directory = tempfile::tempdir().unwrap();
        let token = create_or_read(&directory.path().join("control.token")).unwrap();
        let hash = token.hash();
        assert!(hash.matches(token.expose().as_bytes()));
        assert!(!hash.matches(&token.expose().as_bytes()[..63]));
        assert!(!hash.matches(b""));
    }
}
