//! The example server of the crate `apiserver`, as a second aggregated server of a host.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Host, poll, programs};

/// Time limit until the host proxies requests to it, on a machine that runs other tests as well.
const LIMIT: Duration = Duration::from_secs(120);

/// The example server of `wardle.example.com/v1alpha1`; killed when dropped.
#[derive(Debug)]
pub struct Flunders {
    child: Child,
    folder: TempDir,
}

impl Flunders {
    /// Starts the server and registers it at the host. The first use in a process may build it.
    ///
    /// # Errors
    /// Fails if the host does not find it in time; the error contains its output.
    pub fn start(host: &Host) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("flunders-")?;
        let log = File::create(folder.path().join("log"))?;
        let child = Command::new(programs::flunders()?)
            .arg(folder.path())
            .arg(host.cluster.folder().join("front-proxy-ca.crt"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting flunders")?;
        let mut flunders = Self { child, folder };
        flunders.register(host).with_context(|| flunders.log())?;
        Ok(flunders)
    }

    /// Kills the server without a chance to clean up. Its APIService remains.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn register(&mut self, host: &Host) -> anyhow::Result<()> {
        let objects = self.folder.path().join("host.json");
        let objects: Value = poll::until("flunders serves", LIMIT, || {
            if let Some(status) = self.child.try_wait()? {
                bail!("flunders ended: {status}");
            }
            let written = fs::read(&objects).unwrap_or_default();
            Ok(serde_json::from_slice(&written).ok())
        })?;
        let admin = host.admin()?;
        admin.apply(&objects)?;
        poll::until("flunders are served by the host", LIMIT, || {
            let answer = admin.0.run(&["get", "flunders.wardle.example.com"])?;
            Ok((answer.code == 0).then_some(()))
        })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Flunders {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.kill();
    }
}
