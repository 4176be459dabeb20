//! `merge`: merges files into the kubeconfig files of the user.

use std::path::{self, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::args::MergeArgs;
use crate::environment::Environment;
use crate::files::hazards::{hazards, resolve_paths};
use crate::files::issued::check_references;
use crate::files::merge::{Merged, merge as merge_document};
use crate::files::{self, Document, Files, Loaded, Section};
use crate::say;

/// Runs the command.
pub(crate) async fn run(args: &MergeArgs, environment: &Environment) -> Result<()> {
    let mut incoming = Vec::new();
    for path in &args.files {
        let document = read(path).with_context(|| format!("{}", path.display()))?;
        consent(path, &document, args, environment)?;
        incoming.push(document);
    }
    let destination = args.kubeconfig.as_deref();
    merge(destination, environment, &incoming, args.use_context).await
}

/// Reads a file whose entries can be merged. They may refer only to entries of the same file.
/// Relative paths are made absolute.
fn read(path: &Path) -> Result<Document> {
    let mut document = Document::parse(&files::read(path)?)?;
    ensure!(
        document.names(Section::Contexts).next().is_some(),
        "the file has no contexts: there is nothing to merge"
    );
    check_references(&document)?;
    let folder = match path == Path::new(files::STDIN) {
        true => None,
        false => path::absolute(path)?.parent().map(Path::to_owned),
    };
    resolve_paths(&mut document, folder.as_deref())?;
    Ok(document)
}

/// Prints what kubectl would run, read or not verify, and asks the user for consent.
///
/// # Errors
/// Fails if the user does not consent.
fn consent(
    path: &Path,
    document: &Document,
    args: &MergeArgs,
    environment: &Environment,
) -> Result<()> {
    let hazards = hazards(document);
    if hazards.is_empty() {
        return Ok(());
    }
    say::line(format_args!(
        "With {}, kubectl would do the following:",
        path.display()
    ));
    for hazard in &hazards {
        say::line(format_args!("    {hazard}"));
    }
    if args.allow_exec || environment.is_terminal && say::confirm("Merge it?")? {
        return Ok(());
    }
    bail!(
        "{} was not merged; if you trust it, add --allow-exec",
        path.display()
    )
}

/// Checks that entries can be merged into the files.
///
/// # Errors
/// Fails if the files cannot be read or written.
pub(crate) async fn prepare(flag: Option<&Path>, environment: &Environment) -> Result<()> {
    let files = Files::new(flag, environment)?;
    let _locked = files.lock().await?;
    let destination = Destination::load(&files)?;
    files::check_writable(&destination.path)
}

/// Merges documents into the files, and prints the names of the merged contexts.
pub(crate) async fn merge(
    flag: Option<&Path>,
    environment: &Environment,
    incoming: &[Document],
    use_context: bool,
) -> Result<()> {
    let files = Files::new(flag, environment)?;
    let _locked = files.lock().await?;
    let mut destination = Destination::load(&files)?;
    let mut set_current = use_context;
    for document in incoming {
        let merged = merge_document(&destination.others, &mut destination.document, document);
        if let Some(current) = merged.current.as_ref().filter(|_| set_current) {
            destination.document.set_current_context(current);
            say::line(format_args!("The current context is {current}."));
            set_current = false;
        }
        tell(&destination.path, &merged);
    }
    files::write(&destination.path, &destination.document.to_yaml()?)
}

/// The file that entries are added to, and the other files, which share its names.
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
}

fn tell(path: &Path, merged: &Merged) {
    for (name, now) in &merged.renamed {
        say::line(format_args!(
            "Context {name} was renamed to {now}: the name is already in use."
        ));
    }
    let contexts = merged.contexts.join(", ");
    say::line(format_args!("Merged into {}: {contexts}.", path.display()));
}
