//! The pinned programs that `hack/tools.sh` provides.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// Returns the path of a tool, for example `etcd`. The first use on a machine builds it, which
/// takes minutes.
pub fn path(tool: &str) -> anyhow::Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hack/tools.sh");
    let output = Command::new(script)
        .arg(tool)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("starting hack/tools.sh")?;
    ensure!(output.status.success(), "hack/tools.sh {tool} failed");
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
}
