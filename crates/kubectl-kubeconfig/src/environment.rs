//! The environment of the program: environment variables and the terminal.
//!
//! | variable               | use                                                                 |
//! |------------------------|---------------------------------------------------------------------|
//! | `KUBERNETES_EXEC_INFO` | the request of client-go to `credential`                            |
//! | `KUBECONFIG`           | the kubeconfig files, as for kubectl                                |
//! | `XDG_CACHE_HOME`       | the parent of the folder `kubectl-kubeconfig`, which has the logins |
//! | `HOME`                 | for `~/.kube/config`, and for `~/.cache` without `XDG_CACHE_HOME`   |
//! | `SSL_CERT_FILE`        | the file with the CAs of the machine, for the TLS library           |
//! | `SSL_CERT_DIR`         | the folder with the CAs of the machine, for the TLS library         |
//!
//! `HTTPS_PROXY` and `NO_PROXY` are also used, in upper or lower case.

use std::env;
use std::ffi::OsString;
use std::io::{IsTerminal, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::trust::MachineRoots;

/// The environment of the program, read once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `KUBERNETES_EXEC_INFO`.
    pub(crate) exec_info: Option<OsString>,
    /// `KUBECONFIG`.
    pub(crate) kubeconfig: Option<OsString>,
    /// The folder for files that can be created again.
    pub(crate) cache: Option<PathBuf>,
    /// The home folder.
    pub(crate) home: Option<PathBuf>,
    /// The location of the CAs of the machine.
    pub(crate) machine_roots: MachineRoots,
    /// True if stdin is a terminal.
    pub(crate) is_terminal: bool,
}

impl Environment {
    /// Reads the environment.
    pub(crate) fn read() -> Self {
        let home = absolute(env::var_os("HOME"));
        let fallback = home.as_ref().map(|home| home.join(".cache"));
        Self {
            exec_info: filled(env::var_os("KUBERNETES_EXEC_INFO")),
            kubeconfig: filled(env::var_os("KUBECONFIG")),
            cache: absolute(env::var_os("XDG_CACHE_HOME")).or(fallback),
            home,
            machine_roots: MachineRoots {
                file: text(env::var_os("SSL_CERT_FILE")),
                folder: text(env::var_os("SSL_CERT_DIR")),
            },
            is_terminal: stdin().is_terminal(),
        }
    }

    /// Returns the folder that contains the logins.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        let cache = self.cache.as_deref();
        let cache =
            cache.context("logins cannot be stored: neither HOME nor XDG_CACHE_HOME is set")?;
        Ok(Path::new(cache).join("kubectl-kubeconfig"))
    }
}

fn filled(value: Option<OsString>) -> Option<OsString> {
    value.filter(|value| !value.is_empty())
}

fn text(value: Option<OsString>) -> Option<String> {
    filled(value).map(|value| value.to_string_lossy().into_owned())
}

/// Returns the path unless it is relative. A relative path would depend on the working directory of
/// kubectl, and the XDG specification says to ignore it.
fn absolute(value: Option<OsString>) -> Option<PathBuf> {
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_where_kubectl_was_started_has_no_say() {
        for (value, expected) in [
            (None, None),
            (Some(""), None),
            (Some("cache"), None),
            (Some("./cache"), None),
            (Some("/cache"), Some("/cache")),
        ] {
            let found = absolute(value.map(OsString::from));
            assert_eq!(found, expected.map(PathBuf::from), "{value:?}");
        }
    }
}
