//! Which version this is, in the way of Kubernetes.

use apiserver::version::VersionInfo;

/// What `/version` tells.
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
