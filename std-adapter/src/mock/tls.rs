//! A throw-away certificate, and what it takes to serve with it.

use std::error::Error;
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What the certificate is for: this host, and nobody else.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Serves TLS 1.2 and 1.3, and offers HTTP/2 before HTTP/1.1.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    /// The certificate, in PEM.
    pub(super) certificate: String,
}

impl Tls {
    /// Makes a key, which is never stored, and a certificate that it signed itself.
    pub(super) fn new() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
        params.distinguished_name.push(DnType::CommonName, "phasemeter mock server");
        let certificate = params.self_signed(&key)?;
        let private = PrivateKeyDer::try_from(key.serialize_der())?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate: certificate.pem() })
    }
}
