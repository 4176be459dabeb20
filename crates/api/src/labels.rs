//! Label and annotation keys with a meaning for the server.
//!
//! All of them are owned by the server: values that a client sends under these keys are dropped.

/// Label and annotation: the owner of the object.
///
/// The label contains the user name if that is a legal label value, otherwise a stable hash of it;
/// the annotation then contains the name itself.
pub const USER_ID: &str = "cattle.io/user-id";
/// The time of the last login of a user, in seconds since 1970.
pub const LAST_LOGIN: &str = "cattle.io/last-login";

/// Label of a token: the name of the kubeconfig record that it was minted for.
pub const KUBECONFIG_ID: &str = "authn.management.cattle.io/kubeconfig-id";

/// Label of a token: its purpose, see [`crate::ext::token::KIND_KUBECONFIG`].
pub const TOKEN_KIND: &str = "authn.management.cattle.io/kind";

/// Label that distinguishes the kinds that share a backing store. Never shown to clients.
pub const BACKING_KIND: &str = "cattle.io/kind";

/// Annotation of a backing object: the UID that clients see. Never shown to clients.
pub const BACKING_UID: &str = "cattle.io/uid";

/// Annotation of a cluster's node: an external address that the cloud provider did not report.
pub const NODE_EXTERNAL_IP: &str = "rke.cattle.io/external-ip";
