//! The store in the host: one Secret for each record, in one namespace.
//!
//! A record's revision is its Secret's resource version, so a write is one compare-and-swap of the
//! host and history is the host's own. `secret` says how a record looks, `fence` how a reader learns
//! the newest revision. All replicas are equal and see each other's writes through one watch each.
//!
//! What the host decides:
//! * Etcd forgets history after five minutes by default, and kube-apiserver forgets the events of
//!   watches when it restarts. Exact lists and watches of older revisions are `Compacted`.
//!   [`Store::compact`] forgets here alone.
//! * An answer to a delete has no revision. It is that of the event which follows; without one the
//!   delete is `Unavailable`, although it may have happened.
//! * A finalizer of others keeps a deleted Secret. To the store the record is gone from the moment at
//!   which the host marks it; the finalizers of what is deleted here are taken off.
//! * It may change or remove Secrets on the word of others who are allowed to. That is a write like
//!   any other. Secrets that are no records are never touched.
//!
//! It relies on [`Records::run`] running, on the namespace, and on the verbs get, list, watch, create,
//! update, patch and delete for its Secrets: [`Records::trouble`] says what is missing. The namespace
//! is never created.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use jiff::Timestamp;
use kube::Client;
use machinery::time::Clock;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use storage::{At, Error, Key, ListOptions, Page, Record, Revision, Store, Watch, check_value};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::date::Dates;
use self::fence::Fence;
use self::secret::Secrets;
use crate::resource::{Call, Failure, HISTORY, Limits, Reading, Resource, Target, Verb, answered};

mod date;
mod fence;
mod secret;

pub use self::date::{DateKey, MADE};
pub use self::secret::{FENCE, KEY, VALUE};

/// Most bytes of a value: all that a Secret holds (`k8s.io/api/core/v1`, `MaxSecretSize`).
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// Time for the event of a removal. In a healthy cluster it takes milliseconds.
const REMOVAL: Duration = Duration::from_secs(5);

/// Records that are dated at once.
const PARALLEL: usize = 16;

/// A fence that others write at the same moment is tried again so often.
const FENCE_ATTEMPTS: usize = 5;

const LIMITS: Limits = Limits {
    past: HISTORY as u64,
    window: None,
    // Half as long again as from bookmark to bookmark, for when no fence can be written.
    silence: Duration::from_secs(90),
};

const VERBS: &[Verb] = &[
    Verb::Get,
    Verb::List,
    Verb::Watch,
    Verb::Create,
    Verb::Update,
    Verb::Patch,
    Verb::Delete,
];

/// Which records.
#[derive(Clone)]
pub struct RecordsOptions {
    /// The namespace that holds them, and nothing else that matters.
    pub namespace: String,
    /// What tells this process from all others, of its time and before: random, or the pod's uid
    /// with the number of its restart.
    pub instance: String,
    /// The key of the records' dates.
    pub dates: DateKey,
    /// The clock of this machine.
    pub clock: Arc<dyn Clock>,
}

/// The store in the host.
pub struct Records {
    resource: Resource,
    fence: Fence,
    dates: Arc<Dates>,
}

impl Records {
    /// The records in a namespace of the host. Nothing is asked of the host until [`Records::run`].
    pub fn new(client: Client, options: RecordsOptions) -> Self {
        let target = Target {
            group: String::new(),
            version: "v1".to_owned(),
            resource: "secrets".to_owned(),
            namespace: Some(options.namespace),
        };
        let dates = Arc::new(Dates::new(options.dates, options.clock));
        let kind = Box::new(Secrets::new(Arc::clone(&dates)));
        Self {
            resource: Resource::new((client, target), kind, LIMITS, VERBS),
            fence: Fence::new(options.instance),
            dates,
        }
    }

    /// Follows the host until `shutdown`, then ends all watches. Reads and writes need it.
    pub async fn run(&self, shutdown: CancellationToken) {
        let quiet = || self.fence.nudge();
        tokio::select! {
            () = self.resource.run(&quiet) => {}
            () = self.pass_fences() => {}
            () = shutdown.cancelled() => {}
        }
        self.resource.log.close();
    }

    /// What keeps the store from working, in words for an administrator. It goes when all is well.
    pub fn trouble(&self) -> Option<String> {
        self.resource.trouble()
    }

    /// Dates the records that an earlier version left without a date; returns how many. Safe to repeat and to interrupt.
    ///
    /// # Errors
    /// `Unavailable`, `Denied`.
    pub async fn date_all(&self) -> Result<usize, Error> {
        let page = self.list("/", &ListOptions::default()).await?;
        let dated = stream::iter(&page.records).map(|record| self.date_again(&record.key));
        let dated: Vec<bool> = dated.buffer_unordered(PARALLEL).try_collect().await?;
        Ok(dated.into_iter().filter(|dated| *dated).count())
    }

    /// From now on a record without a date is damaged.
    pub fn require_dates(&self) {
        self.dates.require();
    }

    /// Dates a record by the time at which the host made its Secret. Says whether it did: one that has a date, or that changes meanwhile,
    /// is left.
    async fn date_again(&self, key: &Key) -> Result<bool, Error> {
        let name = secret::name_of(key);
        let found = match self.send(self.call(Verb::Get, &name), Vec::new()).await {
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => return Ok(false),
            found => found?,
        };
        let found: Made = serde_json::from_slice(&found).map_err(Failure::from)?;
        if found.metadata.annotations.contains_key(MADE) {
            return Ok(false);
        }
        match self.write_date(key, &found).await {
            Ok(_) => Ok(true),
            Err(failure) if is_conflict(&failure) => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn write_date(&self, key: &Key, found: &Made) -> Result<Revision, Failure> {
        let made = found.metadata.creation_timestamp.as_second();
        let date = self.dates.date(key, made);
        let patch = secret::encode_date(&date, &found.metadata.resource_version);
        let call = self.call(Verb::Patch, &secret::name_of(key));
        self.write(call, patch).await
    }

    fn call(&self, verb: Verb, name: &str) -> Call {
        let path = self.resource.calls.target().path();
        match name {
            "" => Call::new(verb, path),
            name => Call::new(verb, format!("{path}/{name}")),
        }
    }

    async fn send(&self, mut call: Call, body: Vec<u8>) -> Result<Bytes, Failure> {
        call.body = body;
        self.resource.calls.send(&call).await
    }

    async fn write(&self, call: Call, body: Vec<u8>) -> Result<Revision, Failure> {
        let answer = self.send(call, body).await?;
        self.written(&answer)
    }

    /// The revision in the answer to a write, whose event is expected from now on.
    fn written(&self, answer: &[u8]) -> Result<Revision, Failure> {
        let written = answered(answer)?;
        self.resource.log.expect(written);
        Ok(written)
    }

    /// Creates a record that is dated by a foretold time.
    async fn make(&self, key: &Key, secs: i64, secret: Vec<u8>) -> Result<Revision, Failure> {
        let answer = self.send(self.call(Verb::Create, ""), secret).await?;
        let written = self.written(&answer)?;
        let made: Made = serde_json::from_slice(&answer)?;
        match self
            .dates
            .was_foretold(secs, made.metadata.creation_timestamp)
        {
            true => Ok(written),
            false => self.write_date(key, &made).await,
        }
    }

    async fn pass_fences(&self) {
        while let Some(turn) = self.fence.turn().await {
            let passed = self.write_fence(&turn.stamp).await;
            turn.end(&passed);
        }
    }

    async fn write_fence(&self, stamp: &str) -> Result<Revision, Error> {
        let newest = self.resource.log.newest();
        let mut attempt = 1;
        let passed = loop {
            match self.try_fence(stamp).await {
                Err(failure) if failure.is(StatusCode::CONFLICT) && attempt < FENCE_ATTEMPTS => {
                    attempt += 1;
                }
                passed => break passed?,
            }
        };
        if passed <= newest {
            self.resource.note_lost_revisions(passed);
            return Err(Error::unavailable("the revisions of the host went back"));
        }
        Ok(passed)
    }

    async fn try_fence(&self, stamp: &str) -> Result<Revision, Failure> {
        let patch = secret::encode_fence(stamp, false);
        let answer = match self.send(self.call(Verb::Patch, FENCE), patch).await {
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => {
                return self.make_fence(stamp).await;
            }
            answer => answer?,
        };
        let fence: Typed = serde_json::from_slice(&answer)?;
        if fence.kind == secret::TYPE {
            return self.written(&answer);
        }
        // No watch of ours shows it.
        tracing::error!(
            secret = FENCE,
            "the Secret that orders reads has another type than ours: it is replaced"
        );
        self.send(self.call(Verb::Delete, FENCE), Vec::new())
            .await?;
        self.make_fence(stamp).await
    }

    async fn make_fence(&self, stamp: &str) -> Result<Revision, Failure> {
        let fence = secret::encode_fence(stamp, true);
        self.write(self.call(Verb::Create, ""), fence).await
    }

    /// For a write that found another record than it expected.
    async fn conflict(&self, key: &Key) -> Error {
        match self.read(key).await {
            Ok(current) => Error::Conflict { current },
            Err(failure) => failure.into(),
        }
    }

    /// Takes off the finalizers of a record that was deleted here, where the answer shows some. The Secret
    /// is of this store alone, and nothing of others is cleaned up after it.
    async fn release(&self, key: &Key, answer: &[u8]) {
        let held: Held = serde_json::from_slice(answer).unwrap_or_default();
        if held.metadata.finalizers.is_empty() {
            return;
        }
        let (name, finalizers) = (secret::name_of(key), held.metadata.finalizers.join(", "));
        let patch = json!({"metadata": {"finalizers": null}}).to_string();
        let call = self.call(Verb::Patch, &name);
        match self.send(call, patch.into_bytes()).await {
            Ok(_) => tracing::warn!(
                secret = name,
                finalizers,
                "finalizers of others held a deleted record and were taken off"
            ),
            Err(failure) => {
                let error = &failure as &dyn std::error::Error;
                tracing::error!(
                    secret = name,
                    finalizers,
                    error,
                    "a deleted record is held by finalizers; it is not used any more"
                );
            }
        }
    }

    /// For a write whose content the host refused.
    async fn unprocessable(&self, key: &Key, failure: Failure) -> Error {
        let call = self.call(Verb::Get, &secret::name_of(key));
        let found = self.send(call, Vec::new()).await;
        let frozen = found.is_ok_and(|found| {
            let found: Frozen = serde_json::from_slice(&found).unwrap_or_default();
            found.immutable
        });
        match frozen {
            true => Error::Immutable,
            false => failure.into(),
        }
    }

    /// The newest record, damaged or not.
    async fn read(&self, key: &Key) -> Result<Option<Record>, Failure> {
        let call = self.call(Verb::Get, &secret::name_of(key));
        let answer = match self.send(call, Vec::new()).await {
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => return Ok(None),
            answer => answer?,
        };
        match self.resource.kind.read(serde_json::from_slice(&answer)?)? {
            Reading::Record(record) => Ok(Some(record)),
            Reading::Removed(..) | Reading::Other(_) | Reading::Misfit(_) => Ok(None),
        }
    }
}

#[async_trait]
impl Store for Records {
    async fn get(&self, key: &Key) -> Result<Option<Record>, Error> {
        match self.read(key).await? {
            Some(record) if record.value.is_empty() => {
                Err(Error::corrupt(Some(key.clone()), "its Secret has no value"))
            }
            record => Ok(record),
        }
    }

    async fn list(&self, prefix: &str, options: &ListOptions) -> Result<Page, Error> {
        if let At::Exactly(revision) = options.at {
            self.check_reached(revision).await?;
        }
        self.resource.list(prefix, options).await
    }

    async fn create(&self, key: &Key, value: Bytes) -> Result<Revision, Error> {
        check(&value)?;
        let secs = self.dates.foretell();
        let secret = secret::encode(key, &value, &self.dates.date(key, secs));
        match self.make(key, secs, secret).await {
            Ok(written) => Ok(written),
            Err(failure) if failure.is(StatusCode::CONFLICT) => Err(Error::Exists),
            Err(failure) => Err(refused(failure, &value)),
        }
    }

    async fn update(&self, key: &Key, value: Bytes, expected: Revision) -> Result<Revision, Error> {
        check(&value)?;
        // To the host, version 0 means any.
        if expected == Revision::default() {
            return Err(self.conflict(key).await);
        }
        let patch = secret::encode_update(key, &value, expected);
        let call = self.call(Verb::Patch, &secret::name_of(key));
        match self.write(call, patch).await {
            Ok(written) => Ok(written),
            Err(failure) if is_conflict(&failure) => Err(self.conflict(key).await),
            Err(failure) if failure.is(StatusCode::UNPROCESSABLE_ENTITY) => {
                Err(self.unprocessable(key, failure).await)
            }
            Err(failure) => Err(refused(failure, &value)),
        }
    }

    async fn delete(&self, key: &Key, expected: Revision) -> Result<Revision, Error> {
        if expected == Revision::default() {
            return Err(self.conflict(key).await);
        }
        self.resource.log.begun().await?;
        let removal = self.resource.removals.wait(key, expected);
        let conditions = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"resourceVersion": expected.to_string()},
        });
        let call = self.call(Verb::Delete, &secret::name_of(key));
        match self.send(call, conditions.to_string().into_bytes()).await {
            Ok(answer) => self.release(key, &answer).await,
            Err(failure) if is_conflict(&failure) => return Err(self.conflict(key).await),
            Err(failure) => return Err(failure.into()),
        }
        match timeout(REMOVAL, removal).await {
            Ok(Ok(revision)) => Ok(revision),
            _ => Err(Error::unavailable("the event of a removal did not come")),
        }
    }

    async fn watch(&self, after: Revision) -> Result<Watch, Error> {
        self.check_reached(after).await?;
        self.resource.log.begun().await?;
        self.resource.log.watch(after)
    }

    async fn current_revision(&self) -> Result<Revision, Error> {
        self.fence.pass().await
    }

    async fn compacted_revision(&self) -> Result<Revision, Error> {
        self.resource.log.begun().await?;
        Ok(self.resource.log.compacted())
    }

    async fn compact(&self, through: Revision) -> Result<(), Error> {
        self.check_reached(through).await?;
        self.resource.log.begun().await?;
        self.resource.log.forget(through);
        Ok(())
    }
}

impl Records {
    /// Refuses a revision that is yet to come.
    async fn check_reached(&self, requested: Revision) -> Result<(), Error> {
        if requested <= self.resource.log.newest() {
            return Ok(());
        }
        let current = self.current_revision().await?;
        if requested <= current {
            return Ok(());
        }
        Err(Error::FutureRevision { requested, current })
    }
}

/// The answer to a delete, where the object is still there.
#[derive(Default, Deserialize)]
struct Held {
    #[serde(default)]
    metadata: HeldMeta,
}

#[derive(Default, Deserialize)]
struct HeldMeta {
    #[serde(default)]
    finalizers: Vec<String>,
}

/// The parts of a Secret that say when it was made.
#[derive(Deserialize)]
struct Made {
    metadata: MadeMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MadeMeta {
    resource_version: String,
    creation_timestamp: Timestamp,
    #[serde(default)]
    annotations: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Default, Deserialize)]
struct Frozen {
    #[serde(default)]
    immutable: bool,
}

fn is_conflict(failure: &Failure) -> bool {
    failure.is(StatusCode::CONFLICT) || failure.is(StatusCode::NOT_FOUND)
}

fn check(value: &Bytes) -> Result<(), Error> {
    check_value(value)?;
    if value.len() > MAX_VALUE_BYTES {
        return Err(too_large(value));
    }
    Ok(())
}

/// A write that the host refused for another reason than a conflict.
fn refused(failure: Failure, value: &Bytes) -> Error {
    match failure.code() {
        // Its own limit, or that of something between us, is lower than ours.
        Some(StatusCode::PAYLOAD_TOO_LARGE) => too_large(value),
        _ => failure.into(),
    }
}

fn too_large(value: &Bytes) -> Error {
    Error::TooLarge {
        size: value.len(),
        limit: MAX_VALUE_BYTES,
    }
}
