//! Reads from the store, and writes to it.

use std::sync::Arc;

use bytes::Bytes;
use machinery::meta::{Object, ObjectKey, Time};
use machinery::status::{Reason, Status};
use storage::cache::{Decode, View};
use storage::{At, Key, ListOptions, Revision};

use super::{Registry, WriteError, revision_of};
use crate::stored_object::{StoredObject, encode_stored};

/// The objects of one kind in the store. Reads are linearizable.
pub struct Stored<'a, T: 'static> {
    pub(super) registry: &'a Registry<T>,
}

impl<T> Clone for Stored<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Stored<'_, T> {}

impl<T: Object> Stored<'_, T> {
    /// Returns the newest state of all objects.
    ///
    /// # Errors
    /// 503 if the store is unavailable.
    pub async fn latest(self) -> Result<View<StoredObject>, Status> {
        self.registry
            .inner
            .collection
            .latest()
            .await
            .map_err(|error| self.registry.status(error, ""))
    }

    /// Returns a state at this version or later.
    ///
    /// # Errors
    /// 504 if the version does not exist yet.
    pub async fn not_older_than(self, version: Revision) -> Result<View<StoredObject>, Status> {
        let view = self.registry.inner.collection.not_older_than(version).await;
        view.map_err(|error| self.registry.status(error, ""))
    }

    /// Returns all objects under a prefix as they were at a version, sorted by key, from the
    /// history of the store.
    ///
    /// # Errors
    /// 410 if the history no longer contains that version.
    pub(crate) async fn past(
        self,
        prefix: &str,
        version: Revision,
    ) -> Result<Vec<(Key, Arc<StoredObject>)>, Status> {
        let at = At::Exactly(version);
        let options = ListOptions {
            at,
            after: None,
            limit: None,
        };
        let page = self.registry.inner.store.list(prefix, &options).await;
        let page = page.map_err(|error| self.registry.status(error, ""))?;
        let decode = |record: storage::Record| {
            let object =
                self.registry
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
    pub async fn find(self, key: ObjectKey<'_>) -> Result<Option<Arc<StoredObject>>, Status> {
        Ok(self.latest().await?.get(&self.registry.key(key)).cloned())
    }

    /// Like [`Stored::find`], but decodes the object.
    ///
    /// # Errors
    /// As for [`Stored::find`], and 500 if the stored bytes cannot be decoded.
    pub async fn get(self, key: ObjectKey<'_>) -> Result<Option<T>, Status> {
        match self.find(key).await? {
            Some(object) => self.registry.decode(&object).map(Some),
            None => Ok(None),
        }
    }

    /// Stores a new object.
    ///
    /// # Errors
    /// 409 if the name already exists; 503 if the store is unavailable.
    pub async fn insert(self, object: T, dry_run: bool) -> Result<T, Status> {
        if dry_run {
            let key = self.registry.key_of(&object)?;
            return match self.latest().await?.get(key.as_str()) {
                Some(_) => Err(Status::already_exists(
                    &self.registry.inner.group_resource,
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
    /// the cache with [`Stored::await_shown`].
    ///
    /// # Errors
    /// As for [`Stored::insert`].
    pub async fn insert_ahead(self, mut object: T) -> Result<(T, Revision), Status> {
        let key = self.registry.key_of(&object)?;
        let json = self.encode(&key, &mut object)?;
        let create = self.registry.inner.store.create(&key, json.clone());
        let revision = self
            .settle(&key, &json, create.await)
            .map_err(|error| self.registry.status(error, key.name()))?;
        object.metadata_mut().resource_version = Some(revision.get().to_string());
        Ok((object, revision))
    }

    /// Returns whether the store applies writes in the order in which they are started
    /// ([`storage::Store::is_ordered`]).
    pub fn is_ordered(self) -> bool {
        self.registry.inner.store.is_ordered()
    }

    /// Waits until reads show a write that returned this version. Never fails: the write has
    /// already succeeded, so a lagging cache is only logged.
    pub async fn await_shown(self, revision: Revision) {
        if self
            .registry
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
    pub async fn replace(self, mut object: T, expected: Revision) -> Result<T, WriteError> {
        let key = self.registry.key_of(&object)?;
        let json = self.encode(&key, &mut object)?;
        let update = self
            .registry
            .inner
            .store
            .update(&key, json.clone(), expected);
        match self.settle(&key, &json, update.await) {
            Ok(revision) => {
                object.metadata_mut().resource_version = Some(revision.get().to_string());
                self.await_shown(revision).await;
                Ok(object)
            }
            Err(storage::Error::Conflict { .. }) => Err(WriteError::Conflict),
            Err(error) => Err(WriteError::Status(self.registry.status(error, key.name()))),
        }
    }

    /// Removes an object whose stored version is still `expected`. Returns the version of the
    /// deletion.
    ///
    /// # Errors
    /// As for [`Stored::replace`].
    pub async fn remove(self, object: &T, expected: Revision) -> Result<Revision, WriteError> {
        let key = self.registry.key_of(object)?;
        self.remove_at(&key, expected).await
    }

    /// Removes an object, which need not be readable, if it has not changed since the caller found
    /// it.
    ///
    /// # Errors
    /// As for [`Stored::replace`].
    pub async fn remove_stored(self, stored: &StoredObject) -> Result<(), WriteError> {
        self.remove_at(stored.key(), stored.revision()).await?;
        if let Some(why) = stored.broken() {
            tracing::warn!(key = %stored.key(), why, "an object that could not be read was deleted");
        }
        Ok(())
    }

    async fn remove_at(self, key: &Key, expected: Revision) -> Result<Revision, WriteError> {
        match self.registry.inner.store.delete(key, expected).await {
            Ok(revision) => {
                self.await_shown(revision).await;
                Ok(revision)
            }
            Err(storage::Error::Conflict { .. }) => Err(WriteError::Conflict),
            Err(error) => Err(WriteError::Status(self.registry.status(error, key.name()))),
        }
    }

    /// Removes an object if it has not changed since the caller read it. Returns the version of the
    /// deletion.
    ///
    /// # Errors
    /// As for [`Stored::replace`], and 500 if the object has no version.
    pub async fn remove_as_read(self, object: &T) -> Result<Revision, WriteError> {
        self.remove(object, revision_of(object)?).await
    }

    /// Stores an object that the server creates, with the UID, creation time and generation that
    /// every object has. The strategy of the kind is not called. Returns `false` if an object of
    /// this name already exists; it is not changed.
    ///
    /// # Errors
    /// 503 if the store is unavailable.
    pub async fn seed(self, mut object: T) -> Result<bool, Status> {
        let metadata = object.metadata_mut();
        metadata.uid = Some(uuid::Uuid::new_v4().to_string());
        metadata.creation_timestamp = Some(Time(self.registry.clock().now()));
        metadata.generation = Some(1);
        match self.insert(object, false).await {
            Ok(_) => Ok(true),
            Err(status) if status.reason == Reason::AlreadyExists => Ok(false),
            Err(status) => Err(status),
        }
    }

    /// Ensures that an object of this name exists. Does not change an existing object.
    ///
    /// # Errors
    /// 503 if the store is unavailable.
    pub async fn ensure(self, fresh: T) -> Result<(), Status> {
        self.ensure_with(fresh, |_| false).await
    }

    /// Ensures that an object of this name exists and is up to date. `amend` updates an existing
    /// object and returns whether it changed anything.
    ///
    /// # Errors
    /// 503 if the store is unavailable.
    pub async fn ensure_with(
        self,
        fresh: T,
        amend: impl Fn(&mut T) -> bool + Send + Sync,
    ) -> Result<(), Status> {
        let metadata = fresh.metadata();
        loop {
            let Some(stored) = self.find(metadata.into()).await? else {
                self.seed(fresh.clone()).await?;
                continue;
            };
            let mut object = self.registry.decode(&stored)?;
            if !amend(&mut object) {
                return Ok(());
            }
            match self.replace(object, stored.revision()).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Conflict) => {}
                Err(WriteError::Status(status)) => return Err(status),
            }
        }
    }

    /// Encodes the JSON to store, and announces the write to the indexer.
    fn encode(self, key: &Key, object: &mut T) -> Result<Bytes, Status> {
        let json = encode_stored(&self.registry.inner.description, object).map_err(|error| {
            tracing::error!(%error, "an object cannot be encoded as JSON");
            Status::internal("the object cannot be encoded as JSON")
        })?;
        let json = json.into();
        self.registry.inner.indexer.will_write(key, &json, object);
        Ok(json)
    }

    /// Withdraws the announcement of a write that failed.
    fn settle(
        self,
        key: &Key,
        json: &Bytes,
        written: Result<Revision, storage::Error>,
    ) -> Result<Revision, storage::Error> {
        if written.is_err() {
            self.registry.inner.indexer.did_not_write(key, json);
        }
        written
    }
}
