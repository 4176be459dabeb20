//! A store in the host: one Secret for each record, in one namespace.
//!
//! The revision of a record is the resource version of its Secret. So a write is one
//! compare-and-swap at the host, and the history is the host's own. `secret` defines the format of
//! a record, `fence` the way in which a reader obtains the newest revision. All replicas are equal,
//! and each sees the others' writes through one watch.
//!
//! Consequences of using the host:
//! * Etcd forgets history after five minutes by default, and kube-apiserver forgets the events of
//!   watches when it restarts. Exact lists and watches of older revisions are `Compacted`.
//!   [`Store::compact`] only affects this process.
//! * The answer to a delete contains no revision. The revision is that of the event that follows.
//!   Without the event the delete is `Unavailable`, although it may have happened.
//! * A deleted Secret remains while other components' finalizers hold it. The store treats the
//!   record as deleted from the moment when the host marks the Secret. It removes the finalizers of
//!   records that it deletes.
//! * Other clients with permission may change or remove Secrets. The store treats that as any other
//!   write. Secrets that are not records are never touched.
//!
//! It requires that [`Records::run`] runs, that the namespace exists, and permission for the verbs
//! get, list, watch, create, update, patch and delete for its Secrets: [`Records::trouble`] reports
//! what is missing. The namespace is never created.

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

/// Maximum size of a value, in bytes: the limit of a Secret (`k8s.io/api/core/v1`,
/// `MaxSecretSize`).
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// Time limit for the event of a removal. In a healthy cluster it takes milliseconds.
const REMOVAL: Duration = Duration::from_secs(5);

/// Maximum number of records that are dated concurrently.
const PARALLEL: usize = 16;

/// Number of attempts to write a fence that other replicas write at the same time.
const FENCE_ATTEMPTS: usize = 5;

const LIMITS: Limits = Limits {
    past: HISTORY as u64,
    window: None,
    // One and a half times the interval between bookmarks, for the case that no fence can be
    // written.
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

/// The records to store.
#[derive(Clone)]
pub struct RecordsOptions {
    /// The namespace of the records. It should not be used for anything else.
    pub namespace: String,
    /// An identifier of this process that no other process has or had: random, or the pod's uid
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
    /// Creates a store in a namespace of the host. No request is sent to the host until
    /// [`Records::run`].
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
            resource: Resource::new(client, target, kind, LIMITS, VERBS),
            fence: Fence::new(options.instance),
            dates,
        }
    }

    /// Follows the host until `shutdown`, then ends all watches. Reads and writes require that this
    /// runs.
    pub async fn run(&self, shutdown: CancellationToken) {
        let quiet = || self.fence.nudge();
        tokio::select! {
            () = self.resource.run(&quiet) => {}
            () = self.pass_fences() => {}
            () = shutdown.cancelled() => {}
        }
        self.resource.log.close();
    }

    /// Returns, for administrators, the current problems, or `None`.
    pub fn trouble(&self) -> Option<String> {
        self.resource.trouble()
    }

    /// Dates the records that an earlier version left without a date. Returns their number. It is
    /// safe to repeat and to interrupt.
    ///
    /// # Errors
    /// `Unavailable`, `Denied`.
    pub async fn date_all(&self) -> Result<usize, Error> {
        let page = self.list("/", &ListOptions::default()).await?;
        let dated = stream::iter(&page.records).map(|record| self.date_again(&record.key));
        let dated: Vec<bool> = dated.buffer_unordered(PARALLEL).try_collect().await?;
        Ok(dated.into_iter().filter(|dated| *dated).count())
    }

    /// Treats records without a date as damaged from now on.
    pub fn require_dates(&self) {
        self.dates.require();
    }

    /// Dates a record by the creation time of its Secret. Returns false if the record already has a
    /// date or has changed in the meantime; then it is left unchanged.
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

    /// Returns the revision in the answer to a write, and expects its event from now on.
    fn written(&self, answer: &[u8]) -> Result<Revision, Failure> {
        let written = answered(answer)?;
        self.resource.log.expect(written);
        Ok(written)
    }

    /// Creates a record that is dated with a predicted time.
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
            return Err(Error::unavailable(
                "the revision of the host went backwards",
            ));
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
        // Our watch does not select this Secret.
        tracing::error!(
            secret = FENCE,
            "the Secret that orders reads has an unexpected type and is replaced"
        );
        self.send(self.call(Verb::Delete, FENCE), Vec::new())
            .await?;
        self.make_fence(stamp).await
    }

    async fn make_fence(&self, stamp: &str) -> Result<Revision, Failure> {
        let fence = secret::encode_fence(stamp, true);
        self.write(self.call(Verb::Create, ""), fence).await
    }

    /// Returns the error for a write that found another record than expected.
    async fn conflict(&self, key: &Key) -> Error {
        match self.read(key).await {
            Ok(current) => Error::Conflict { current },
            Err(failure) => failure.into(),
        }
    }

    /// Removes the finalizers, if the answer has any, of a record that was deleted here. The Secret
    /// belongs to this store alone, so other components have nothing to clean up.
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
                "foreign finalizers blocked the deletion of a record and were removed"
            ),
            Err(failure) => {
                let error = &failure as &dyn std::error::Error;
                tracing::error!(
                    secret = name,
                    finalizers,
                    error,
                    "finalizers block the deletion of a record; the record is no longer used"
                );
            }
        }
    }

    /// Returns the error for a write whose content the host rejected.
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

    /// Reads the newest record, damaged or not.
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
        // The host treats version 0 as any version.
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
            _ => Err(Error::unavailable(
                "the watch did not report the deletion of a record",
            )),
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
    /// Rejects a revision that is in the future.
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

/// The answer to a delete, if the object still exists.
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

/// The creation time of a Secret and the metadata that go with it.
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

/// Returns the error for a write that the host rejected for a reason other than a conflict.
fn refused(failure: Failure, value: &Bytes) -> Error {
    match failure.code() {
        // The host, or a proxy in between, has a lower limit than ours.
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
