//! The browser of the user.

use std::env;
use std::process::{Command, Stdio};

/// Opens an `https` address; says whether a program for that could be started. The user sees the
/// address on the terminal as well.
pub(super) fn open(url: &str) -> bool {
    // The command line of another program: nothing but a URL may become an argument of it.
    if !url.starts_with("https://") {
        return false;
    }
    open::commands(url)
        .into_iter()
        .any(|mut command| start(&mut command))
}

/// Starts a program found in the absolute folders of PATH only, so that the folder where kubectl was
/// started has no say.
fn start(command: &mut Command) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let absolute = env::split_paths(&path).filter(|folder| folder.is_absolute());
    // An empty PATH would be that folder again.
    let Some(path) = env::join_paths(absolute).ok().filter(|it| !it.is_empty()) else {
        return false;
    };
    command.env("PATH", path).env_remove("KUBERNETES_EXEC_INFO");
    // stdout is for the credential.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().is_ok()
}
