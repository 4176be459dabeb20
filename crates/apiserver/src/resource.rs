//! The contract of a served kind: its strategy.
//!
//! Upstream's counterpart is `rest.{Create,Update,Delete}Strategy` with `genericregistry.Store`'s
//! hooks. A kind says what it is (a `Description` and an `Index`) and implements what differs from the
//! defaults here; verbs, representations, selectors, versions, dry run, patches and field ownership
//! are the server's.

use std::sync::Arc;

use async_trait::async_trait;
use auth::Attributes;
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
pub use crate::write::random_name;

/// A served kind whose objects are stored.
#[async_trait]
pub trait Resource: Send + Sync + 'static {
    /// The type of its objects.
    type Object: Object;

    /// Where its objects are.
    fn registry(&self) -> &Registry<Self::Object>;

    /// Whether the kind is served at the moment; a kind that is not does not exist for clients.
    fn enabled(&self) -> bool {
        true
    }

    /// What its objects look like in protobuf. Kinds without it take JSON and YAML only.
    fn protobuf(&self) -> Option<&'static Message> {
        None
    }

    /// What names may look like.
    fn name_rule(&self) -> NameRule {
        NameRule::Dns1123Subdomain
    }

    /// The columns of its table.
    fn columns(&self) -> &[Column];

    /// One cell for each column.
    fn cells(&self, object: &Self::Object, now: Timestamp) -> Vec<Value>;

    /// Top-level fields that only subresources or the server write.
    fn reset_fields(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether a delete answers with the object instead of a Status.
    fn returns_deleted(&self) -> bool {
        false
    }

    /// Whether PUT may create an object.
    fn creates_on_update(&self) -> bool {
        false
    }

    /// Whether an apply may create an object.
    fn creates_on_apply(&self) -> bool {
        true
    }

    /// Which objects the caller may see and touch with this verb: asked once for each request,
    /// obeyed by every verb and representation.
    async fn visibility(&self, _cx: &RequestContext, _verb: Verb) -> Result<Visibility, Status> {
        Ok(Visibility::Everything)
    }

    /// Defaults and server-owned fields of an object about to be created.
    fn prepare_create(
        &self,
        _cx: &RequestContext,
        _object: &mut Self::Object,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// Server-owned fields of an object about to replace `live`.
    fn prepare_update(
        &self,
        _cx: &RequestContext,
        _object: &mut Self::Object,
        _live: &Self::Object,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// What is wrong with an object; `live` is `None` on create.
    fn validate(&self, _object: &Self::Object, _live: Option<&Self::Object>) -> ErrorList {
        ErrorList::new()
    }

    /// Checks that need more than the object: other objects, or what the caller may do.
    async fn admit(
        &self,
        _cx: &RequestContext,
        _write: Write<'_, Self::Object>,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// Counts what a new state costs, or refuses it, when all checks have passed and it is about to be
    /// stored. Called again where another writer was faster.
    async fn meter(
        &self,
        _cx: &RequestContext,
        _update: Update<'_, Self::Object>,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// Stores a validated object. A kind that mints or gathers something on creation does it around
    /// this.
    async fn create(
        &self,
        _cx: &RequestContext,
        object: Self::Object,
        dry_run: bool,
    ) -> Result<Self::Object, Status> {
        self.registry().insert(object, dry_run).await
    }

    /// Whether a deleted object has to wait for something: its finalizers.
    fn waits(&self, object: &Self::Object) -> bool {
        !object
            .metadata()
            .finalizers
            .as_deref()
            .unwrap_or_default()
            .is_empty()
    }

    /// Server-owned fields of an object that is about to be marked as being deleted.
    fn prepare_delete(&self, _object: &mut Self::Object) {}

    /// Called after an object is gone, or marked as being deleted, for good: kill what hangs on it.
    /// Must be safe to repeat.
    async fn after_delete(&self, _object: &Self::Object) -> Result<(), Status> {
        Ok(())
    }
}

/// A write that is to be admitted.
pub enum Write<'a, T> {
    /// A new object.
    Create(&'a T),
    /// A new state of a live object.
    Update {
        /// The new state.
        object: &'a T,
        /// The state that it replaces.
        live: &'a T,
    },
    /// The end of an object.
    Delete(&'a T),
}

/// A new state that is about to be stored.
pub struct Update<'a, T> {
    /// The new state.
    pub object: &'a T,
    /// The state that it replaces.
    pub live: &'a T,
    /// True if it is only checked and not stored.
    pub dry_run: bool,
}

/// Which objects of a collection somebody may see.
#[derive(Clone)]
pub enum Visibility {
    /// All.
    Everything,
    /// Those whose owner is this user.
    OwnedBy {
        /// The name of the user.
        name: Arc<str>,
        /// The uid of the user; empty where it is not known.
        uid: Arc<str>,
    },
    /// Those that a check admits, one by one.
    Checked(Arc<dyn ObjectCheck>),
}

/// Decides about one object.
#[async_trait]
pub trait ObjectCheck: Send + Sync {
    /// Whether the object may be seen. Failing to decide is an error, not a no: the whole answer
    /// would be wrong.
    async fn admits(&self, object: &StoredObject) -> Result<bool, Status>;
}

impl Visibility {
    /// Whether this object may be seen.
    ///
    /// # Errors
    /// Where a check could not decide.
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

/// What the caller may see of a kind whose objects belong to users: administrators everything,
/// others their own. `uid` is that of the caller; empty where it is not known.
///
/// An administrator is who may do the verb on every resource (B13); patching counts as updating and
/// deleting a collection as deleting.
///
/// # Errors
/// 500 where nobody could decide.
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
