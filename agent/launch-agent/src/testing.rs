//! Counterparts that several unit tests need.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Makes the TLS of a server with the `server.pem` and `server.key` of a directory.
pub(crate) fn tls_acceptor(fixtures: &str) -> tokio_rustls::TlsAcceptor {
    drop(rustls::crypto::ring::default_provider().install_default());
    let read = |name: &str| Path::new(fixtures).join(name);
    let chain = vec![CertificateDer::from_pem_file(read("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(read("server.key")).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    tokio_rustls::TlsAcceptor::from(Arc::new(config.unwrap()))
}
