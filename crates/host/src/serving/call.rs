//! Calls of the host, and what their failures mean to an administrator.

use std::time::Duration;

/// How long the host may take to answer; beyond that the next pass asks again.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The right to do it is missing; in the words of the host.
    Forbidden(String),
    /// Anything else.
    Other(String),
}

/// What became of a compare-and-swap.
pub(crate) enum Written {
    /// It is as it was to be.
    Done,
    /// Somebody else was faster: read it again.
    Conflict,
}

/// Waits for the host, but not for ever.
pub(crate) async fn call<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Failure> {
    answer(request).await?.map_err(|error| failure(&error))
}

/// As [`call`], for a write in the version that was read.
pub(crate) async fn write<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<Written, Failure> {
    match answer(request).await? {
        Ok(_) => Ok(Written::Done),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Written::Conflict),
        Err(error) => Err(failure(&error)),
    }
}

async fn answer<T>(request: impl Future<Output = T>) -> Result<T, Failure> {
    let answer = tokio::time::timeout(DEADLINE, request).await;
    answer.map_err(|_| Failure::Other("the host does not answer".to_owned()))
}

fn failure(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            Failure::Forbidden(status.message.clone())
        }
        kube::Error::Api(status) if status.message.is_empty() => {
            Failure::Other(format!("the host answers {}", status.code))
        }
        kube::Error::Api(status) => Failure::Other(status.message.clone()),
        error => Failure::Other(deepest(error)),
    }
}

/// What lies deepest says why a connection failed.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
