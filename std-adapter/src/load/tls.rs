//! TLS to the server: which certificates are trusted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use thiserror::Error;

/// Whose certificates are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those that the system trusts.
    #[default]
    System,
    /// Those that a certificate of this PEM file has signed, or is.
    File(PathBuf),
    /// All: nobody is who he says he is. For throw-away certificates.
    Anyone,
}

/// Why there is no TLS.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file is not to be had, or no PEM file.
    #[error("{}: {cause}; a PEM file of certificates is wanted", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The system trusts nobody.
    #[error("the system has no root certificates ({0}): install ca-certificates, or give a file with --cacert")]
    NoRoots(String),
    /// The library refused.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// The configuration of a client that offers these protocols.
pub(super) fn client(trust: &Trust, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?;
    let verifier = match trust {
        Trust::System => None,
        Trust::File(path) => Some(Verifier { listed: Some(Listed::of(path, &provider)?), provider }),
        Trust::Anyone => Some(Verifier { listed: None, provider }),
    };
    let mut config = match verifier {
        None => builder.with_root_certificates(system_roots()?).with_no_client_auth(),
        Some(verifier) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let cause = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(TlsError::NoRoots(cause));
    }
    Ok(roots)
}

/// The certificates of a file. What one of them has signed is trusted, and so is one of them itself: a certificate that signs
/// itself, as most throw-away certificates do, is none that a chain may end with.
#[derive(Debug)]
struct Listed {
    listed: Vec<CertificateDer<'static>>,
    signed: Arc<WebPkiServerVerifier>,
}

impl Listed {
    fn of(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let fail = |cause: &dyn std::fmt::Display| TlsError::File { path: path.to_owned(), cause: cause.to_string() };
        let listed = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let listed = listed.map_err(|error| fail(&error))?;
        let mut roots = RootCertStore::empty();
        for certificate in &listed {
            roots.add(certificate.clone()).map_err(|error| fail(&error))?;
        }
        let signed = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
        Ok(Self { signed: signed.map_err(|_| fail(&"has no certificate"))?, listed })
    }
}

/// Trusts what is listed, or everyone if there is no list. Signatures are always checked.
#[derive(Debug)]
struct Verifier {
    listed: Option<Listed>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.listed {
            None => Ok(ServerCertVerified::assertion()),
            Some(Listed { listed, .. }) if listed.iter().any(|listed| listed == certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            Some(Listed { signed, .. }) => signed.verify_server_cert(certificate, between, name, ocsp, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
