//! Changes that the server itself makes to objects.

use machinery::meta::Object;
use machinery::status::Status;

use super::Registry;

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
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let name = metadata.name.clone().unwrap_or_default();
        loop {
            let Some(stored) = self.find(&namespace, &name).await? else {
                self.seed(fresh.clone()).await?;
                continue;
            };
            let mut object = self.decode(&stored)?;
            if !amend(&mut object) {
                return Ok(());
            }
            match self.replace(object, stored.revision()).await {
                Ok(_) => return Ok(()),
                Err(None) => {}
                Err(Some(status)) => return Err(status),
            }
        }
    }
}
