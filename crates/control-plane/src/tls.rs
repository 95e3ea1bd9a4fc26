//! The server's side of TLS: versions 1.2 and 1.3, one certificate chain, one private key that only its owner reads.

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A certificate and its key, ready to serve with.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

/// Why the certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Others than the owner may read or change the private key.
    #[error("the private key {path} is open to others: its mode is {mode:04o}")]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file cannot be read or is no PEM file of its kind.
    #[error("{path} holds no {what} in PEM form: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What was found instead; never the file's content.
        why: String,
    },
    /// Key and certificate do not fit together, or are of a kind that is not supported.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Tls {
    /// Reads a certificate chain, the server's own first, and its private key.
    ///
    /// # Errors
    /// [`TlsError`]; the control plane must not start then.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let unreadable = |path: &Path, what, why: &dyn std::fmt::Display| TlsError::Unreadable {
            path: path.to_owned(),
            what,
            why: why.to_string(),
        };
        let meta = std::fs::metadata(key).map_err(|error| unreadable(key, "private key", &error))?;
        if meta.mode() & 0o077 != 0 {
            return Err(TlsError::OpenToOthers { path: key.to_owned(), mode: meta.mode() & 0o7777 });
        }
        let chain = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unreadable(cert, "certificate", &error))?;
        if chain.is_empty() {
            return Err(unreadable(cert, "certificate", &"the file has no such section"));
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, "private key", &error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        tokio_rustls::TlsAcceptor::from(Arc::clone(&self.0))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}
