//! The callers and endpoints of a test.

use api::ext::Kubeconfig;
use api::ext::token::TokenEndpoint;
use apiserver::request_context::RequestContext;
use async_trait::async_trait;
use auth::{Authentication, Authenticator, Credentials, UserInfo};
use machinery::meta::MetadataExt;
use machinery::status::Status;

use super::SERVER_URL;
use crate::exchange::Endpoints;
use crate::token_record::EXTRA_TOKEN;

/// The endpoints of clusters that are reached only through this server.
pub(super) struct OneEndpoint;

#[async_trait]
impl Endpoints for OneEndpoint {
    async fn endpoints(
        &self,
        _cx: &RequestContext,
        record: &Kubeconfig,
        cluster: &str,
    ) -> Result<Vec<TokenEndpoint>, Status> {
        let name = record.metadata.name();
        Ok(vec![TokenEndpoint {
            server: format!("{SERVER_URL}/k8s/clusters/{cluster}?{name}"),
            certificate_authority_data: "Q0E=".to_owned(),
        }])
    }
}

/// A host that this server trusts. `host:USER/TOKEN/GROUP…` is a request that the host reports as
/// authenticated by this token.
pub(super) struct Host;

#[async_trait]
impl Authenticator for Host {
    fn name(&self) -> &'static str {
        "host"
    }

    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication {
        let bearer = credentials.bearer;
        let Some(told) = bearer.and_then(|bearer| bearer.strip_prefix("host:")) else {
            return Authentication::NotRequested;
        };
        let mut parts = told.split('/').map(str::to_owned);
        let name = parts.next().unwrap();
        Authentication::of(UserInfo {
            extra: [(EXTRA_TOKEN.to_owned(), parts.next().into_iter().collect())].into(),
            groups: parts.collect(),
            ..UserInfo::named(name)
        })
    }
}
