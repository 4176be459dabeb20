//! Objects that the server itself makes.

use machinery::meta::{Object, Time};
use machinery::status::{Reason, Status};

use super::Registry;

impl<T: Object> Registry<T> {
    /// Stores an object of the server's own making with what every object has: uid, creation time,
    /// generation. Strategies are not asked. `false` where there is one of this name already, which
    /// stays as it is.
    ///
    /// # Errors
    /// 503 where the store does not answer.
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
