//! A server inside a test process: the real store, cache and handler chain, without network and
//! TLS.
//!
//! A bearer token is the name of the user, followed by its groups after slashes: `alice/dev/ops`.
//! Tests of an authenticator prefix such names with `as:`, so that other tokens go to that
//! authenticator. The clock always returns [`NOW`].

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use auth::{Authentication, Authenticator, Authorizer, Credentials, UserInfo};
use axum::body::Body;
use http::{Request, Response, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use machinery::testing::ManualClock;
use serde_json::Value;
use storage::Store;
use storage::cache::{CacheBuilder, CacheOptions};
use storage::sqlite::{Sqlite, SqliteOptions};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

use crate::registry::Registries;
use crate::server::HttpService;
use crate::{Builder, GenericServer};

/// The time in every test: 2026-01-02T03:04:05Z.
pub const NOW: Timestamp = Timestamp::constant(1_767_323_045, 0);

/// A server before its start. Add the kinds to its registries first.
pub struct Fixture {
    /// The registries of the kinds under test.
    pub registries: Registries,
    directory: TempDir,
    named_users: NamedUsers,
}

/// A running server. Dropping it stops the server.
pub struct TestServer {
    service: HttpService,
    _directory: TempDir,
    _stop: DropGuard,
}

/// A response: status code and decoded body.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status code.
    pub code: u16,
    /// The body; null if it is not JSON.
    pub body: Value,
}

impl Fixture {
    /// Creates a server over an empty store in a temporary directory.
    ///
    /// # Panics
    /// If no temporary directory can be created.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let store = Sqlite::open(directory.path(), SqliteOptions::default());
        let store: Arc<dyn Store> = Arc::new(store.expect("a new store can be opened"));
        let cache = CacheBuilder::new(Arc::clone(&store), CacheOptions::default());
        Self {
            registries: Registries::new(store, cache, ManualClock::at(NOW)),
            directory,
            named_users: NamedUsers { prefix: "" },
        }
    }

    /// Treats only bearer tokens that start with `as:` as user names.
    #[must_use]
    pub fn with_prefixed_users(mut self) -> Self {
        self.named_users.prefix = "as:";
        self
    }

    /// Starts the cache, runs `prepare` to fill the store, and serves the kinds that `serve` adds.
    ///
    /// # Panics
    /// If the store cannot be read.
    pub async fn start<F: Future<Output = ()>>(
        self,
        authorizer: Arc<dyn Authorizer>,
        serve: impl FnOnce(Builder) -> Builder,
        prepare: F,
    ) -> TestServer {
        let cache = self
            .registries
            .into_cache()
            .start()
            .await
            .expect("a new store can be read");
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone().drop_guard();
        tokio::spawn(async move { cache.run(shutdown).await });
        prepare.await;
        let builder = GenericServer::builder(authorizer, ManualClock::at(NOW));
        let server = serve(builder.authenticator(Arc::new(self.named_users))).build();
        TestServer {
            service: server.service(),
            _directory: self.directory,
            _stop: stop,
        }
    }
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

impl TestServer {
    /// Sends a request as this user. A body is sent as JSON, or as a merge patch if the method is
    /// PATCH.
    ///
    /// # Panics
    /// If the request is malformed.
    pub async fn call(&self, user: &str, line: &str, body: Option<Value>) -> Answer {
        self.call_accepting("application/json", user, line, body)
            .await
    }

    /// Sends a request unchanged.
    pub async fn send(&self, request: Request<Body>) -> Response<Body> {
        let Ok(response) = self.service.clone().oneshot(request).await;
        response
    }

    /// Like [`TestServer::call`], but with this media type in `Accept`.
    ///
    /// # Panics
    /// If the request is malformed.
    pub async fn call_accepting(
        &self,
        accept: &str,
        user: &str,
        line: &str,
        body: Option<Value>,
    ) -> Answer {
        let (method, path) = line.split_once(' ').expect("a line is a method and a path");
        let content = if method == "PATCH" {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, accept)
            .header(header::CONTENT_TYPE, content)
            .header(header::AUTHORIZATION, format!("Bearer {user}"))
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .expect("the request of a test is well-formed");
        let response = self.send(request).await;
        let code = response.status().as_u16();
        let body = response
            .into_body()
            .collect()
            .await
            .expect("an answer can be read to its end");
        Answer {
            code,
            body: serde_json::from_slice(&body.to_bytes()).unwrap_or_default(),
        }
    }
}

/// An authenticator that accepts any caller as the user that the bearer token names.
struct NamedUsers {
    prefix: &'static str,
}

#[async_trait]
impl Authenticator for NamedUsers {
    fn name(&self) -> &'static str {
        "named users"
    }

    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication {
        let bearer = credentials.bearer;
        let Some(bearer) = bearer.and_then(|bearer| bearer.strip_prefix(self.prefix)) else {
            return Authentication::NotRequested;
        };
        let mut parts = bearer.split('/').map(str::to_owned);
        let name = parts.next().unwrap_or_default();
        Authentication::of(UserInfo {
            groups: parts.collect(),
            ..UserInfo::named(name)
        })
    }
}
