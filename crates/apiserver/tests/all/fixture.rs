//! A complete server in a temporary directory, and requests to it.
//!
//! Tests are plain functions: the fixture owns the runtime, so that a check function can report the
//! line of its caller. Callers are bearer tokens: the name and the groups of the user, separated by
//! commas.

mod access;
mod audit;
mod call;
mod echo;
mod letter;
mod note;
mod watch;

use std::sync::Arc;

use apiserver::GenericServer;
use apiserver::health::HealthCheck;
use apiserver::mount::{Access, MountedService};
use apiserver::registry::Registries;
use axum::body::Body;
use http::Response;
use jiff::{SignedDuration, Timestamp};
use machinery::testing::ManualClock;
use machinery::time::Clock;
use storage::cache::{CacheBuilder, CacheOptions};
use storage::sqlite::{Sqlite, SqliteOptions};
use storage::{Revision, Store};
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};
use tokio_util::sync::CancellationToken;

pub(crate) use audit::AuditLog;
pub(crate) use call::{Answer, Call};
pub(crate) use note::OVERTAKEN;
pub(crate) use watch::Watch;

use self::access::{Callers, Policy};

/// The collection of the namespaced kind in namespace `n`.
pub(crate) const NOTES: &str = "/apis/test.example.com/v1/namespaces/n/notes";

/// The collection of the namespaced kind in all namespaces.
pub(crate) const ALL_NOTES: &str = "/apis/test.example.com/v1/notes";

/// The collection of the cluster-scoped kind.
pub(crate) const LETTERS: &str = "/apis/test.example.com/v1/letters";

/// The path of the review kind.
pub(crate) const ECHOES: &str = "/apis/test.example.com/v1/echoes";

/// The time at the start of every fixture: 2026-01-02T03:04:05Z.
const START: Timestamp = Timestamp::constant(1_767_323_045, 0);

/// The options of a test server.
pub(crate) struct Options {
    /// The number of events that the cache keeps.
    pub(crate) history: usize,
    /// The numbers of concurrent read-only and mutating requests.
    pub(crate) limits: (usize, usize),
    /// The group with separate seats.
    pub(crate) reserved: Option<&'static str>,
    /// Additional health checks.
    pub(crate) checks: Vec<HealthCheck>,
    /// The callers who may reach the mounts.
    pub(crate) mount_access: Access,
    /// The mounts outside the API groups.
    pub(crate) mounts: Vec<(&'static str, MountedService)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            history: 1000,
            limits: (400, 200),
            reserved: None,
            checks: Vec::new(),
            mount_access: Access::Authenticated,
            mounts: Vec::new(),
        }
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) runtime: Runtime,
    pub(crate) generic: GenericServer,
    clock: Arc<ManualClock>,
    store: Arc<Sqlite>,
    _folder: TempDir,
}

impl Server {
    /// Starts a server with default options.
    pub(crate) fn start() -> Self {
        Self::with(Options::default())
    }

    /// Starts a server with these options.
    pub(crate) fn with(options: Options) -> Self {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Sqlite::open(folder.path(), SqliteOptions::default()).unwrap());
        let clock = ManualClock::at(START);
        let generic = runtime.block_on(build(&store, &clock, options));
        Self {
            runtime,
            generic,
            clock,
            store,
            _folder: folder,
        }
    }

    /// Sends a request and reads the whole response.
    pub(crate) fn send(&self, call: Call) -> Answer {
        self.runtime
            .block_on(async { Answer::read(call.send(self.generic.service()).await).await })
    }

    /// Sends a request and does not read the body of the response.
    pub(crate) fn open(&self, call: Call) -> Response<Body> {
        self.runtime.block_on(call.send(self.generic.service()))
    }

    /// Sends a GET request.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(Call::get(path))
    }

    /// Creates an object, which must succeed, and returns the response.
    #[track_caller]
    pub(crate) fn create(&self, collection: &str, object: serde_json::Value) -> serde_json::Value {
        let answer = self.send(Call::post(collection, &object));
        assert_eq!(answer.code, 201, "{}", answer.text());
        answer.json()
    }

    /// Opens a watch, which must succeed.
    #[track_caller]
    pub(crate) fn watch(&self, path: &str) -> Watch<'_> {
        Watch::open(self, Call::get(path))
    }

    /// Advances the clock of timestamps, but not that of timers.
    pub(crate) fn advance_clock(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// Returns the current revision of the store.
    pub(crate) fn revision(&self) -> u64 {
        self.runtime
            .block_on(self.store.current_revision())
            .unwrap()
            .get()
    }

    /// Writes bytes directly into the store, like another writer.
    pub(crate) fn plant(&self, key: &str, value: impl Into<bytes::Bytes>) {
        let (key, value) = (storage::Key::parse(key).unwrap(), value.into());
        self.runtime.block_on(async {
            match self.store.get(&key).await.unwrap() {
                Some(found) => self.store.update(&key, value, found.revision).await,
                None => self.store.create(&key, value).await,
            }
            .unwrap()
        });
    }

    /// Returns the stored bytes of a key.
    pub(crate) fn stored(&self, key: &str) -> Option<bytes::Bytes> {
        let key = storage::Key::parse(key).unwrap();
        let found = self.runtime.block_on(self.store.get(&key)).unwrap();
        found.map(|record| record.value)
    }

    /// Compacts the history before a revision.
    pub(crate) fn compact(&self, through: u64) {
        self.runtime
            .block_on(self.store.compact(Revision::new(through)))
            .unwrap();
    }
}

async fn build(store: &Arc<Sqlite>, clock: &Arc<ManualClock>, options: Options) -> GenericServer {
    let cache = CacheBuilder::new(
        Arc::clone(store) as Arc<dyn Store>,
        CacheOptions {
            history: options.history,
            ..CacheOptions::default()
        },
    );
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let mut registries = Registries::new(
        Arc::clone(store) as Arc<dyn Store>,
        cache,
        Arc::clone(&clock),
    );
    let notes = note::Notes::new(&mut registries);
    let letters = letter::Letters::new(&mut registries);
    let cache = registries.into_cache().start().await.unwrap();
    tokio::spawn(async move { cache.run(CancellationToken::new()).await });
    let mut builder = GenericServer::builder(Arc::new(Policy), clock)
        .authenticator(Arc::new(Callers))
        .resource(notes)
        .resource(letters)
        .review(echo::Echoes::new())
        .limits(options.limits.0, options.limits.1);
    if let Some(group) = options.reserved {
        builder = builder.reserve_seats(group);
    }
    for check in options.checks {
        builder = builder.health_check(check);
    }
    for (path, service) in options.mounts {
        builder = builder.mount(path, service, options.mount_access);
    }
    builder.build()
}
