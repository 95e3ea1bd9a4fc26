//! TLS: one provider, one set of roots, the same on every host.

use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// Makes `ring` the process's TLS provider. Call it once at start; again is harmless.
pub fn install_tls_provider() {
    // An error means that one is installed already, by an earlier call.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client configuration that trusts Mozilla's roots and nothing of this machine.
pub(crate) fn client_config() -> Result<ClientConfig, rustls::Error> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    Ok(ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_can_be_installed_twice() {
        install_tls_provider();
        install_tls_provider();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
