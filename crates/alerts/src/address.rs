//! The address of a webhook, which is a secret: who knows it may post to it.

use net::{AddressError, Plaintext, check_address};
use rustix::fs::OFlags;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of an address at most.
const ADDRESS_BYTES_MAX: u64 = 4 * 1024;

/// A checked address: `https`, or `http` to a literal loopback address. Never printed.
pub struct WebhookUrl(Zeroizing<String>);

/// Why an address is not used. Repeats nothing of it but, at most, its host.
#[derive(Debug, thiserror::Error)]
pub enum WebhookUrlError {
    /// Not an address that may be spoken to.
    #[error("the webhook's address is not used")]
    Address(#[from] AddressError),
    /// Others than the owner may read the file.
    #[error("{path} is open to others: its mode is {mode:04o}")]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a plain file with one line.
    #[error("{path} does not hold one address")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The system failed.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl WebhookUrl {
    /// An address from the settings.
    ///
    /// # Errors
    /// [`WebhookUrlError::Address`].
    pub fn inline(text: &str) -> Result<Self, WebhookUrlError> {
        check_address(text, "https", "http", Plaintext::Loopback)?;
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The address in a file that only its owner can read, such as a credential of the service manager.
    ///
    /// # Errors
    /// [`WebhookUrlError`].
    pub fn from_file(path: &Path) -> Result<Self, WebhookUrlError> {
        let failed = |source| WebhookUrlError::Read { path: path.to_owned(), source };
        let no_wait = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = OpenOptions::new().read(true).custom_flags(no_wait).open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Err(WebhookUrlError::Malformed { path: path.to_owned() });
        }
        // The service manager's credentials belong to root and show the service's own right to read as the group's.
        let others = if meta.uid() == 0 && meta.gid() == 0 { 0o037 } else { 0o077 };
        if meta.mode() & others != 0 {
            return Err(WebhookUrlError::OpenToOthers { path: path.to_owned(), mode: meta.mode() & 0o7777 });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(ADDRESS_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
        let line = text.trim();
        if text.len() as u64 > ADDRESS_BYTES_MAX || line.is_empty() || line.contains(['\n', '\r']) {
            return Err(WebhookUrlError::Malformed { path: path.to_owned() });
        }
        Self::inline(line)
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn refusal(result: Result<WebhookUrl, WebhookUrlError>) -> WebhookUrlError {
        result.map(|_| ()).unwrap_err()
    }

    #[test]
    fn plain_text_goes_to_literal_loopback_only() {
        for good in ["https://hooks.example.test/T0/secret", "http://127.0.0.1:9/x", "http://[::1]:9/x"] {
            assert!(WebhookUrl::inline(good).is_ok(), "{good}");
        }
        for bad in [
            "http://hooks.example.test/",
            "http://localhost/",
            "http://10.0.0.1/",
            "http://169.254.169.254/",
            "http://127.0.0.1@evil.test/",
            "ftp://127.0.0.1/",
            "",
        ] {
            assert!(matches!(refusal(WebhookUrl::inline(bad)), WebhookUrlError::Address(_)), "{bad}");
        }
    }

    #[test]
    fn refusal_does_not_repeat_the_secret_part_of_the_address() {
        let error = refusal(WebhookUrl::inline("http://hooks.example.test/T0/hunter2"));
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }

    #[test]
    fn credential_of_the_service_manager_is_read_and_a_group_of_people_is_not_let_in() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hook");
        std::fs::write(&path, "https://hooks.example.test/x\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
        let meta = std::fs::metadata(&path).unwrap();
        let of_root = meta.uid() == 0 && meta.gid() == 0;
        assert_eq!(WebhookUrl::from_file(&path).is_ok(), of_root);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).unwrap();
        assert!(matches!(refusal(WebhookUrl::from_file(&path)), WebhookUrlError::OpenToOthers { .. }));
    }

    #[test]
    fn file_must_be_private_and_hold_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hook");
        std::fs::write(&path, "https://hooks.example.test/x\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(refusal(WebhookUrl::from_file(&path)), WebhookUrlError::OpenToOthers { mode: 0o644, .. }));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(WebhookUrl::from_file(&path).unwrap().expose(), "https://hooks.example.test/x");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "https://a.test/\nhttps://b.test/\n").unwrap();
        assert!(matches!(refusal(WebhookUrl::from_file(&path)), WebhookUrlError::Malformed { .. }));
        assert!(matches!(refusal(WebhookUrl::from_file(&directory.path().join("no"))), WebhookUrlError::Read { .. }));
    }
}
