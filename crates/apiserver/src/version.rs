//! What `/version` tells (A212).

use serde::Serialize;

/// What this program is, in the form of `k8s.io/apimachinery/pkg/version.Info`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionInfo {
    /// Major version of Kubernetes whose behaviour is served.
    pub major: String,
    /// Minor version, likewise.
    pub minor: String,
    /// The version as clients parse it: semver with a leading `v`.
    pub git_version: String,
    /// The commit that the program was built from.
    pub git_commit: String,
    /// `clean` or `dirty`.
    pub git_tree_state: String,
    /// When it was built.
    pub build_date: String,
    /// A Go version for clients that insist on one; we have none.
    pub go_version: String,
    /// The compiler.
    pub compiler: String,
    /// Operating system and architecture.
    pub platform: String,
}

impl Default for VersionInfo {
    /// The version of Kubernetes whose behaviour is served: clients refuse a server without one.
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
