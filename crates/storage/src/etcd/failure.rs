//! How a call to etcd fails, by what may be done next.

use std::sync::Arc;

use tonic::{Code, Status};

use crate::Error;

use super::members::Unfit;

/// What etcd says of a request that it did not even hand on to its log. (Other answers with the
/// same code may come when the request was on its way.)
const NOT_DONE: &[&str] = &["etcdserver: no leader", "etcdserver: too many requests"];

/// Why a call brought no answer. The causes are for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The revision has been compacted.
    #[error("the revision has been compacted")]
    Compacted,
    /// The revision is not reached.
    #[error("the revision is not reached")]
    FutureRevision,
    /// The request is larger than etcd takes.
    #[error("the request is too large for etcd")]
    TooLarge,
    /// No member can be reached. Nothing was done.
    #[error("no member of etcd is ready")]
    NoMember(#[source] Arc<Unfit>),
    /// It does not take requests just now. Nothing was done.
    #[error("etcd takes no requests just now")]
    NotDone(#[source] Box<Status>),
    /// The way there or the member is gone, or it could not decide. It may have been done.
    #[error("the call to etcd was lost")]
    Lost(#[source] Box<Status>),
    /// It does not want to: no space, no permission, an unknown method.
    #[error("etcd refuses")]
    Refused(#[source] Box<Status>),
    /// It says nothing. It may have been done.
    #[error("etcd has not answered in time")]
    Late,
    /// It says what it never should.
    #[error("etcd's answer is incomplete")]
    Malformed,
    /// The store is shut down.
    #[error("the store is shut down")]
    Closed,
}

impl Failure {
    /// Whether the call has certainly had no effect and may have one later.
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

    /// Whether another member, or the same a little later, may answer.
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

/// etcd's codes are coarse, its messages are what its own clients go by.
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

/// For failures that mean the same to every caller.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::unavailable(failure)
    }
}
