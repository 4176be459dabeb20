//! Removes contexts from the files, with the entries that only they used.

use std::collections::BTreeSet;

use super::{Loaded, Section};

/// Removes contexts from all files, and the clusters and users that no other context refers to.
/// Returns the changed files.
pub(crate) fn prune<'a>(files: &'a mut [Loaded], contexts: &BTreeSet<&str>) -> Vec<&'a Loaded> {
    let before: Vec<_> = files.iter().map(|file| file.document.clone()).collect();
    for section in [Section::Clusters, Section::Users] {
        let gone = used(files, section, |name| contexts.contains(name));
        let kept = used(files, section, |name| !contexts.contains(name));
        for name in gone.difference(&kept) {
            files
                .iter_mut()
                .for_each(|file| file.document.remove(section, name));
        }
    }
    for file in files.iter_mut() {
        for name in contexts {
            file.document.remove(Section::Contexts, name);
        }
        if file
            .document
            .current_context()
            .is_some_and(|name| contexts.contains(name))
        {
            file.document.set_current_context("");
        }
    }
    let both = files.iter().zip(before);
    both.filter_map(|(file, before)| (file.document != before).then_some(file))
        .collect()
}

/// Returns the names of the entries that the selected contexts refer to.
fn used(files: &[Loaded], section: Section, is_meant: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for file in files {
        for name in file
            .document
            .names(Section::Contexts)
            .filter(|name| is_meant(name))
        {
            let context = file.document.get(Section::Contexts, name);
            let part = context.and_then(|it| it[section.field()].as_str());
            used.extend(part.map(str::to_owned));
        }
    }
    used
}
