//! Clusters as callers of this server.

use api::management::Cluster;
use apiserver::registry::Registry;
use async_trait::async_trait;
use auth::{Authentication, Authenticator, Credentials};
use k8s_openapi::api::core::v1::Secret;

use super::{ClusterToken, WebhookRecords, user_of};

/// Recognises clusters by their tokens; takes no notice of bearers of another form.
pub struct ClusterAuthenticator {
    records: WebhookRecords,
}

impl ClusterAuthenticator {
    /// Over these objects: a cluster counts while it and its Secret exist.
    pub fn new(secrets: Registry<Secret>, clusters: Registry<Cluster>) -> Self {
        Self {
            records: WebhookRecords { secrets, clusters },
        }
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
            true => Authentication::Authenticated(user_of(token.cluster())),
            false => Authentication::failed("it is not the credential of the cluster"),
        }
    }
}
