//! Serving certificates that can be replaced while the server runs.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};

/// An error in a certificate or its key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The text is not PEM, or contains no certificate or no key.
    #[error("not a PEM file with a certificate or a key")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// Certificate and key do not match, or rustls does not support them.
    #[error("certificate and key cannot be used")]
    Key(#[from] rustls::Error),
}

/// The serving certificate. A replacement applies to new handshakes; open connections are not
/// affected.
pub struct ReloadableCertificate {
    current: ArcSwap<CertifiedKey>,
    provider: Arc<CryptoProvider>,
}

impl ReloadableCertificate {
    /// Loads a certificate chain and its key, both PEM.
    ///
    /// # Errors
    /// They cannot be served.
    pub fn load(chain: &[u8], key: &[u8]) -> Result<Arc<Self>, CertificateError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let current = certified(&provider, chain, key)?;
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(current),
            provider,
        }))
    }

    /// Replaces the certificate chain and its key.
    ///
    /// # Errors
    /// They cannot be served. The previous ones stay in use.
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), CertificateError> {
        self.current
            .store(Arc::new(certified(&self.provider, chain, key)?));
        Ok(())
    }

    /// Returns the current certificate.
    pub(super) fn current(&self) -> Arc<CertifiedKey> {
        self.current.load_full()
    }

    /// Returns a TLS configuration: TLS 1.2 and newer, HTTP/2 preferred, this certificate, and a
    /// request for a client certificate that names these issuers.
    ///
    /// # Errors
    /// The cryptography library does not support these protocols.
    pub fn server_config(
        self: &Arc<Self>,
        client_issuers: Vec<DistinguishedName>,
    ) -> Result<ServerConfig, CertificateError> {
        let verifier = AskForCertificate {
            issuers: client_issuers,
            provider: Arc::clone(&self.provider),
        };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl fmt::Debug for ReloadableCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ReloadableCertificate")
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ReloadableCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

fn certified(
    provider: &CryptoProvider,
    chain: &[u8],
    key: &[u8],
) -> Result<CertifiedKey, CertificateError> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key)?;
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}

/// A verifier that requests a certificate from every client and accepts any. The signature proves
/// that the client holds the key; the authenticators decide whether they trust the certificate.
#[derive(Debug)]
struct AskForCertificate {
    issuers: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AskForCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.issuers
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
