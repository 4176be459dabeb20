//! `merge`: files into the files of the user.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::args::MergeArgs;
use crate::environment::Environment;
use crate::files::merge::{Merged, merge as merge_document};
use crate::files::{self, Document, Files, Loaded};
use crate::say;

/// Runs the command.
pub(crate) async fn run(args: &MergeArgs, environment: &Environment) -> Result<()> {
    let mut incoming = Vec::new();
    for path in &args.files {
        let document = Document::parse(&files::read(path)?);
        incoming.push(document.with_context(|| format!("{}", path.display()))?);
    }
    let destination = args.kubeconfig.as_deref();
    merge(destination, environment, &incoming, args.use_context).await
}

/// Merges documents into the files, and says what their contexts are called.
pub(crate) async fn merge(
    flag: Option<&Path>,
    environment: &Environment,
    incoming: &[Document],
    use_context: bool,
) -> Result<()> {
    let files = Files::new(flag, environment)?;
    let _locked = files.lock().await?;
    let mut destination = Destination::load(&files)?;
    let mut set_current = use_context || !destination.has_current_context();
    for document in incoming {
        let merged = merge_document(&destination.others, &mut destination.document, document);
        if let Some(current) = merged.current.as_ref().filter(|_| set_current) {
            destination.document.set_current_context(current);
            set_current = false;
        }
        tell(&destination.path, &merged);
    }
    files::write(&destination.path, &destination.document.to_yaml()?)
}

/// The file that entries are added to, and those that share names with it.
struct Destination {
    path: PathBuf,
    document: Document,
    others: Vec<Loaded>,
}

impl Destination {
    fn load(files: &Files) -> Result<Self> {
        let path = files.destination().to_owned();
        let (own, others) = files
            .load()?
            .into_iter()
            .partition(|file| file.path == path);
        let own: Vec<Loaded> = own;
        let document = own.into_iter().next().map(|file| file.document);
        Ok(Self {
            path,
            document: document.unwrap_or_default(),
            others,
        })
    }

    fn has_current_context(&self) -> bool {
        let others = self.others.iter().map(|file| &file.document);
        let mut all = others.chain([&self.document]);
        all.any(|document| document.current_context().is_some())
    }
}

fn tell(path: &Path, merged: &Merged) {
    for (name, now) in &merged.renamed {
        say::line(format_args!(
            "Context {name} is called {now}: the name is taken."
        ));
    }
    let contexts = merged.contexts.join(", ");
    say::line(format_args!("Merged into {}: {contexts}.", path.display()));
}
