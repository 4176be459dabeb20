//! Failures of calls to etcd, classified by the possible reaction.

use std::sync::Arc;

use tonic::{Code, Status};

use crate::Error;

use super::members::Unfit;

/// Messages for requests that etcd rejected before appending them to its log. (Other messages with
/// the same code may be sent after the request was proposed.)
const NOT_DONE: &[&str] = &["etcdserver: no leader", "etcdserver: too many requests"];

/// A failed call. The causes are for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The revision has been compacted.
    #[error("the revision has been compacted")]
    Compacted,
    /// The revision has not been reached.
    #[error("the revision has not been reached")]
    FutureRevision,
    /// The request is larger than etcd accepts.
    #[error("the request is too large for etcd")]
    TooLarge,
    /// No member can be reached. The call had no effect.
    #[error("no member of etcd is ready")]
    NoMember(#[source] Arc<Unfit>),
    /// etcd does not accept requests at the moment. The call had no effect.
    #[error("etcd does not accept requests at the moment")]
    NotDone(#[source] Box<Status>),
    /// The connection or the member is gone, or the member could not decide. The call may have had
    /// an effect.
    #[error("the connection to etcd broke during a call")]
    Lost(#[source] Box<Status>),
    /// etcd refuses the call: no space, no permission, or an unknown method.
    #[error("etcd rejected the request")]
    Refused(#[source] Box<Status>),
    /// etcd did not respond in time. The call may have had an effect.
    #[error("etcd did not respond in time")]
    Late,
    /// The answer lacks a field that etcd always sets.
    #[error("the response of etcd is incomplete")]
    Malformed,
    /// The store has been shut down.
    #[error("the store is shut down")]
    Closed,
}

impl Failure {
    /// Returns whether the call certainly had no effect and may succeed later.
    pub(super) fn is_not_done(&self) -> bool {
        match self {
            Self::NoMember(_) | Self::NotDone(_) => true,
            Self::Compacted
            | Self::FutureRevision
            | Self::TooLarge
            | Self::Lost(_)
            | Self::Refused(_)
            | Self::Late
            | Self::Malformed
            | Self::Closed => false,
        }
    }

    /// Returns whether another member, or the same one a little later, may answer.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::NoMember(_) | Self::NotDone(_) | Self::Lost(_) => true,
            Self::Compacted
            | Self::FutureRevision
            | Self::TooLarge
            | Self::Refused(_)
            | Self::Late
            | Self::Malformed
            | Self::Closed => false,
        }
    }
}

/// Matches on the messages, because etcd's codes are coarse. etcd's own clients do the same.
impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        match status.message() {
            "etcdserver: mvcc: required revision has been compacted" => return Self::Compacted,
            "etcdserver: mvcc: required revision is a future revision" => {
                return Self::FutureRevision;
            }
            "etcdserver: request is too large" => return Self::TooLarge,
            message if NOT_DONE.contains(&message) => return Self::NotDone(Box::new(status)),
            _ => {}
        }
        match status.code() {
            Code::Unavailable
            | Code::Unknown
            | Code::Internal
            | Code::Cancelled
            | Code::Aborted
            | Code::DeadlineExceeded => Self::Lost(Box::new(status)),
            Code::Ok
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::DataLoss
            | Code::Unauthenticated => Self::Refused(Box::new(status)),
        }
    }
}

/// Covers the failures that mean the same to every caller.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::unavailable(failure)
    }
}
