//! The paths of the programs under test, built first if needed, once per test process.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, anyhow, ensure};

type Found = OnceLock<Result<PathBuf, String>>;

/// Returns the kubectl of `KUBECTL`, else the pinned one.
pub(crate) fn kubectl() -> anyhow::Result<&'static Path> {
    static FOUND: Found = OnceLock::new();
    once(&FOUND, || {
        if let Some(path) = env::var_os("KUBECTL") {
            return Ok(PathBuf::from(path));
        }
        let mut tools = Command::new(root()?.join("hack/tools.sh"));
        Ok(PathBuf::from(printed(tools.arg("kubectl"))?.trim_end()))
    })
}

/// Returns the server of `KUBECONFIG_APISERVER`, else the one of this workspace, in the profile
/// that the test was built in.
pub(crate) fn server() -> anyhow::Result<&'static Path> {
    static FOUND: Found = OnceLock::new();
    once(&FOUND, || match env::var_os("KUBECONFIG_APISERVER") {
        Some(path) => Ok(PathBuf::from(path)),
        None => build(
            &["--package", "kubeconfig-apiserver"],
            "kubeconfig-apiserver",
        ),
    })
}

/// Returns the plugin of `KUBECTL_KUBECONFIG`, else the one of this workspace, like [`server`].
pub(crate) fn plugin() -> anyhow::Result<&'static Path> {
    static FOUND: Found = OnceLock::new();
    once(&FOUND, || match env::var_os("KUBECTL_KUBECONFIG") {
        Some(path) => Ok(PathBuf::from(path)),
        None => build(&["--package", "kubectl-kubeconfig"], "kubectl-kubeconfig"),
    })
}

/// Returns the program that runs a real cluster, of `TEST_CLUSTER`, else the one of this workspace,
/// like [`server`].
pub(crate) fn cluster() -> anyhow::Result<&'static Path> {
    static FOUND: Found = OnceLock::new();
    once(&FOUND, || match env::var_os("TEST_CLUSTER") {
        Some(path) => Ok(PathBuf::from(path)),
        None => build(&["--package", "test-cluster"], "test-cluster"),
    })
}

/// Returns the example server of `FLUNDERS`, else the one of this workspace, like [`server`].
pub(crate) fn flunders() -> anyhow::Result<&'static Path> {
    static FOUND: Found = OnceLock::new();
    once(&FOUND, || match env::var_os("FLUNDERS") {
        Some(path) => Ok(PathBuf::from(path)),
        None => build(
            &["--package", "apiserver", "--example", "flunders"],
            "examples/flunders",
        ),
    })
}

/// Builds a program. Cargo gives a test the path of a program only if both are in one package.
fn build(what: &[&str], program: &str) -> anyhow::Result<PathBuf> {
    // target/PROFILE/deps/THIS-TEST
    let this = env::current_exe()?;
    let folder = this
        .ancestors()
        .nth(2)
        .context("a test outside of a target folder")?;
    let target = folder
        .parent()
        .context("a test outside of a target folder")?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args(["build", "--quiet", "--profile", profile])
        .args(what)
        .arg("--target-dir")
        .arg(target)
        .current_dir(root()?);
    printed(&mut build)?;
    Ok(folder.join(program))
}

/// Returns the folder of the workspace.
pub(crate) fn root() -> anyhow::Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("a package outside of its workspace")
}

/// Runs a command and returns its standard output. Its standard error is inherited.
fn printed(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

pub(crate) fn once(
    found: &'static Found,
    find: impl FnOnce() -> anyhow::Result<PathBuf>,
) -> anyhow::Result<&'static Path> {
    match found.get_or_init(|| find().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => Err(anyhow!("{error}")),
    }
}
