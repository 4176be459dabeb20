//! The version that `/version` reports.

use serde::Serialize;

/// The version of the program, in the form of `k8s.io/apimachinery/pkg/version.Info`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionInfo {
    /// The major version of the Kubernetes API that the server implements.
    pub major: String,
    /// The minor version of the Kubernetes API that the server implements.
    pub minor: String,
    /// The version as clients parse it: semver with a leading `v`.
    pub git_version: String,
    /// The commit that the program was built from.
    pub git_commit: String,
    /// `clean` or `dirty`.
    pub git_tree_state: String,
    /// The build date.
    pub build_date: String,
    /// A Go version for clients that require one. The default is empty.
    pub go_version: String,
    /// The compiler.
    pub compiler: String,
    /// Operating system and architecture.
    pub platform: String,
}

impl Default for VersionInfo {
    /// Returns the version of the Kubernetes API that the server implements. Clients reject a
    /// server without one.
    fn default() -> Self {
        Self {
            major: "1".to_owned(),
            minor: "36".to_owned(),
            git_version: "v1.36.0".to_owned(),
            git_commit: String::new(),
            git_tree_state: String::new(),
            build_date: String::new(),
            go_version: String::new(),
            compiler: "rustc".to_owned(),
            platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}
