//! Creation of objects on behalf of callers whose request is not a POST to the kind itself.

use std::sync::Arc;

use auth::Attributes;
use machinery::schema::Schema;
use machinery::status::Status;

use crate::description::Description;
use crate::options::manager_of;
use crate::request_context::RequestContext;
use crate::resource::Resource;
use crate::respond;
use crate::write::{self, Candidate, Ownership, Part};

/// A creator of objects of one kind. An object goes through every step of a POST after its body is
/// read, including the check that the caller may `create`.
pub struct Creator {
    schema: Arc<Schema>,
}

impl Creator {
    /// Returns a creator for a kind.
    ///
    /// # Panics
    /// If the schema of the kind is not structural, as for [`crate::Builder::resource`].
    pub fn new(description: &Description) -> Self {
        Self {
            schema: crate::generic_server::schema_of(description),
        }
    }

    /// Creates an object for the caller.
    ///
    /// # Errors
    /// 403 if the caller may not create it; otherwise, any error that the kind returns.
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
            part: Part::Object,
        };
        let candidate = Candidate {
            object,
            applied: false,
        };
        write::create(resource, cx, candidate, &by).await
    }
}
