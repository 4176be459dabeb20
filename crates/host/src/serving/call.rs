//! Calls to the host, with errors for administrators.

use std::time::Duration;

/// Time limit for an answer of the host. The next pass tries again.
const DEADLINE: Duration = Duration::from_secs(10);

/// The reason why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The permission is missing. Holds the host's message.
    Forbidden(String),
    /// Anything else.
    Other(String),
}

/// The result of a compare-and-swap.
pub(crate) enum Written {
    /// The object was written.
    Done,
    /// Another writer was faster. The object must be read again.
    Conflict,
}

/// Waits for the host's answer, with a time limit.
pub(crate) async fn call<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Failure> {
    answer(request).await?.map_err(|error| failure(&error))
}

/// Like [`call`], for a write that is conditional on the version that was read.
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
    answer.map_err(|_| Failure::Other("the host does not respond".to_owned()))
}

fn failure(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            Failure::Forbidden(status.message.clone())
        }
        kube::Error::Api(status) if status.message.is_empty() => {
            Failure::Other(format!("the host responded {}", status.code))
        }
        kube::Error::Api(status) => Failure::Other(status.message.clone()),
        error => Failure::Other(deepest(error)),
    }
}

/// Returns the innermost cause, which says why a connection failed.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
