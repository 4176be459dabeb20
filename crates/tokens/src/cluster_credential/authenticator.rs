//! Authentication of clusters as callers of this server.

use async_trait::async_trait;
use auth::{Authentication, Authenticator, Credentials};

use super::{ClusterToken, WebhookRecords, user_of};

/// Authenticates clusters by their tokens. Ignores bearer tokens of any other form.
pub struct ClusterAuthenticator {
    records: WebhookRecords,
}

impl ClusterAuthenticator {
    /// Creates an authenticator that checks tokens against these records.
    pub fn new(records: WebhookRecords) -> Self {
        Self { records }
    }
}

#[async_trait]
impl Authenticator for ClusterAuthenticator {
    fn name(&self) -> &'static str {
        "cluster credential"
    }

    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication {
        let Some(token) = credentials.bearer.and_then(ClusterToken::parse) else {
            return Authentication::NotRequested;
        };
        match self.records.proves(token.cluster(), token.expose()) {
            true => Authentication::of(user_of(token.cluster())),
            false => Authentication::failed("the token is not the credential of the cluster"),
        }
    }
}
