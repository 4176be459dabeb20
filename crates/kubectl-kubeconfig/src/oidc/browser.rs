//! Starts the browser of the user.

use std::env;
use std::process::{Command, Stdio};

/// Opens an `https` address. Returns whether a program for that was started. The caller also prints
/// the address on the terminal.
pub(super) fn open(url: &str) -> bool {
    // Only a URL may become an argument on the command line of another program.
    if !url.starts_with("https://") {
        return false;
    }
    open::commands(url)
        .into_iter()
        .any(|mut command| start(&mut command))
}

/// Starts a program that is found in the absolute folders of PATH, so that the working directory of
/// kubectl has no influence.
fn start(command: &mut Command) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let absolute = env::split_paths(&path).filter(|folder| folder.is_absolute());
    // An empty PATH would mean the working directory again.
    let Some(path) = env::join_paths(absolute).ok().filter(|it| !it.is_empty()) else {
        return false;
    };
    command.env("PATH", path).env_remove("KUBERNETES_EXEC_INFO");
    // Stdout is reserved for the credential.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().is_ok()
}
