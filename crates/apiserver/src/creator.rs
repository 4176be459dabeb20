//! Creating objects of a kind for callers who ask in another form than a POST to the kind.

use std::sync::Arc;

use auth::Attributes;
use machinery::schema::Schema;
use machinery::status::Status;

use crate::description::Description;
use crate::options::manager_of;
use crate::request_context::RequestContext;
use crate::resource::Resource;
use crate::respond;
use crate::write::{self, Candidate, Ownership};

/// Creates objects of one kind: nothing is left out that a POST goes through after its body was read,
/// the right to `create` included.
pub struct Creator {
    schema: Arc<Schema>,
}

impl Creator {
    /// For a kind.
    ///
    /// # Panics
    /// As [`crate::Builder::resource`], where the kind's schema is not structural.
    pub fn new(description: &Description) -> Self {
        Self {
            schema: crate::generic_server::schema_of(description),
        }
    }

    /// Creates an object for the caller.
    ///
    /// # Errors
    /// 403 where the caller may not; what the kind refuses.
    pub async fn create<R: Resource>(
        &self,
        resource: &R,
        cx: &RequestContext,
        object: R::Object,
    ) -> Result<R::Object, Status> {
        let description = resource.registry().description();
        let attributes = Attributes::resource("create", description.group, description.plural)
            .version(description.version);
        if !cx.may(&attributes).await? {
            return Err(respond::forbidden(&cx.user, &attributes, ""));
        }
        let by = Ownership {
            schema: &self.schema,
            manager: &manager_of(&cx.user_agent),
            api_version: resource.registry().api_version(),
            time: cx.clock.now(),
            dry_run: false,
        };
        let candidate = Candidate {
            object,
            applied: false,
        };
        write::create(resource, cx, candidate, &by).await
    }
}
