//! Reasons why a cluster does not answer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use certificates::{rejects_client_certificate, tls_error};
use management::cluster_secret::Unowned;
use rustls::CertificateError;

/// The cause of a failure. Only for the log, since it may name internal addresses.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// The reason why a cluster does not answer. The messages contain no address; [`Error::source`]
/// may.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The cluster does not exist.
    #[error("the cluster does not exist")]
    NoCluster,
    /// The cluster object has no connection.
    #[error("no connection is configured")]
    NoConnection,
    /// A field of the cluster's connection is invalid. Holds its name.
    #[error("the field {0} of its connection is invalid")]
    Malformed(&'static str),
    /// The Secret with the gateway's credential does not exist or has no credential.
    #[error("the gateway has no credential for it")]
    NoCredential,
    /// The referenced credential is not bound to the cluster and its connection.
    #[error("the gateway's credential is not bound to it and its connection")]
    CredentialNotBound(Unowned),
    /// The address policy refuses the address.
    #[error("its address is not permitted")]
    AddressRefused,
    /// Nothing listens at the address, the peer does not support TLS, or the connection broke.
    #[error("it cannot be reached")]
    Unreachable(#[source] Cause),
    /// The connection broke after the request was sent. Whether the cluster processed it is
    /// unknown.
    #[error("the connection to it broke before it responded, so it may have processed the request")]
    Interrupted(#[source] Cause),
    /// The cluster did not process the request, and the request cannot be sent again from here.
    #[error("it did not process the request: send the request again")]
    NotProcessed(#[source] Cause),
    /// The client did not send the whole body of the request.
    #[error("the request body is malformed or incomplete")]
    RequestBody(#[source] Cause),
    /// The proxy does not answer or does not forward the connection.
    #[error("the connection through its proxy failed")]
    ProxyFailed(#[source] Cause),
    /// The server's certificate does not prove that it is the cluster.
    #[error("{0}")]
    WrongCertificate(CertificateProblem, #[source] Cause),
    /// The cluster rejected the gateway's own credential.
    #[error("it rejected the gateway's credential")]
    CredentialRefused,
    /// A phase of the request took too long.
    #[error("{0}")]
    Slow(Phase),
    /// The maximum number of requests to the cluster is in flight.
    #[error("too many requests to it are in flight")]
    Busy,
    /// The user's share of requests to the cluster is in flight.
    #[error("too many of your requests to it are in flight")]
    BusyWithUser,
    /// The answers to the user have too many unread bytes.
    #[error(
        "too many bytes of responses to you are unread: read the responses, or close some of them"
    )]
    Unread,
}

/// The fault of a cluster's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateProblem {
    /// No configured authority issued it.
    Authority,
    /// It is for other names.
    Name,
    /// It has expired or is not yet valid.
    Time,
    /// Any other fault.
    Other,
}

/// A phase of a request that can take too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Obtaining a connection.
    Connect,
    /// Waiting for the answer to begin.
    Head,
}

impl UpstreamError {
    /// Converts the reason why the cluster cannot use the Secret of its credential.
    pub(super) fn of_secret(unowned: Unowned) -> Self {
        match unowned {
            Unowned::NoReference(_) | Unowned::Missing(_) => Self::NoCredential,
            Unowned::ForeignReference { .. }
            | Unowned::Unbound(_)
            | Unowned::OtherCluster(_)
            | Unowned::OtherConnection(_)
            | Unowned::Unsealed(_) => Self::CredentialNotBound(unowned),
        }
    }

    /// Converts a failure of the TLS handshake.
    pub(super) fn of_handshake(error: std::io::Error) -> Self {
        let problem = tls_error(&error).and_then(certificate_problem);
        match problem {
            Some(problem) => Self::WrongCertificate(problem, Arc::new(error)),
            None => Self::of_connection(error),
        }
    }

    /// Converts a failure of a connection on which a request was sent.
    pub(super) fn of_exchange(error: impl Error + Send + Sync + 'static) -> Self {
        match Self::of_connection(error) {
            Self::Unreachable(cause) => Self::Interrupted(cause),
            other => other,
        }
    }

    /// Converts a failure of an established connection. A server that rejects a client certificate
    /// says so only after the handshake (RFC 8446, section 4.4.2.4).
    pub(super) fn of_connection(error: impl Error + Send + Sync + 'static) -> Self {
        match tls_error(&error) {
            Some(error) if rejects_client_certificate(error) => Self::CredentialRefused,
            _ => Self::Unreachable(Arc::new(error)),
        }
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authority => {
                "its certificate is not signed by the certificate authority configured for it"
            }
            Self::Name => "its certificate is not valid for its name",
            Self::Time => "its certificate has expired or is not yet valid",
            Self::Other => "its certificate cannot be trusted",
        })
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "it took too long to connect",
            Self::Head => "it took too long to respond",
        })
    }
}

fn certificate_problem(error: &rustls::Error) -> Option<CertificateProblem> {
    let rustls::Error::InvalidCertificate(why) = error else {
        return None;
    };
    Some(match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            CertificateProblem::Authority
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateProblem::Name
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => CertificateProblem::Time,
        _ => CertificateProblem::Other,
    })
}
