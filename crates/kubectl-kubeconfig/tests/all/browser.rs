use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::fake::Fake;
use crate::login::{browse, login};
use crate::plugin::Plugin;

/// The message of the program after it has started a browser.
const ASKED: &str = "Opening it in your browser.";

/// Installs a program in place of the desktop's, which writes its first argument to a pipe.
fn install(folder: &Path, pipe: &Path) {
    fs::create_dir_all(folder).unwrap();
    let program = folder.join("xdg-open");
    let script = format!("#!/bin/sh\nprintf '%s' \"$1\" >'{}'\n", pipe.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
}

/// Logs in with a working directory that contains such a program, as does its folder `bin`. Checks
/// whether the program is started.
#[track_caller]
fn check(path: impl Fn(&Path) -> String, is_opened: bool) {
    let fake = Fake::start();
    fake.state().has_provider = true;
    let plugin = Plugin::new(&fake);
    let folder = tempfile::tempdir().unwrap();
    let (here, pipe) = (folder.path(), folder.path().join("pipe"));
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    install(here, &pipe);
    install(&here.join("bin"), &pipe);
    let mut command = login(&plugin, &[]);
    command.current_dir(here).env("PATH", path(here));
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    let url = lines.find(|line| line.contains("https://")).unwrap();
    browse(&fake, url.trim());
    assert_eq!(lines.any(|line| line == ASKED), is_opened);
    assert!(child.wait().unwrap().success());
    if is_opened {
        assert_eq!(fs::read_to_string(pipe).unwrap(), url.trim());
    }
}

#[test]
fn the_browser_is_asked_to_open_the_address() {
    check(|here| here.join("bin").display().to_string(), true);
}

#[test]
fn what_lies_where_kubectl_was_started_is_not_run() {
    for path in ["", ".", "bin", ":", "bin:./bin"] {
        check(|_| path.to_owned(), false);
    }
}
