//! Typed access to the stored objects of one kind: reads from the watch cache, compare-and-swap
//! writes to the store.
//!
//! Reads are linearizable unless their documentation says otherwise. A write returns after the
//! store has committed it and the cache shows it. A caller that has seen a write succeed therefore
//! finds it everywhere in this process: settings, roles and feature flags apply immediately.

mod errors;
mod seed;
mod upkeep;

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use machinery::meta::{GroupResource, MetadataExt, Object, ObjectKey};
use machinery::status::Status;
use machinery::time::Clock;
use storage::cache::{CacheBuilder, Collection, Decode, View};
use storage::{At, Key, ListOptions, Revision, Store};

pub use errors::WriteError;
pub(crate) use errors::status_of;

use crate::description::{Description, Scope};
use crate::stored_object::{BROKEN, Index, Indexer, StoredObject, encode_stored};

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

    /// Returns the cached objects.
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

    /// Returns the object from the cache. Does not check whether the cache is up to date.
    pub fn cached(&self, key: ObjectKey<'_>) -> Option<T> {
        let object = self.inner.collection.view().get(&self.key(key)).cloned()?;
        self.decode(&object).ok()
    }

    /// Returns whether the cache has an object of this name.
    pub fn contains(&self, key: ObjectKey<'_>) -> bool {
        let view = self.inner.collection.view();
        view.get(&self.key(key)).is_some()
    }

    /// Returns the value that `derive` computes from the cached object. It is computed once for
    /// each state of the object, so repeated calls decode nothing. Returns `None` if there is no
    /// such object, or if it cannot be decoded.
    pub fn derived<F: Any + Send + Sync>(
        &self,
        key: ObjectKey<'_>,
        derive: fn(&T) -> F,
    ) -> Option<Arc<F>> {
        let view = self.inner.collection.view();
        self.derived_of(view.get(&self.key(key))?, derive)
    }

    /// Like [`Registry::derived`], for an object that the caller has already found.
    pub fn derived_of<F: Any + Send + Sync>(
        &self,
        object: &StoredObject,
        derive: fn(&T) -> F,
    ) -> Option<Arc<F>> {
        object.derived(|object| self.decode_facts(object).ok().map(|object| derive(&object)))
    }

    /// Returns the number of cached objects that cannot be read.
    pub(crate) fn broken(&self) -> usize {
        self.inner.collection.view().indexed(BROKEN).count()
    }

    /// Returns all cached objects, except those that cannot be decoded.
    pub fn all_cached(&self) -> Vec<T> {
        let view = self.inner.collection.view();
        view.iter()
            .filter_map(|(_, object)| self.decode(object).ok())
            .collect()
    }

    /// Returns the newest state of all objects.
    ///
    /// # Errors
    /// 503 if the store is unavailable.
    pub async fn latest(&self) -> Result<View<StoredObject>, Status> {
        self.inner
            .collection
            .latest()
            .await
            .map_err(|error| self.status(error, ""))
    }

    /// Returns a state at this version or later.
    ///
    /// # Errors
    /// 504 if the version does not exist yet.
    pub async fn not_older_than(&self, version: Revision) -> Result<View<StoredObject>, Status> {
        let view = self.inner.collection.not_older_than(version).await;
        view.map_err(|error| self.status(error, ""))
    }

    /// Returns all objects under a prefix as they were at a version, sorted by key, from the
    /// history of the store.
    ///
    /// # Errors
    /// 410 if the history no longer contains that version.
    pub(crate) async fn past(
        &self,
        prefix: &str,
        version: Revision,
    ) -> Result<Vec<(Key, Arc<StoredObject>)>, Status> {
        let at = At::Exactly(version);
        let options = ListOptions {
            at,
            after: None,
            limit: None,
        };
        let page = self.inner.store.list(prefix, &options).await;
        let page = page.map_err(|error| self.status(error, ""))?;
        let decode = |record: storage::Record| {
            let object = self
                .inner
                .indexer
                .decode(&record.key, &record.value, record.revision);
            (record.key, Arc::new(object))
        };
        Ok(page.records.into_iter().map(decode).collect())
    }

    /// Returns the newest state of one object.
    ///
    /// # Errors
    /// 503 if the store is unavailable.
    pub async fn find(&self, key: ObjectKey<'_>) -> Result<Option<Arc<StoredObject>>, Status> {
        Ok(self.latest().await?.get(&self.key(key)).cloned())
    }

    /// Like [`Registry::find`], but decodes the object.
    ///
    /// # Errors
    /// As for [`Registry::find`], and 500 if the stored bytes cannot be decoded.
    pub async fn get(&self, key: ObjectKey<'_>) -> Result<Option<T>, Status> {
        match self.find(key).await? {
            Some(object) => self.decode(&object).map(Some),
            None => Ok(None),
        }
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

    /// Stores a new object.
    ///
    /// # Errors
    /// 409 if the name already exists; 503 if the store is unavailable.
    pub async fn insert(&self, object: T, dry_run: bool) -> Result<T, Status> {
        if dry_run {
            let key = self.key_of(&object)?;
            return match self.latest().await?.get(key.as_str()) {
                Some(_) => Err(Status::already_exists(
                    &self.inner.group_resource,
                    key.name(),
                )),
                None => Ok(object),
            };
        }
        let (object, revision) = self.insert_ahead(object).await?;
        self.await_shown(revision).await;
        Ok(object)
    }

    /// Stores a new object that is valid only together with another one. Returns the object and its
    /// version once the store has committed it, without waiting for the cache. The caller waits for
    /// the cache with [`Registry::await_shown`].
    ///
    /// # Errors
    /// As for [`Registry::insert`].
    pub async fn insert_ahead(&self, mut object: T) -> Result<(T, Revision), Status> {
        let key = self.key_of(&object)?;
        let json = self.encode(&key, &mut object)?;
        let create = self.inner.store.create(&key, json.clone());
        let revision = self
            .settle(&key, &json, create.await)
            .map_err(|error| self.status(error, key.name()))?;
        object.metadata_mut().resource_version = Some(revision.get().to_string());
        Ok((object, revision))
    }

    /// Returns whether the store applies writes in the order in which they are started
    /// ([`storage::Store::is_ordered`]).
    pub fn is_ordered(&self) -> bool {
        self.inner.store.is_ordered()
    }

    /// Waits until reads show a write that returned this version. Never fails: the write has
    /// already succeeded, so a lagging cache is only logged.
    pub async fn await_shown(&self, revision: Revision) {
        if self
            .inner
            .collection
            .not_older_than(revision)
            .await
            .is_err()
        {
            tracing::warn!(%revision, "the watch cache lags behind a completed write");
        }
    }

    /// Stores a new state of an object whose stored version is still `expected`.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] if the stored version is no longer `expected`.
    pub async fn replace(&self, mut object: T, expected: Revision) -> Result<T, WriteError> {
        let key = self.key_of(&object)?;
        let json = self.encode(&key, &mut object)?;
        let update = self.inner.store.update(&key, json.clone(), expected);
        match self.settle(&key, &json, update.await) {
            Ok(revision) => {
                object.metadata_mut().resource_version = Some(revision.get().to_string());
                self.await_shown(revision).await;
                Ok(object)
            }
            Err(storage::Error::Conflict { .. }) => Err(WriteError::Conflict),
            Err(error) => Err(WriteError::Status(self.status(error, key.name()))),
        }
    }

    /// Removes an object whose stored version is still `expected`. Returns the version of the
    /// deletion.
    ///
    /// # Errors
    /// As for [`Registry::replace`].
    pub async fn remove(&self, object: &T, expected: Revision) -> Result<Revision, WriteError> {
        let key = self.key_of(object)?;
        self.remove_at(&key, expected).await
    }

    /// Removes an object that cannot be read, if it has not changed since the caller found it.
    ///
    /// # Errors
    /// As for [`Registry::replace`].
    pub(crate) async fn remove_broken(&self, broken: &StoredObject) -> Result<(), WriteError> {
        self.remove_at(broken.key(), broken.revision()).await?;
        tracing::warn!(key = %broken.key(), why = broken.broken(), "an object that could not be read was deleted");
        Ok(())
    }

    async fn remove_at(&self, key: &Key, expected: Revision) -> Result<Revision, WriteError> {
        match self.inner.store.delete(key, expected).await {
            Ok(revision) => {
                self.await_shown(revision).await;
                Ok(revision)
            }
            Err(storage::Error::Conflict { .. }) => Err(WriteError::Conflict),
            Err(error) => Err(WriteError::Status(self.status(error, key.name()))),
        }
    }

    /// Removes an object if it has not changed since the caller read it. Returns the version of the
    /// deletion.
    ///
    /// # Errors
    /// As for [`Registry::replace`], and 500 if the object has no version.
    pub async fn remove_as_read(&self, object: &T) -> Result<Revision, WriteError> {
        self.remove(object, revision_of(object)?).await
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

    /// Encodes the JSON to store, and announces the write to the indexer.
    fn encode(&self, key: &Key, object: &mut T) -> Result<Bytes, Status> {
        let json = encode_stored(&self.inner.description, object).map_err(|error| {
            tracing::error!(%error, "an object cannot be encoded as JSON");
            Status::internal("the object cannot be encoded as JSON")
        })?;
        let json = json.into();
        self.inner.indexer.will_write(key, &json, object);
        Ok(json)
    }

    /// Withdraws the announcement of a write that failed.
    fn settle(
        &self,
        key: &Key,
        json: &Bytes,
        written: Result<Revision, storage::Error>,
    ) -> Result<Revision, storage::Error> {
        if written.is_err() {
            self.inner.indexer.did_not_write(key, json);
        }
        written
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
