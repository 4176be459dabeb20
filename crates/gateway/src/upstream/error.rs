//! Why a cluster does not answer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use management::cluster_secret::Unowned;
use rustls::{AlertDescription, CertificateError};

/// What lies behind a failure: for the log, since it may name internal addresses.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Why a cluster does not answer. The texts name no address; [`Error::source`] may.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpstreamError {
    /// There is no such cluster.
    #[error("the cluster does not exist")]
    NoCluster,
    /// The cluster object says no way to it.
    #[error("no connection is configured")]
    NoConnection,
    /// The cluster object says a way that makes no sense: which field.
    #[error("the field {0} of its connection cannot be understood")]
    Malformed(&'static str),
    /// The Secret with the gateway's credential is not there or holds none.
    #[error("the gateway has no credential for it")]
    NoCredential,
    /// The credential that the cluster object names is not bound to the cluster and its connection.
    #[error("the gateway's credential is not bound to it and its connection")]
    CredentialNotBound(Unowned),
    /// The address is not one that the gateway connects to.
    #[error("its address is not one that the gateway connects to")]
    AddressRefused,
    /// Nobody answers there, or not with TLS, or the connection broke.
    #[error("it cannot be reached")]
    Unreachable(#[source] Cause),
    /// The connection broke after the request was sent, and nothing tells whether it was processed.
    #[error("the connection to it broke before it answered, so it may have processed the request")]
    Interrupted(#[source] Cause),
    /// It did not process the request, which cannot be sent again from here.
    #[error("it did not accept the request, which has had no effect: send it again")]
    NotProcessed(#[source] Cause),
    /// The client did not send the whole body of the request.
    #[error("the body of the request is malformed, or broke off")]
    RequestBody(#[source] Cause),
    /// The proxy on the way does not answer or does not lead on.
    #[error("the proxy on the way to it failed")]
    ProxyFailed(#[source] Cause),
    /// Somebody answers who is not the cluster, as far as certificates tell.
    #[error("{0}")]
    WrongCertificate(CertificateProblem, #[source] Cause),
    /// The cluster does not take the gateway's own credential.
    #[error("the gateway's credential was refused")]
    CredentialRefused,
    /// It took too long.
    #[error("{0}")]
    Slow(Phase),
    /// As many requests are under way to it as there may be.
    #[error("too many requests are under way to it")]
    Busy,
    /// As many requests of the user are under way to it as the user's share allows.
    #[error("too many of your requests are under way to it")]
    BusyWithUser,
    /// As much of the answers to the user is unread as may be.
    #[error("too much of the answers to you is unread: read it, or close some of them")]
    Unread,
}

/// What is wrong with the certificate of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateProblem {
    /// None of the configured authorities vouches for it.
    Authority,
    /// It is for other names.
    Name,
    /// It has expired or does not count yet.
    Time,
    /// Anything else.
    Other,
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Until there was a connection.
    Connect,
    /// Until the answer began.
    Head,
}

impl UpstreamError {
    /// From the reason why the cluster cannot use the Secret of its credential.
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

    /// From a failure of the TLS handshake.
    pub(super) fn of_handshake(error: std::io::Error) -> Self {
        let problem = rustls_error(&error).and_then(certificate_problem);
        match problem {
            Some(problem) => Self::WrongCertificate(problem, Arc::new(error)),
            None => Self::of_connection(error),
        }
    }

    /// From a failure of a connection on which a request was sent.
    pub(super) fn of_exchange(error: impl Error + Send + Sync + 'static) -> Self {
        match Self::of_connection(error) {
            Self::Unreachable(cause) => Self::Interrupted(cause),
            other => other,
        }
    }

    /// From a failure of an established connection. Who refuses a client certificate says so only
    /// after the handshake (RFC 8446, section 4.4.2.4).
    pub(super) fn of_connection(error: impl Error + Send + Sync + 'static) -> Self {
        match rustls_error(&error) {
            Some(rustls::Error::AlertReceived(alert)) if is_refusal(*alert) => {
                Self::CredentialRefused
            }
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
            Self::Name => "its certificate is for another name",
            Self::Time => "its certificate has expired or is not valid yet",
            Self::Other => "its certificate cannot be trusted",
        })
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "it took too long to connect",
            Self::Head => "it took too long to answer",
        })
    }
}

/// The TLS library's error in a chain of causes. An `io::Error` is not the source of what it wraps
/// but hides it.
fn rustls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        next = match error.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
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

fn is_refusal(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}
