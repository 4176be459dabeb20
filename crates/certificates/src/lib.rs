//! X.509 certificates as this project issues and reads them: an authority, the certificates that it
//! signs, parsed certificates, and the authorities that a client or server trusts.
//!
//! Storage, renewal and the choice of trusted authorities are left to the users of this crate: a
//! data folder for a server of its own, a Secret for a server in a cluster.
//!
//! Invariants: the crate does no I/O and reads no clock, so each time is an argument. No private
//! key can be printed.

mod authority;
mod certificate;
mod handshake;
mod key;
mod names;
mod request;
mod subject;
mod validity;

pub mod roots;

pub use authority::{Authority, Pair};
pub use certificate::Certificate;
pub use handshake::{rejects_client_certificate, tls_error};
pub use key::PrivateKeyPem;
pub use names::Names;
pub use request::CertificateRequest;
pub use validity::Validity;

/// A failure to read or issue a certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not PEM, or has no valid certificate.
    #[error("not a PEM-encoded certificate")]
    NoCertificate,
    /// The text is not a private key, or the key is of an unsupported type.
    #[error("not a PEM-encoded private key")]
    NoKey,
    /// The text is not a certificate signing request, the request is not signed by its key, or the
    /// key is of an unsupported type.
    #[error(
        "not a PEM-encoded certificate signing request that is signed with its own, supported key"
    )]
    NoRequest,
    /// The certificate and the key do not match.
    #[error("the certificate and the key do not match")]
    Mismatch,
    /// The certificate may not sign others.
    #[error("not a CA certificate")]
    NoAuthority,
    /// The name cannot be represented in a certificate.
    #[error("{0:?} cannot be part of a certificate")]
    Name(String),
    /// The time is out of the range of certificates.
    #[error("a time is out of range for certificates")]
    Time,
    /// The cryptography library returned an error.
    #[error("a certificate cannot be issued")]
    Issue(#[source] rcgen::Error),
    /// The subject of a certificate cannot be encoded.
    #[error("the subject of a certificate cannot be encoded")]
    Encode(#[from] der::Error),
}
