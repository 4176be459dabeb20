//! `delete`: deletes records. The server deletes their tokens with them.

use anyhow::{Result, bail};
use http::{Method, StatusCode};
use machinery::time::Clock;

use super::print;
use crate::access::Access;
use crate::args::DeleteArgs;
use crate::environment::Environment;
use crate::http_client::Content;
use crate::say;

/// Runs the command.
pub(crate) async fn run(
    args: &DeleteArgs,
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<()> {
    for name in &args.names {
        let faults = machinery::validation::dns1123_subdomain(name);
        if let Some(fault) = faults.first() {
            bail!("{name:?} cannot be the name of a kubeconfig: {fault}");
        }
    }
    let access = Access::new(&args.server, environment, clock).await?;
    let mut failed = 0;
    for name in &args.names {
        if let Err(error) = delete(&access, name).await {
            failed += 1;
            say::error(&error);
        }
    }
    match failed {
        0 => Ok(()),
        failed => bail!("{failed} of {} could not be deleted", args.names.len()),
    }
}

async fn delete(access: &Access, name: &str) -> Result<()> {
    let answer = access.ask(Method::DELETE, name, Content::None).await?;
    let what = match answer.status {
        StatusCode::ACCEPTED => "is being deleted",
        _ => "deleted",
    };
    print(&format!("kubeconfig.ext.cattle.io \"{name}\" {what}\n"))
}
