//! Changes that the server itself makes to objects.

use machinery::meta::Object;
use machinery::status::Status;

use super::{Registry, WriteError};

impl<T: Object> Registry<T> {
    /// Ensures that an object of this name exists. Does not change an existing object.
    ///
    /// # Errors
    /// 503 if the store is unavailable.
    pub async fn ensure(&self, fresh: T) -> Result<(), Status> {
        self.ensure_with(fresh, |_| false).await
    }

    /// Ensures that an object of this name exists and is up to date. `amend` updates an existing
    /// object and returns whether it changed anything.
    ///
    /// # Errors
    /// 503 if the store is unavailable.
    pub async fn ensure_with(
        &self,
        fresh: T,
        amend: impl Fn(&mut T) -> bool + Send + Sync,
    ) -> Result<(), Status> {
        let metadata = fresh.metadata();
        loop {
            let Some(stored) = self.find(metadata.into()).await? else {
                self.seed(fresh.clone()).await?;
                continue;
            };
            let mut object = self.decode(&stored)?;
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
}
