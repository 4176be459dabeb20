//! `prune`: contexts whose record is gone, out of the files of the user.

use std::collections::BTreeSet;

use anyhow::Result;
use machinery::time::Clock;

use super::print;
use crate::args::PruneArgs;
use crate::environment::Environment;
use crate::files::origin::View;
use crate::files::{self, Files, prune as documents};
use crate::folder::Folder;
use crate::say;
use crate::standing::{Standing, Standings};

/// Runs the command.
pub(crate) async fn run(
    args: &PruneArgs,
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<()> {
    let folder = Folder::open(environment.folder()?)?;
    let files = Files::new(args.kubeconfig.as_deref(), environment)?;
    let _locked = match args.dry_run {
        true => None,
        false => Some(files.lock().await?),
    };
    let mut loaded = files.load()?;
    let mut standings = Standings::new(&folder, clock);
    let mut gone = BTreeSet::new();
    for (context, origin) in View::new(&loaded).origins() {
        match standings.of(&origin).await {
            Standing::Gone => {
                gone.insert(context.to_owned());
                let suffix = if args.dry_run { " (dry run)" } else { "" };
                print(&format!(
                    "context {context:?} of {} pruned{suffix}\n",
                    origin.kubeconfig
                ))?;
            }
            Standing::Unknown(why) => say::line(format_args!("Context {context:?} stays: {why}.")),
            Standing::There(_) => (),
        }
    }
    if args.dry_run {
        return Ok(());
    }
    let gone: BTreeSet<&str> = gone.iter().map(String::as_str).collect();
    for changed in documents::prune(&mut loaded, &gone) {
        if let Some(file) = loaded.get(changed) {
            files::write(&file.path, &file.document.to_yaml()?)?;
        }
    }
    Ok(())
}
