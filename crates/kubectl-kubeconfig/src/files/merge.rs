//! Merges a file into the existing files, without changing the entries that are already there.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::origin::Origin;
use super::{Document, Loaded, Section, origin};

/// The result of a merge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// The contexts of the file under their new names, in the order of the file.
    pub(crate) contexts: Vec<String>,
    /// The new name of the current context of the file.
    pub(crate) current: Option<String>,
    /// The contexts whose names were taken, with their new names.
    pub(crate) renamed: BTreeMap<String, String>,
}

/// Adds the entries of `incoming` to `into`. `others` are the other files that share names with
/// `into`.
///
/// If a name is taken by a different entry, the incoming entry is renamed after its record. An
/// identical entry is not added again, so that merging twice changes nothing.
pub(crate) fn merge(others: &[Loaded], into: &mut Document, incoming: &Document) -> Merged {
    let origins = origin::of_file(incoming);
    let mut merge = Merge {
        others,
        into,
        suffix: origins.values().next().map(suffix),
        names: BTreeMap::new(),
    };
    for section in Section::ALL {
        for name in incoming.names(section) {
            let content = incoming.get(section, name).cloned();
            let mut content = content.unwrap_or_else(|| json!({}));
            if section == Section::Contexts {
                merge.rename_parts(&mut content);
            }
            if let Some(origin) = origins.get(name).filter(|_| section == Section::Contexts) {
                origin.stamp(&mut content);
            }
            merge.add(section, name, content);
        }
    }
    merge.merged(incoming)
}

/// Returns the suffix of the record's name, which distinguishes records.
fn suffix(origin: &Origin) -> String {
    let name = origin.kubeconfig.as_str();
    let suffix = name.strip_prefix(api::ext::kubeconfig::NAME_PREFIX);
    suffix.unwrap_or(name).to_owned()
}

struct Merge<'a> {
    others: &'a [Loaded],
    into: &'a mut Document,
    /// The suffix of new names.
    suffix: Option<String>,
    /// The new names of the entries.
    names: BTreeMap<(Section, String), String>,
}

impl Merge<'_> {
    /// Replaces the names of the cluster and the user in a context by their new names.
    fn rename_parts(&self, context: &mut Value) {
        for section in [Section::Clusters, Section::Users] {
            let Some(name) = context[section.field()].as_str() else {
                continue;
            };
            if let Some(now) = self.names.get(&(section, name.to_owned())) {
                context[section.field()] = json!(now);
            }
        }
    }

    /// Adds an entry under the first free name, unless an identical entry has that name already.
    fn add(&mut self, section: Section, wanted: &str, content: Value) {
        for name in self.candidates(wanted) {
            let there = self.there(section, &name);
            if there.is_some_and(|there| *there != content) {
                continue;
            }
            let is_new = there.is_none();
            self.names
                .insert((section, wanted.to_owned()), name.clone());
            if is_new {
                self.into.push(section, &name, content);
            }
            return;
        }
    }

    /// Returns candidate names for an entry: its own name, the name with the suffix, and then an
    /// endless series of numbered names.
    fn candidates(&self, wanted: &str) -> impl Iterator<Item = String> + use<> {
        let suffixed = match &self.suffix {
            Some(suffix) => format!("{wanted}-{suffix}"),
            None => wanted.to_owned(),
        };
        let first = [wanted.to_owned(), suffixed.clone()];
        let numbered = (2_u64..).map(move |number| format!("{suffixed}-{number}"));
        first.into_iter().chain(numbered)
    }

    fn there(&self, section: Section, name: &str) -> Option<&Value> {
        let mut others = self.others.iter();
        let own = self.into.get(section, name);
        own.or_else(|| others.find_map(|file| file.document.get(section, name)))
    }

    fn merged(&self, incoming: &Document) -> Merged {
        let now = |name: &str| {
            self.names
                .get(&(Section::Contexts, name.to_owned()))
                .cloned()
        };
        let both = incoming
            .names(Section::Contexts)
            .filter_map(|name| Some((name, now(name)?)));
        let both: Vec<(&str, String)> = both.collect();
        let renamed = both.iter().filter(|(name, now)| name != now);
        Merged {
            renamed: renamed
                .map(|(name, now)| ((*name).to_owned(), now.clone()))
                .collect(),
            current: incoming.current_context().and_then(now),
            contexts: both.into_iter().map(|(_, now)| now).collect(),
        }
    }
}
