//! The version of the server, in the format of Kubernetes.

use apiserver::version::VersionInfo;

/// Returns the content of `/version`.
pub(crate) fn version() -> VersionInfo {
    VersionInfo {
        major: "1".to_owned(),
        minor: "36".to_owned(),
        git_version: format!("v1.36.0+kubeconfig-apiserver.{}", env!("CARGO_PKG_VERSION")),
        compiler: "rustc".to_owned(),
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        ..VersionInfo::default()
    }
}
