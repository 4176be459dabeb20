//! Label and annotation keys that the server gives a meaning.
//!
//! All of them are server-owned: what a client sends under these keys is dropped at the door.

/// Label and annotation: who owns the object.
///
/// The label holds the user name where that is a legal label value, else a stable hash of it; the
/// annotation then holds the name itself.
pub const USER_ID: &str = "cattle.io/user-id";

/// Label of a token: the name of the kubeconfig record that it was minted for.
pub const KUBECONFIG_ID: &str = "authn.management.cattle.io/kubeconfig-id";

/// Label of a token: what it is for, see [`crate::ext::token::KIND_KUBECONFIG`].
pub const TOKEN_KIND: &str = "authn.management.cattle.io/kind";

/// Label that tells the kinds apart which share a backing store; never shown to clients.
pub const BACKING_KIND: &str = "cattle.io/kind";

/// Annotation of a backing object: the UID that clients see; never shown to clients.
pub const BACKING_UID: &str = "cattle.io/uid";

/// Annotation of a cluster's node: an external address that the cloud provider did not report.
pub const NODE_EXTERNAL_IP: &str = "rke.cattle.io/external-ip";
