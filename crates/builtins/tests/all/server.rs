//! The server under test.

use std::sync::Arc;

use apiserver::testing::{Fixture, NOW, TestServer};
use auth::rbac::RbacAuthorizer;
use auth::{Authorizer, AuthorizerUnion, PrivilegedGroup};
use builtins::Builtins;
use machinery::testing::ManualClock;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A user with all rights.
pub(crate) const ROOT: &str = "root/system:masters";

/// The server, its stored kinds, and its background work.
pub(crate) struct Server {
    pub(crate) http: TestServer,
    pub(crate) kinds: Builtins,
    _stop: DropGuard,
}

/// Starts a server with its default objects and background tasks.
pub(crate) async fn start() -> Server {
    start_as(|kinds| {
        let authorizers: Vec<Arc<dyn Authorizer>> = vec![
            Arc::new(PrivilegedGroup::system_masters()),
            Arc::new(RbacAuthorizer::new(kinds.policy())),
        ];
        Arc::new(AuthorizerUnion::new(authorizers))
    })
    .await
}

/// Starts a server with another authorizer.
pub(crate) async fn start_with(authorizer: Arc<dyn Authorizer>) -> Server {
    start_as(|_| authorizer).await
}

async fn start_as(authorizer: impl FnOnce(&Builtins) -> Arc<dyn Authorizer>) -> Server {
    let mut fixture = Fixture::new();
    let kinds = Builtins::register(&mut fixture.registries);
    let authorizer = authorizer(&kinds);
    let bootstrap = async { kinds.bootstrap(Vec::new(), Vec::new()).await.unwrap() };
    let http = fixture
        .start(authorizer, |builder| kinds.serve(builder), bootstrap)
        .await;
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone().drop_guard();
    let running = kinds.clone();
    tokio::spawn(async move {
        running
            .run(Vec::new(), ManualClock::at(NOW), shutdown)
            .await
    });
    Server {
        http,
        kinds,
        _stop: stop,
    }
}

impl Server {
    /// Sends a request, checks the status code of the response, and returns its body.
    #[track_caller]
    pub(crate) fn call(
        &self,
        code: u16,
        user: &str,
        line: &str,
        body: Value,
    ) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        let body = Some(body).filter(|body| !body.is_null());
        let (user, line) = (user.to_owned(), line.to_owned());
        async move {
            let answer = self.http.call(&user, &line, body).await;
            assert_eq!(
                answer.code, code,
                "{user}: {line} at {caller}: {}",
                answer.body
            );
            answer.body
        }
    }

    /// Sends a request as root that must succeed.
    pub(crate) async fn done(&self, line: &str, body: Value) -> Value {
        let answer = self
            .http
            .call(ROOT, line, Some(body).filter(|body| !body.is_null()))
            .await;
        assert!(matches!(answer.code, 200 | 201), "{line}: {}", answer.body);
        answer.body
    }

    /// Returns the visible columns and rows of a list.
    pub(crate) async fn table(&self, path: &str) -> (Vec<String>, Vec<Value>) {
        let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let line = format!("GET {path}");
        let table = self
            .http
            .call_accepting(accept, ROOT, &line, None)
            .await
            .body;
        let names = table["columnDefinitions"].as_array().unwrap().iter();
        let names = names.map(|column| {
            let wide = if column["priority"] == 0 { "" } else { "+" };
            format!("{wide}{}", column["name"].as_str().unwrap())
        });
        let rows = table["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["cells"].clone());
        (names.collect(), rows.collect())
    }
}

/// Returns an object with nothing but a name.
pub(crate) fn named(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}
