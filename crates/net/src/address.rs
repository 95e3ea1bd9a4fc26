//! Which addresses may be spoken to at all.

use reqwest::Url;
use std::net::IpAddr;

/// Whether anything may go out unencrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Plaintext {
    /// TLS only: whenever a real venue is meant.
    #[default]
    Never,
    /// Also `http` and `ws` to a literal loopback address (`127.x.x.x`, `[::1]`), never to a name.
    Loopback,
}

/// Why an address is not spoken to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL, or not of the expected kind. The URL is not repeated: it may carry a signature.
    #[error("not a usable address: {0}")]
    Malformed(String),
    /// Unencrypted, to something that is not a literal loopback address or where none is allowed.
    #[error("refused to speak plain text to {host}")]
    PlaintextRefused {
        /// The host in the address.
        host: String,
    },
    /// User name or password inside the address.
    #[error("credentials inside the address of {host}")]
    Credentials {
        /// The host in the address.
        host: String,
    },
}

/// Reads `address` and checks it before anything is resolved or connected.
/// `secure` and `plain` are the two acceptable schemes: `https` and `http`, or `wss` and `ws`.
///
/// # Errors
/// [`AddressError`]; the settings are wrong, trying again does not help.
pub fn check_address(address: &str, secure: &str, plain: &str, plaintext: Plaintext) -> Result<Url, AddressError> {
    let url = Url::parse(address).map_err(|cause| AddressError::Malformed(cause.to_string()))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    if host.is_empty() {
        return Err(AddressError::Malformed("no host".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials { host });
    }
    if url.scheme() == secure {
        return Ok(url);
    }
    if url.scheme() != plain {
        return Err(AddressError::Malformed(format!("scheme `{}` is not `{secure}`", url.scheme())));
    }
    if plaintext == Plaintext::Loopback && is_literal_loopback(&host) {
        return Ok(url);
    }
    Err(AddressError::PlaintextRefused { host })
}

fn is_literal_loopback(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ws(address: &str) -> Result<Url, AddressError> {
        check_address(address, "wss", "ws", Plaintext::Loopback)
    }

    #[test]
    fn plain_text_goes_to_literal_loopback_addresses_only() {
        for address in ["ws://127.0.0.1:9/x", "ws://127.9.8.7/", "ws://[::1]:80/", "wss://stream.example.test/v2"] {
            assert!(ws(address).is_ok(), "{address}");
        }
        for address in [
            "ws://localhost/",
            "ws://localhost.evil.test/",
            "ws://127.0.0.1.evil.test/",
            "ws://10.0.0.1/",
            "ws://0.0.0.0/",
            "ws://[::]/",
            "ws://[::ffff:10.0.0.1]/",
            "ws://169.254.169.254/",
        ] {
            assert!(matches!(ws(address), Err(AddressError::PlaintextRefused { .. })), "{address}");
        }
    }

    #[test]
    fn loopback_hidden_in_other_parts_of_the_address_does_not_count() {
        for address in ["ws://127.0.0.1@evil.test/", "ws://evil.test/127.0.0.1", "ws://evil.test#127.0.0.1"] {
            assert!(ws(address).is_err(), "{address}");
        }
    }

    #[test]
    fn plain_text_is_refused_even_to_loopback_where_none_is_allowed() {
        let refused = check_address("http://127.0.0.1/", "https", "http", Plaintext::Never);
        assert_eq!(refused, Err(AddressError::PlaintextRefused { host: "127.0.0.1".to_owned() }));
    }

    #[test]
    fn other_schemes_and_credentials_are_refused_without_repeating_them() {
        assert!(matches!(ws("https://example.test"), Err(AddressError::Malformed(_))));
        assert!(matches!(ws("file:///etc/passwd"), Err(AddressError::Malformed(_))));
        let error = ws("wss://user:hunter2@example.test").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
