//! Calls of the host, and what their failures mean to an administrator.

use std::time::Duration;

/// How long the host may take to answer; beyond that the next pass asks again.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Somebody else was faster.
    Conflict,
    /// The right to do it is missing; in the words of the host.
    Forbidden(String),
    /// It is not there; in the words of the host.
    Missing(String),
    /// Anything else.
    Other(String),
}

/// Waits for the host, but not for ever.
pub(super) async fn call<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(answer) => answer.map_err(|error| failure(&error)),
        Err(_) => Err(Failure::Other("the host does not answer".to_owned())),
    }
}

fn failure(error: &kube::Error) -> Failure {
    let kube::Error::Api(status) = error else {
        return Failure::Other(deepest(error));
    };
    let message = status.message.clone();
    match status.code {
        403 => Failure::Forbidden(message),
        404 => Failure::Missing(message),
        409 => Failure::Conflict,
        code if message.is_empty() => Failure::Other(format!("the host answers {code}")),
        _ => Failure::Other(message),
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
