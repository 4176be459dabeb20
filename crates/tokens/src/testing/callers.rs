//! The callers and endpoints of a test.

use api::ext::Kubeconfig;
use api::ext::token::TokenEndpoint;
use apiserver::request_context::RequestContext;
use apiserver::testing::NOW;
use async_trait::async_trait;
use auth::{Authentication, Authenticator, Credentials, Login, UserInfo};
use machinery::meta::MetadataExt;
use machinery::status::Status;

use super::{SERVER_URL, seconds};
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

/// A provider whose ID tokens this server accepts. `login:USER/SECONDS/GROUP…` is the login of a user
/// with an ID token that was issued so many seconds after [`NOW`].
pub(super) struct Provider;

#[async_trait]
impl Authenticator for Provider {
    fn name(&self) -> &'static str {
        "provider"
    }

    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication {
        let bearer = credentials.bearer;
        let Some(told) = bearer.and_then(|bearer| bearer.strip_prefix("login:")) else {
            return Authentication::NotRequested;
        };
        let mut parts = told.split('/').map(str::to_owned);
        let name = parts.next().unwrap();
        let issued = seconds(parts.next().unwrap().parse().unwrap());
        let user = UserInfo {
            groups: parts.collect(),
            ..UserInfo::named(name)
        };
        Authentication::by_login(
            user,
            Login::by_id_token("https://login.example.com", issued),
        )
    }
}

/// A host that this server trusts. `host:USER/TOKEN/GROUP…` is a request that the host reports as
/// authenticated by this token; `host:USER//GROUP…` is one with a login.
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
        let token = parts.next().filter(|token| !token.is_empty());
        let user = UserInfo {
            extra: [(EXTRA_TOKEN.to_owned(), token.into_iter().collect())].into(),
            groups: parts.collect(),
            ..UserInfo::named(name)
        };
        Authentication::by_login(user, Login::by_host(None, NOW))
    }
}
