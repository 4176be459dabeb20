//! The strategy of a served kind.
//!
//! The Kubernetes counterpart is `rest.{Create,Update,Delete}Strategy` with the hooks of
//! `genericregistry.Store`. A kind provides a `Description` and an `Index`, and overrides the
//! defaults here where it differs. The server implements verbs, representations, selectors,
//! versions, dry run, patches and field ownership.

use std::sync::Arc;

use async_trait::async_trait;
use auth::Attributes;
use axum::body::Body;
use http::{Request, Response};
use jiff::Timestamp;
use machinery::decode::protobuf::Message;
use machinery::field::ErrorList;
use machinery::meta::{Metadata, Object};
use machinery::status::Status;
use machinery::table::Column;
use machinery::validation::NameRule;
use serde_json::Value;

use crate::description::Verb;
use crate::registry::Registry;
use crate::request_context::RequestContext;
use crate::stored_object::{Owner, StoredObject};

/// A served kind whose objects are stored.
#[async_trait]
pub trait Resource: Send + Sync + 'static {
    /// The type of its objects.
    type Object: Object;

    /// Returns the registry of its objects.
    fn registry(&self) -> &Registry<Self::Object>;

    /// Returns whether the kind is currently served. For clients, a kind that is not served does
    /// not exist.
    fn enabled(&self) -> bool {
        true
    }

    /// Returns the protobuf definition of its objects. Kinds without one accept only JSON and YAML.
    fn protobuf(&self) -> Option<&'static Message> {
        None
    }

    /// Returns the rule for valid names.
    fn name_rule(&self) -> NameRule {
        NameRule::Dns1123Subdomain
    }

    /// Returns the columns of its table.
    fn columns(&self) -> &[Column];

    /// Returns the cells of an object, one for each column.
    fn cells(&self, object: &Self::Object, now: Timestamp) -> Vec<Value>;

    /// Returns the top-level fields that only subresources or the server may write.
    fn reset_fields(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns whether a delete responds with the object instead of a `Status`.
    fn returns_deleted(&self) -> bool {
        false
    }

    /// Returns whether PUT may create an object.
    fn creates_on_update(&self) -> bool {
        false
    }

    /// Returns whether an apply may create an object.
    fn creates_on_apply(&self) -> bool {
        true
    }

    /// Returns the objects that the caller may access with this verb. It is called once for each
    /// request, and applies to every verb and representation.
    async fn visibility(&self, _cx: &RequestContext, _verb: Verb) -> Result<Visibility, Status> {
        Ok(Visibility::Everything)
    }

    /// Returns the object that this caller gets, alone or in a list, or `None` if it is the stored
    /// object. Watches show the stored object to all callers.
    fn personal(&self, _cx: &RequestContext, _object: &StoredObject) -> Option<Arc<StoredObject>> {
        None
    }

    /// Sets the defaults and the server-owned fields of an object before it is created.
    fn prepare_create(
        &self,
        _cx: &RequestContext,
        _object: &mut Self::Object,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// Sets the server-owned fields of an object before it replaces `live`.
    fn prepare_update(
        &self,
        _cx: &RequestContext,
        _object: &mut Self::Object,
        _live: &Self::Object,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// Sets the server-owned fields of an object before a write to its subresource `status`
    /// replaces `live`. Only the status differs.
    fn prepare_status_update(
        &self,
        _cx: &RequestContext,
        _object: &mut Self::Object,
        _live: &Self::Object,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// Handles a request for a subresource that the description of the kind lists, other than
    /// `status`. The caller is authorized and may see the object.
    ///
    /// # Errors
    /// The reason why the request fails; 404 by default.
    async fn subresource(
        &self,
        _cx: &RequestContext,
        name: &str,
        _object: Self::Object,
        _request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let resource = self.registry().group_resource();
        Err(Status::not_found(resource, name))
    }

    /// Returns the validation errors of an object. `live` is `None` on create.
    fn validate(&self, _object: &Self::Object, _live: Option<&Self::Object>) -> ErrorList {
        ErrorList::new()
    }

    /// Runs the checks that need more than the object, such as other objects or the permissions of
    /// the caller.
    async fn admit(
        &self,
        _cx: &RequestContext,
        _write: Write<'_, Self::Object>,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// Counts the cost of a new state against a limit, or rejects the state. It is called after all
    /// checks have passed, just before the state is stored, and again if another writer won the
    /// race.
    async fn meter(
        &self,
        _cx: &RequestContext,
        _update: Update<'_, Self::Object>,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// Stores a validated object. A kind that must create or collect other data on creation does so
    /// here.
    async fn create(
        &self,
        _cx: &RequestContext,
        object: Self::Object,
        dry_run: bool,
    ) -> Result<Self::Object, Status> {
        self.registry().store().insert(object, dry_run).await
    }

    /// Returns whether the removal of a deleted object must wait. By default, it waits while the
    /// object has finalizers.
    fn waits(&self, object: &Self::Object) -> bool {
        !object
            .metadata()
            .finalizers
            .as_deref()
            .unwrap_or_default()
            .is_empty()
    }

    /// Sets the server-owned fields of an object before it is marked as being deleted.
    fn prepare_delete(&self, _object: &mut Self::Object) {}

    /// Revokes or removes everything that depends on an object. Called after the object is removed,
    /// or is permanently marked as being deleted. Must be idempotent.
    async fn after_delete(&self, _object: &Self::Object) -> Result<(), Status> {
        Ok(())
    }
}

/// A write to admit.
pub enum Write<'a, T> {
    /// The creation of an object.
    Create(&'a T),
    /// The update of an existing object.
    Update {
        /// The new state.
        object: &'a T,
        /// The state that it replaces.
        live: &'a T,
    },
    /// The deletion of an object.
    Delete(&'a T),
}

/// A new state just before it is stored.
pub struct Update<'a, T> {
    /// The new state.
    pub object: &'a T,
    /// The state that it replaces.
    pub live: &'a T,
    /// True if the state is only checked and not stored.
    pub dry_run: bool,
}

/// The objects of a collection that a caller may see.
#[derive(Clone)]
pub enum Visibility {
    /// All objects.
    Everything,
    /// The objects that this user owns.
    OwnedBy {
        /// The name of the user.
        name: Arc<str>,
        /// The UID of the user; empty if it is unknown.
        uid: Arc<str>,
    },
    /// The objects that a check admits, one by one.
    Checked(Arc<dyn ObjectCheck>),
}

/// A check of whether a caller may see an object.
#[async_trait]
pub trait ObjectCheck: Send + Sync {
    /// Returns whether the caller may see the object. A check that cannot decide must return an
    /// error and not `false`, because the whole response would be incomplete.
    async fn admits(&self, object: &StoredObject) -> Result<bool, Status>;
}

impl Visibility {
    /// Returns whether the caller may see this object.
    ///
    /// # Errors
    /// A check could not decide.
    pub async fn admits(&self, object: &StoredObject) -> Result<bool, Status> {
        match self {
            Self::Everything => Ok(true),
            Self::OwnedBy { name, uid } => {
                let owner = object.owner();
                Ok(owner.is_some_and(|owner| owner.is(Owner { name, uid })))
            }
            Self::Checked(check) => check.admits(object).await,
        }
    }
}

/// Returns the visibility for a kind whose objects have owners: administrators see all objects,
/// other users only their own. `uid` is the UID of the caller; empty if it is unknown.
///
/// An administrator is a caller who may use the verb on every resource. Patch requires the
/// permission to update, and deletecollection the permission to delete.
///
/// # Errors
/// 500 if no authorizer could decide.
pub async fn owner_visibility(
    cx: &RequestContext,
    verb: Verb,
    uid: &str,
) -> Result<Visibility, Status> {
    let verb = match verb {
        Verb::DeleteCollection => Verb::Delete,
        Verb::Patch => Verb::Update,
        verb => verb,
    };
    match cx.may(&Attributes::on_everything(verb.as_str())).await? {
        true => Ok(Visibility::Everything),
        false => Ok(Visibility::OwnedBy {
            name: cx.user.name.as_str().into(),
            uid: uid.into(),
        }),
    }
}
