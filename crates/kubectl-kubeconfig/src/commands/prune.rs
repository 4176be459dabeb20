//! `prune`: removes contexts from the user's files whose record no longer exists.

use std::collections::BTreeMap;

use anyhow::Result;
use machinery::time::Clock;

use super::print;
use crate::args::PruneArgs;
use crate::environment::Environment;
use crate::files::origin::View;
use crate::files::prune::prune;
use crate::files::{self, Files};
use crate::folder::Folder;
use crate::say::{self, printable};
use crate::standing::{Standing, Standings};

/// Runs the command.
pub(crate) async fn run(
    args: &PruneArgs,
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<()> {
    let files = Files::new(args.kubeconfig.as_deref(), environment)?;
    let _locked = match args.dry_run {
        true => None,
        false => Some(files.lock().await?),
    };
    let mut loaded = files.load()?;
    let gone = gone(&View::new(&loaded), environment, clock).await?;
    if !args.dry_run {
        let names = gone.keys().map(String::as_str).collect();
        for changed in prune(&mut loaded, &names) {
            files::write(&changed.path, &changed.document.to_yaml()?)?;
        }
    }
    let suffix = if args.dry_run { " (dry run)" } else { "" };
    let lines = gone.iter().map(|(context, record)| {
        let record = printable(record);
        format!("context {context:?} of {record} pruned{suffix}\n")
    });
    print(&lines.collect::<String>())
}

/// Returns the contexts whose record no longer exists, with the names of the records.
async fn gone(
    view: &View<'_>,
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<BTreeMap<String, String>> {
    let folder = Folder::open(environment.folder()?)?;
    let mut standings = Standings::new(&folder, clock);
    let mut gone = BTreeMap::new();
    for (context, origin) in view.origins() {
        match standings.of(&origin).await {
            Standing::Gone => {
                gone.insert(context.to_owned(), origin.kubeconfig);
            }
            Standing::Unknown(why) => {
                say::line(format_args!("Context {context:?} was kept: {why}."))
            }
            Standing::There(_) => (),
        }
    }
    Ok(gone)
}
