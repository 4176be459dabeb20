//! Objects that the server itself creates.

use machinery::meta::{Object, Time};
use machinery::status::{Reason, Status};

use super::Registry;

impl<T: Object> Registry<T> {
    /// Stores an object that the server creates, with the UID, creation time and generation that
    /// every object has. The strategy of the kind is not called. Returns `false` if an object of
    /// this name already exists; it is not changed.
    ///
    /// # Errors
    /// 503 if the store is unavailable.
    pub async fn seed(&self, mut object: T) -> Result<bool, Status> {
        let metadata = object.metadata_mut();
        metadata.uid = Some(uuid::Uuid::new_v4().to_string());
        metadata.creation_timestamp = Some(Time(self.clock().now()));
        metadata.generation = Some(1);
        match self.insert(object, false).await {
            Ok(_) => Ok(true),
            Err(status) if status.reason == Reason::AlreadyExists => Ok(false),
            Err(status) => Err(status),
        }
    }
}
