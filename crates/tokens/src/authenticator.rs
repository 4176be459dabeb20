//! Authentication of requests to this server by minted tokens.

use std::sync::Arc;

use async_trait::async_trait;
use auth::{Authentication, Authenticator, Credentials, UserInfo};
use machinery::time::Clock;

use crate::token_record::EXTRA_TOKEN;
use crate::validity::Validity;

/// Authenticates the bearers of minted tokens.
pub struct TokenAuthenticator {
    validity: Arc<Validity>,
    clock: Arc<dyn Clock>,
    cluster: &'static str,
}

impl TokenAuthenticator {
    /// Creates an authenticator that accepts tokens for the cluster `cluster`, which is this
    /// server's.
    pub fn new(validity: Arc<Validity>, clock: Arc<dyn Clock>, cluster: &'static str) -> Self {
        Self {
            validity,
            clock,
            cluster,
        }
    }
}

#[async_trait]
impl Authenticator for TokenAuthenticator {
    fn name(&self) -> &'static str {
        "minted token"
    }

    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication {
        let Some(bearer) = credentials.bearer else {
            return Authentication::NotRequested;
        };
        let now = self.clock.now();
        match self.validity.check(bearer, self.cluster, now).await {
            Ok(token) => {
                let mut user = UserInfo::named(token.user().to_owned());
                let name = token.name().to_owned();
                user.groups = token.carried_groups().to_vec();
                user.extra.insert(EXTRA_TOKEN.to_owned(), vec![name]);
                Authentication::of(user)
            }
            Err(refusal) => Authentication::failed(refusal.to_string()),
        }
    }
}
