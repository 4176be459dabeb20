//! Contexts out of the files, with what only they used.

use std::collections::BTreeSet;

use super::{Loaded, Section};

/// Removes contexts from all files, and the clusters and users that nothing refers to any more. Says
/// which files it changed, by their place.
pub(crate) fn prune(files: &mut [Loaded], contexts: &BTreeSet<&str>) -> Vec<usize> {
    let before: Vec<_> = files.iter().map(|file| file.document.clone()).collect();
    let used = |files: &[Loaded], section: Section, of_removed: bool| -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        for file in files {
            for name in file.document.names(Section::Contexts) {
                let context = file.document.get(Section::Contexts, name);
                let part = context.and_then(|it| it[section.field()].as_str());
                used.extend(
                    part.filter(|_| contexts.contains(name) == of_removed)
                        .map(str::to_owned),
                );
            }
        }
        used
    };
    for section in [Section::Clusters, Section::Users] {
        let (gone, kept) = (used(files, section, true), used(files, section, false));
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
    let is_changed = |index: &usize| files.get(*index).map(|it| &it.document) != before.get(*index);
    (0..before.len()).filter(is_changed).collect()
}
