//! Storing a new kubeconfig and its tokens, and removing them again after a failure.

use api::ext::{Kubeconfig, Token};
use apiserver::registry::WriteError;
use futures_util::future::{join, join_all};
use machinery::status::Status;

use crate::request::group_resource;
use crate::request::name_of;
use crate::strategy::Kubeconfigs;

impl Kubeconfigs {
    /// Stores the tokens and the record, in this order. A process that sees a record before the
    /// tokens that own it, such as the garbage collector of a host, would consider it orphaned. If
    /// the store keeps the order itself, all are handed over at once, so that one commit can take
    /// them all.
    pub(super) async fn store(
        &self,
        record: Kubeconfig,
        tokens: Vec<Token>,
    ) -> Result<Kubeconfig, Status> {
        let names = record.status.tokens.clone();
        let name = name_of(&record).to_owned();
        let tokens = self.minter.store(tokens);
        let record = self.registry.store().insert(record, false);
        match in_order(self.registry.store().is_ordered(), tokens, record).await {
            Ok((version, Ok(record))) => {
                // This replica must know the tokens in the file before the client receives it.
                self.tokens.store().await_shown(version).await;
                Ok(record)
            }
            Ok((_, Err(status))) => {
                self.revoke(&names).await;
                Err(status)
            }
            Err((status, record)) => {
                if let Some(record) = record {
                    self.withdraw(record).await;
                }
                Err(of_store(&name, status))
            }
        }
    }

    /// Removes a record that lacks tokens and was not returned to any client.
    async fn withdraw(&self, record: Kubeconfig) {
        if let Err(WriteError::Status(error)) = self.registry.store().remove_as_read(&record).await
        {
            let name = name_of(&record);
            tracing::warn!(name, %error, "a kubeconfig without its tokens could not be deleted");
        }
    }

    /// Removes tokens. Tokens that cannot be removed now were never valid, and are swept later.
    pub(crate) async fn revoke(&self, names: &[String]) {
        let revoked = names.iter().map(|name| async move {
            if let Err(error) = self.minter.revoke(name).await {
                tracing::warn!(token = name, %error, "a token could not be deleted and is left to the sweeper");
            }
        });
        join_all(revoked).await;
    }
}

/// Performs two writes so that no reader sees the second without the first. A store that keeps the
/// order gets both at once; other stores get the second after the first has succeeded.
///
/// # Errors
/// Returns the error of the first write, with the result of the second if that succeeded.
async fn in_order<A, B>(
    is_ordered: bool,
    first: impl Future<Output = Result<A, Status>>,
    second: impl Future<Output = Result<B, Status>>,
) -> Result<(A, Result<B, Status>), (Status, Option<B>)> {
    if !is_ordered {
        let first = first.await.map_err(|status| (status, None))?;
        return Ok((first, second.await));
    }
    match join(first, second).await {
        (Ok(first), second) => Ok((first, second)),
        (Err(status), second) => Err((status, second.ok())),
    }
}

/// Returns the response for a failure to create the tokens. A conflict stays a conflict, so that
/// the code that generates names tries another one.
pub(super) fn of_tokens(status: Status) -> Status {
    match status.http_code() {
        503 | 409 => status,
        _ => Status::internal(format!(
            "error creating kubeconfig token: {}",
            status.message
        )),
    }
}

/// Returns the response if the store does not accept the tokens. It names the record, which the
/// client requested.
fn of_store(record: &str, status: Status) -> Status {
    let denied = "backing store denied the request";
    // Skip the name of the token.
    let why = status.message.split_once(": ");
    let why = why.map_or_else(String::new, |(_, why)| format!(": {why}"));
    match status.http_code() {
        403 => Status::forbidden(&group_resource(), record, denied),
        503 => Status {
            message: format!("backing store unavailable for kubeconfig {record}{why}"),
            ..status
        },
        _ => of_tokens(status),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Performs two writes of which the first takes some time. Returns the order of events and the
    /// results.
    async fn write(is_ordered: bool, fails: bool) -> (Vec<&'static str>, [Option<bool>; 2]) {
        let log = RefCell::new(Vec::new());
        let first = async {
            log.borrow_mut().push("first begins");
            tokio::task::yield_now().await;
            log.borrow_mut().push("first ends");
            match fails {
                true => Err(Status::internal("")),
                false => Ok(()),
            }
        };
        let second = async {
            log.borrow_mut().push("second");
            Ok(())
        };
        let done = match in_order(is_ordered, first, second).await {
            Ok(((), second)) => [Some(true), Some(second.is_ok())],
            Err((_, second)) => [Some(false), second.map(|()| true)],
        };
        (log.into_inner(), done)
    }

    #[tokio::test]
    async fn a_record_follows_its_tokens() {
        let [begins, ends, second] = ["first begins", "first ends", "second"];
        let (yes, no) = (Some(true), Some(false));
        for ((is_ordered, fails), order, done) in [
            ((true, false), vec![begins, second, ends], [yes, yes]),
            ((true, true), vec![begins, second, ends], [no, yes]),
            ((false, false), vec![begins, ends, second], [yes, yes]),
            ((false, true), vec![begins, ends], [no, None]),
        ] {
            assert_eq!(write(is_ordered, fails).await, (order, done));
        }
    }

    #[test]
    fn trouble_with_the_store_is_told_of_the_record() {
        let denied = Status::forbidden(&group_resource(), "token-1", "x");
        let gone = Status::service_unavailable("of token-1", Some(1));
        let full = Status::service_unavailable("of token-1: disk full", Some(1));
        for (status, code, message) in [
            (
                denied,
                403,
                "kubeconfigs.ext.cattle.io \"a\" is forbidden: backing store denied the request",
            ),
            (gone, 503, "backing store unavailable for kubeconfig a"),
            (
                full,
                503,
                "backing store unavailable for kubeconfig a: disk full",
            ),
            (
                Status::bad_request("x"),
                500,
                "Internal error occurred: error creating kubeconfig token: x",
            ),
        ] {
            let told = of_store("a", status);
            assert_eq!((told.http_code(), told.message.as_str()), (code, message));
        }
    }
}
