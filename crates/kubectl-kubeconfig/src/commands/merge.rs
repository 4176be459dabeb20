//! `merge`: files into the files of the user.

use std::path::Path;

use anyhow::{Context, Result};

use crate::args::MergeArgs;
use crate::environment::Environment;
use crate::files::{self, Document, Files, Loaded, merge as documents};
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
    let mut loaded = files.load()?;
    let place = files.destination().to_owned();
    if !loaded.iter().any(|file| file.path == place) {
        loaded.push(Loaded {
            path: place.clone(),
            document: Document::default(),
        });
    }
    let is_current = |file: &Loaded| file.document.current_context().is_some();
    let mut set_current = use_context || !loaded.iter().any(is_current);
    for document in incoming {
        let at = loaded.iter().position(|file| file.path == place);
        let mut into = at.map(|at| loaded.remove(at).document).unwrap_or_default();
        let merged = documents::merge(&loaded, &mut into, document);
        if let Some(current) = merged.current.filter(|_| set_current) {
            into.set_current_context(&current);
            set_current = false;
        }
        // The first of all, as its entries and its current context must be found.
        loaded.insert(
            at.unwrap_or_default(),
            Loaded {
                path: place.clone(),
                document: into,
            },
        );
        for (name, now) in &merged.renamed {
            say::line(format_args!(
                "Context {name} is called {now}: the name is taken."
            ));
        }
        say::line(format_args!(
            "Merged into {}: {}.",
            place.display(),
            merged.contexts.join(", ")
        ));
    }
    let into = loaded.iter().find(|file| file.path == place);
    let text = into.map(|file| file.document.to_yaml()).transpose()?;
    files::write(&place, &text.unwrap_or_default())
}
