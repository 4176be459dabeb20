//! Typed API objects.

use k8s_openapi::Metadata;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ObjectMeta;

/// An API object of a type known to the program: its JSON form, and standard metadata as its first field.
///
/// Implemented for every type that has them; the types of `k8s_openapi` do, and ours do so that typed clients can use them.
pub trait Object:
    Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Clone + Send + Sync + 'static
{
}

impl<T> Object for T where
    T: Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Clone + Send + Sync + 'static
{
}
