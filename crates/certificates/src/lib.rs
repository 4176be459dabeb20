//! X.509 certificates as this project issues and reads them: an authority, what it signs, and what
//! a certificate says.
//!
//! Where they are kept, when they are replaced and who trusts them is left to the users of this
//! crate: a data folder for a server of its own, a Secret for one in a cluster.
//!
//! Invariants: no I/O and no clock; each time is an argument. No private key can be printed.

mod authority;
mod certificate;
mod key;
mod names;
mod request;
mod validity;

pub use authority::{Authority, Pair};
pub use certificate::Certificate;
pub use key::PrivateKeyPem;
pub use names::Names;
pub use request::CertificateRequest;
pub use validity::Validity;

/// Why a certificate cannot be read or issued.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not PEM, or holds no certificate.
    #[error("not a certificate in PEM")]
    NoCertificate,
    /// The text is not a private key, or not of a kind that is used here.
    #[error("not a private key in PEM")]
    NoKey,
    /// The text is not a request for a certificate, or not one of its key, or the key is not of a kind
    /// that is used here.
    #[error("not a request for a certificate in PEM, signed by a key that can be used")]
    NoRequest,
    /// The certificate is of another key.
    #[error("certificate and key do not belong together")]
    Mismatch,
    /// The certificate may not sign others.
    #[error("not the certificate of an authority")]
    NoAuthority,
    /// The name cannot stand in a certificate.
    #[error("{0:?} cannot stand in a certificate")]
    Name(String),
    /// The time is beyond what a certificate can say.
    #[error("a time is out of the range of certificates")]
    Time,
    /// The cryptography library refused.
    #[error("a certificate cannot be issued")]
    Issue(#[source] rcgen::Error),
}
