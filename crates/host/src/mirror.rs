//! A resource of the host as a store. Its objects are records, so that a registry with a watch
//! cache can read them.
//!
//! The key of a record is `/GROUP/RESOURCE/[NAMESPACE/]NAME`, with `core` for the core group. Its
//! value is the object's JSON without resource version and managed fields. Its revision is the
//! resource version. It differs from other stores:
//!
//! * It is not linearizable: [`Store::current_revision`] is the revision that its watch has
//!   reached, some milliseconds behind the host. Doing better would require writing, and the
//!   mirrored objects belong to others.
//! * An update is a merge patch that is conditional on the revision. Fields that are missing in the
//!   new value are kept, except those in items of arrays, so fields that this program does not know
//!   survive. An update without changes does not cause a write at the host. If only the status is
//!   written ([`MirrorOptions::status_only`]), the patch contains nothing else. It goes to the
//!   subresource `status`, or to the object if the host does not serve that subresource.
//! * It creates objects only if [`MirrorOptions::creates`] is set, and deletes none. The host
//!   replaces the uid and the creation time of a new object.
//! * A resource that the host does not serve has no objects. It is checked every second, and
//!   [`Mirror::trouble`] reports it.
//!
//! It requires that [`Mirror::run`] runs, and permission for the verbs `get`, `list` and `watch`.
//! Creates also need `create`. Updates also need `patch`, on the subresource `status` if only that is written and the host
//! serves it.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use kube::Client;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use storage::{At, Error, Key, ListOptions, Page, Record, Revision, Store, Watch, check_value};
use tokio_util::sync::CancellationToken;

use crate::resource::{
    Call, Failure, Kind, Limits, Reading, Resource, Target, Verb, answered, revision,
};

/// The characters that a path segment may contain unescaped.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b':');

const LIMITS: Limits = Limits {
    past: 0,
    // Short, since no writes of our own show whether the watch is alive.
    window: Some(Duration::from_secs(20)),
    silence: Duration::from_secs(25),
};

const VERBS: &[Verb] = &[Verb::Get, Verb::List, Verb::Watch];

/// The objects of the host to mirror.
#[derive(Clone, Debug, Default)]
pub struct MirrorOptions {
    /// API group; empty for the core group.
    pub group: String,
    /// Version of the group.
    pub version: String,
    /// Plural name of the resource.
    pub resource: String,
    /// Namespace; `None` for all namespaces, and for resources without namespaces.
    pub namespace: Option<String>,
    /// Only objects that this field selector selects; empty for all.
    pub field_selector: String,
    /// Only objects that this label selector selects; empty for all.
    pub label_selector: String,
    /// True if updates write only the status.
    pub status_only: bool,
    /// True if objects may be created.
    pub creates: bool,
}

/// A resource of the host as a store.
pub struct Mirror {
    resource: Resource,
    status_only: bool,
    creates: bool,
}

impl Mirror {
    /// Creates a mirror of these objects. No request is sent to the host until [`Mirror::run`].
    pub fn new(client: Client, options: MirrorOptions) -> Self {
        let kind = Objects {
            prefix: prefix_of(&options),
            field_selector: options.field_selector,
            label_selector: options.label_selector,
        };
        let target = Target {
            group: options.group,
            version: options.version,
            resource: options.resource,
            namespace: options.namespace,
        };
        Self {
            resource: Resource::new(client, target, Box::new(kind), LIMITS, VERBS),
            status_only: options.status_only,
            creates: options.creates,
        }
    }

    /// Follows the host until `shutdown`, then ends all watches. Reads require that this runs.
    pub async fn run(&self, shutdown: CancellationToken) {
        tokio::select! {
            () = self.resource.run(&|| {}) => {}
            () = shutdown.cancelled() => {}
        }
        self.resource.log.close();
    }

    /// Returns, for administrators, the current problems, or `None`.
    pub fn trouble(&self) -> Option<String> {
        self.resource.trouble()
    }

    fn call(&self, verb: Verb, key: &Key, subresource: &str) -> Call {
        let (collection, name) = (self.collection(key), encoded(key.name()));
        Call::new(verb, format!("{collection}/{name}{subresource}"))
    }

    /// Returns the path of the collection of an object.
    fn collection(&self, key: &Key) -> String {
        let target = self.resource.calls.target();
        let namespace = match key.namespace() {
            "" => None,
            namespace => Some(encoded(namespace)),
        };
        Target {
            namespace,
            ..target.clone()
        }
        .path()
    }

    async fn read(&self, key: &Key) -> Result<Option<Record>, Failure> {
        let answer = self
            .resource
            .calls
            .send(&self.call(Verb::Get, key, ""))
            .await;
        let answer = match answer {
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => return Ok(None),
            answer => answer?,
        };
        match self.resource.kind.read(serde_json::from_slice(&answer)?)? {
            Reading::Record(record) => Ok(Some(record)),
            Reading::Removed(..) | Reading::Other(_) | Reading::Misfit(_) => Ok(None),
        }
    }

    /// Patches the object if it has this revision.
    async fn patch(
        &self,
        key: &Key,
        mut patch: Value,
        expected: Revision,
    ) -> Result<Revision, Failure> {
        if self.status_only {
            patch = json!({"status": patch["status"].take()});
        }
        let patch = with_version(&mut patch, expected);
        if self.status_only {
            let answer = self.send_patch(key, "/status", patch.clone()).await;
            // A host without the subresource answers 404, too. If the object is missing, the second
            // patch also fails.
            if !matches!(&answer, Err(failure) if failure.is(StatusCode::NOT_FOUND)) {
                return answer;
            }
        }
        self.send_patch(key, "", patch).await
    }

    async fn send_patch(
        &self,
        key: &Key,
        subresource: &str,
        patch: Vec<u8>,
    ) -> Result<Revision, Failure> {
        let mut call = self.call(Verb::Patch, key, subresource);
        call.body = patch;
        answered(&self.resource.calls.send(&call).await?)
    }
}

#[async_trait]
impl Store for Mirror {
    async fn get(&self, key: &Key) -> Result<Option<Record>, Error> {
        Ok(self.read(key).await?)
    }

    async fn list(&self, prefix: &str, options: &ListOptions) -> Result<Page, Error> {
        if let At::Exactly(requested) = options.at {
            self.check_reached(requested).await?;
        }
        self.resource.list(prefix, options).await
    }

    async fn create(&self, key: &Key, value: Bytes) -> Result<Revision, Error> {
        if !self.creates {
            return Err(not_ours());
        }
        check_value(&value)?;
        let mut call = Call::new(Verb::Create, self.collection(key));
        call.body = value.to_vec();
        match self.resource.calls.send(&call).await {
            Ok(answer) => {
                let revision = answered(&answer)?;
                self.resource.log.expect(revision);
                Ok(revision)
            }
            Err(failure) if failure.is(StatusCode::CONFLICT) => Err(Error::Exists),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn update(&self, key: &Key, value: Bytes, expected: Revision) -> Result<Revision, Error> {
        check_value(&value)?;
        let object = serde_json::from_slice(&value).map_err(Failure::from)?;
        // The host treats version 0 as any version.
        if expected == Revision::default() {
            let current = self.read(key).await?;
            return Err(Error::Conflict { current });
        }
        match self.patch(key, object, expected).await {
            Ok(revision) => {
                self.resource.log.expect(revision);
                Ok(revision)
            }
            Err(failure) if is_conflict(&failure) => {
                let current = self.read(key).await?;
                Err(Error::Conflict { current })
            }
            Err(failure) => Err(failure.into()),
        }
    }

    async fn delete(&self, _: &Key, _: Revision) -> Result<Revision, Error> {
        Err(not_ours())
    }

    async fn watch(&self, after: Revision) -> Result<Watch, Error> {
        self.check_reached(after).await?;
        self.resource.log.watch(after)
    }

    async fn current_revision(&self) -> Result<Revision, Error> {
        self.resource.log.begun().await
    }

    async fn compacted_revision(&self) -> Result<Revision, Error> {
        self.resource.log.begun().await?;
        Ok(self.resource.log.compacted())
    }

    async fn compact(&self, through: Revision) -> Result<(), Error> {
        self.check_reached(through).await?;
        self.resource.log.forget(through);
        Ok(())
    }
}

impl Mirror {
    /// Rejects a revision that is in the future.
    async fn check_reached(&self, requested: Revision) -> Result<(), Error> {
        self.resource.log.begun().await?;
        let current = self.resource.log.newest();
        if requested <= current {
            return Ok(());
        }
        Err(Error::FutureRevision { requested, current })
    }
}

/// The objects of a resource as records.
struct Objects {
    /// The prefix of all keys.
    prefix: String,
    field_selector: String,
    label_selector: String,
}

impl Kind for Objects {
    fn selectors(&self, _: &str) -> Vec<(&'static str, String)> {
        let mut selectors = Vec::new();
        for (name, selector) in [
            ("fieldSelector", &self.field_selector),
            ("labelSelector", &self.label_selector),
        ] {
            if !selector.is_empty() {
                selectors.push((name, selector.clone()));
            }
        }
        selectors
    }

    fn read(&self, object: &RawValue) -> Result<Reading, Failure> {
        let mut object: Map<String, Value> = serde_json::from_str(object.get())?;
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
        let metadata = metadata.ok_or(Failure::Garbled(0))?;
        let version = metadata.remove("resourceVersion");
        let revision = revision(version.as_ref().and_then(Value::as_str).unwrap_or_default())?;
        metadata.remove("managedFields");
        let text = |field: &str| {
            metadata
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let key = match (text("namespace"), text("name")) {
            ("", name) => format!("{}{name}", self.prefix),
            (namespace, name) => format!("{}{namespace}/{name}", self.prefix),
        };
        let Ok(key) = Key::parse(&key) else {
            tracing::warn!(
                key,
                "an object of the host has no valid storage key and is ignored"
            );
            return Ok(Reading::Misfit(revision));
        };
        Ok(Reading::Record(Record {
            key,
            value: serde_json::to_vec(&object)?.into(),
            revision,
        }))
    }
}

fn prefix_of(options: &MirrorOptions) -> String {
    let group = match options.group.as_str() {
        "" => "core",
        group => group,
    };
    format!("/{group}/{}/", options.resource)
}

fn encoded(segment: &str) -> String {
    utf8_percent_encode(segment, SEGMENT).to_string()
}

/// Returns the patch, conditional on a revision.
fn with_version(patch: &mut Value, expected: Revision) -> Vec<u8> {
    if let Some(object) = patch.as_object_mut() {
        let metadata = object.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("resourceVersion".to_owned(), json!(expected.to_string()));
        }
    }
    patch.to_string().into_bytes()
}

fn is_conflict(failure: &Failure) -> bool {
    failure.is(StatusCode::CONFLICT) || failure.is(StatusCode::NOT_FOUND)
}

fn not_ours() -> Error {
    Error::unavailable(
        "the object belongs to the host and cannot be created or deleted by this server",
    )
}
