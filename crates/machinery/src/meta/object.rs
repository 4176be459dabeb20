//! Typed API objects.

use k8s_openapi::Metadata;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ObjectMeta;

/// An API object of a type that the program knows, with a JSON form and standard metadata.
///
/// Implemented for every type that has both: the types of `k8s_openapi`, and ours, so that typed
/// clients can use them.
pub trait Object:
    Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Clone + Send + Sync + 'static
{
}

impl<T> Object for T where
    T: Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Clone + Send + Sync + 'static
{
}
