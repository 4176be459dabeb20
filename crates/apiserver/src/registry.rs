//! Typed access to the stored objects of one kind, by two readers: [`Registry::cache`], which is
//! synchronous and may be behind the store, and [`Registry::store`], whose reads are linearizable,
//! and whose writes compare and swap.
//!
//! A write returns after the store has committed it and the cache shows it. A caller that has seen a
//! write succeed therefore finds it everywhere in this process: settings, roles and feature flags
//! apply immediately.

mod cached;
mod errors;
mod snapshot;
mod stored;

use std::marker::PhantomData;
use std::sync::Arc;

use machinery::meta::{GroupResource, MetadataExt, Object, ObjectKey};
use machinery::status::Status;
use machinery::time::Clock;
use storage::cache::{CacheBuilder, Collection, Decode};
use storage::{Key, Revision, Store};

pub use cached::Cached;
pub use errors::WriteError;
pub(crate) use errors::status_of;
pub use snapshot::Snapshot;
pub use stored::Stored;

use crate::description::{Description, Scope};
use crate::stored_object::{Index, Indexer, StoredObject, encode_stored};

/// The registries of a server's kinds, over one store and one cache.
pub struct Registries {
    store: Arc<dyn Store>,
    cache: CacheBuilder<StoredObject>,
    clock: Arc<dyn Clock>,
}

impl Registries {
    /// Creates registries over a store. The caller starts the cache once all kinds are added.
    pub fn new(
        store: Arc<dyn Store>,
        cache: CacheBuilder<StoredObject>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            cache,
            clock,
        }
    }

    /// Adds a kind. Reads return no objects until the cache is started.
    pub fn add<T: Object>(&mut self, description: Description, index: Index<T>) -> Registry<T> {
        let prefix = format!("/{}/{}/", group_segment(&description), description.plural);
        let indexer = Indexer::new(index, description.clone(), prefix.clone());
        let indexer = Arc::new(indexer);
        let collection = self.cache.collection(&prefix, indexer.clone());
        Registry {
            inner: Arc::new(Inner {
                group_resource: GroupResource::new(description.group, description.plural),
                api_version: description.group_version(),
                description,
                index,
                indexer,
                prefix,
                store: Arc::clone(&self.store),
                collection,
                clock: Arc::clone(&self.clock),
            }),
            object: PhantomData,
        }
    }

    /// Returns the cache with all kinds, ready to start.
    pub fn into_cache(self) -> CacheBuilder<StoredObject> {
        self.cache
    }
}

/// The stored objects of one kind.
pub struct Registry<T: 'static> {
    inner: Arc<Inner<T>>,
    object: PhantomData<fn() -> T>,
}

struct Inner<T: 'static> {
    description: Description,
    group_resource: GroupResource,
    api_version: String,
    index: Index<T>,
    indexer: Arc<Indexer<T>>,
    prefix: String,
    store: Arc<dyn Store>,
    collection: Collection<StoredObject>,
    clock: Arc<dyn Clock>,
}

impl<T> Clone for Registry<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            object: PhantomData,
        }
    }
}

impl<T: Object> Registry<T> {
    /// Returns the description of the kind.
    pub fn description(&self) -> &Description {
        &self.inner.description
    }

    /// Returns the `apiVersion` of its objects.
    pub fn api_version(&self) -> &str {
        &self.inner.api_version
    }

    /// Returns the group and resource that error messages use.
    pub fn group_resource(&self) -> &GroupResource {
        &self.inner.group_resource
    }

    /// Returns the source of the current time.
    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    /// Returns the index, which extracts the selectable fields and the owner of an object.
    pub fn index(&self) -> &Index<T> {
        &self.inner.index
    }

    /// Returns the objects as the watch cache knows them. It may be behind the store.
    pub fn cache(&self) -> Cached<'_, T> {
        Cached { registry: self }
    }

    /// Returns the objects of the store.
    pub fn store(&self) -> Stored<'_, T> {
        Stored { registry: self }
    }

    /// Returns the collection of the watch cache.
    pub fn collection(&self) -> &Collection<StoredObject> {
        &self.inner.collection
    }

    /// Returns the key prefix of all objects of the kind, or of those in one namespace.
    pub fn prefix(&self, namespace: &str) -> String {
        match (self.inner.description.scope, namespace) {
            (Scope::Cluster, _) | (Scope::Namespaced, "") => self.inner.prefix.clone(),
            (Scope::Namespaced, namespace) => format!("{}{namespace}/", self.inner.prefix),
        }
    }

    /// Returns the key of an object.
    pub fn key(&self, ObjectKey { namespace, name }: ObjectKey<'_>) -> String {
        let prefix = &self.inner.prefix;
        // Built by hand because every request builds several keys.
        let mut key = String::with_capacity(prefix.len() + namespace.len() + 1 + name.len());
        key.push_str(prefix);
        if self.inner.description.scope == Scope::Namespaced && !namespace.is_empty() {
            key.push_str(namespace);
            key.push('/');
        }
        key.push_str(name);
        key
    }

    /// Decodes the object of a cache entry, including its resource version.
    ///
    /// # Errors
    /// 500 if the stored bytes cannot be decoded.
    pub fn decode(&self, object: &StoredObject) -> Result<T, Status> {
        self.decode_from(object, serde_json::from_slice(object.json()))
    }

    /// Like [`Registry::decode`], but skips `managedFields`, which halves the cost. For read-only
    /// use.
    ///
    /// # Errors
    /// As for [`Registry::decode`].
    pub fn decode_facts(&self, object: &StoredObject) -> Result<T, Status> {
        let json = object.json_without_managed_fields();
        self.decode_from(object, serde_json::from_slice(&json))
    }

    fn decode_from(
        &self,
        object: &StoredObject,
        decoded: Result<T, serde_json::Error>,
    ) -> Result<T, Status> {
        decoded.map_err(|error| {
            let error = error.to_string();
            let why = object.broken().unwrap_or(&error);
            tracing::debug!(key = %object.key(), why, "a stored object cannot be decoded");
            Status::internal(format!(
                "the stored {} {:?} cannot be decoded: an administrator can find the reason in the log, and can delete the object",
                self.inner.description.kind,
                object.name(),
            ))
        })
    }

    /// Returns a copy of an object that differs in what `amend` changes, for one response. Returns
    /// `None` if the object cannot be read.
    pub fn amended(
        &self,
        object: &StoredObject,
        amend: impl FnOnce(&mut T),
    ) -> Option<Arc<StoredObject>> {
        let mut amended = self.decode(object).ok()?;
        amend(&mut amended);
        let json = encode_stored(&self.inner.description, &mut amended).ok()?;
        let decoded = self
            .inner
            .indexer
            .decode(object.key(), &json.into(), object.revision());
        Some(Arc::new(decoded))
    }

    /// Returns the key of this object.
    ///
    /// # Errors
    /// 400 if its name cannot be part of a key.
    pub(crate) fn key_of(&self, object: &T) -> Result<Key, Status> {
        let key = self.key(object.metadata().into());
        Key::parse(&key).map_err(|_| {
            Status::bad_request("the name of the object is not valid as a storage key")
        })
    }

    /// Returns the status for an error of the store.
    pub(crate) fn status(&self, error: storage::Error, name: &str) -> Status {
        status_of(
            error,
            &self.inner.group_resource,
            self.inner.description.kind,
            name,
        )
    }
}

/// Returns the version at which an object was read or written.
///
/// # Errors
/// 500 if the object has none, or one that this server did not write.
pub fn revision_of(object: &impl Object) -> Result<Revision, Status> {
    let version = object.metadata().resource_version();
    version.parse().map_err(|_| {
        Status::internal(format!(
            "the object has no valid resourceVersion: {version:?}"
        ))
    })
}

fn group_segment(description: &Description) -> &str {
    if description.group.is_empty() {
        "core"
    } else {
        description.group
    }
}
