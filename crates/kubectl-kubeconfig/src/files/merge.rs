//! A file into the files that are there, without taking a name from anybody.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Document, Loaded, Section, origin};

/// What merging did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// The contexts of the file, as they are called now, in its order.
    pub(crate) contexts: Vec<String>,
    /// What its current context is called now.
    pub(crate) current: Option<String>,
    /// Names that were taken, and what stands in their place.
    pub(crate) renamed: BTreeMap<String, String>,
}

/// Adds the entries of `incoming` to `into`; `files` are all that share names with that.
///
/// Where a name is taken by something else, the incoming entry is renamed after its record. What is
/// there already stays the one entry that it is, so that merging twice changes nothing.
pub(crate) fn merge(files: &[Loaded], into: &mut Document, incoming: &Document) -> Merged {
    let origins = origin::of_file(incoming);
    let mut merged = Merged::default();
    let mut names: BTreeMap<(Section, String), String> = BTreeMap::new();
    let suffix = origins
        .values()
        .next()
        .map(|it| suffix(&it.kubeconfig))
        .unwrap_or_default();
    let mut names_of = Names { files, suffix };
    for section in Section::ALL {
        for name in incoming.names(section) {
            let mut content = incoming.get(section, name).cloned().unwrap_or(json!({}));
            if section == Section::Contexts {
                follow(&mut content, &names);
                if let Some(origin) = origins.get(name) {
                    origin.stamp(&mut content);
                }
            }
            let claimed = names_of.claim(into, section, name, &content);
            if claimed.is_new {
                into.push(section, &claimed.name, content);
            }
            if section == Section::Contexts {
                merged.contexts.push(claimed.name.clone());
                if claimed.name != name {
                    merged.renamed.insert(name.to_owned(), claimed.name.clone());
                }
            }
            names.insert((section, name.to_owned()), claimed.name);
        }
    }
    let current = incoming
        .current_context()
        .map(|name| (Section::Contexts, name.to_owned()));
    merged.current = current.and_then(|key| names.get(&key).cloned());
    merged
}

/// Has a context name its cluster and user as they are called now.
fn follow(context: &mut Value, names: &BTreeMap<(Section, String), String>) {
    for section in [Section::Clusters, Section::Users] {
        let Some(name) = context[section.field()].as_str() else {
            continue;
        };
        if let Some(now) = names.get(&(section, name.to_owned())) {
            context[section.field()] = json!(now);
        }
    }
}

/// The five characters that tell records apart.
fn suffix(kubeconfig: &str) -> String {
    let suffix = kubeconfig.strip_prefix(api::ext::kubeconfig::NAME_PREFIX);
    suffix.unwrap_or(kubeconfig).to_owned()
}

/// Gives out names.
struct Names<'a> {
    files: &'a [Loaded],
    suffix: String,
}

/// A name, and whether its entry is to be added.
struct Claimed {
    name: String,
    is_new: bool,
}

impl Names<'_> {
    fn claim(
        &mut self,
        into: &Document,
        section: Section,
        wanted: &str,
        content: &Value,
    ) -> Claimed {
        let suffixed = match self.suffix.as_str() {
            "" => wanted.to_owned(),
            suffix => format!("{wanted}-{suffix}"),
        };
        let taken = self.taken(into, section);
        let numbered = (2_u64..).map(|number| format!("{suffixed}-{number}"));
        let candidates = [wanted.to_owned(), suffixed.clone()]
            .into_iter()
            .chain(numbered);
        for name in candidates {
            let there = into.get(section, &name);
            let there = there.or_else(|| {
                self.files
                    .iter()
                    .find_map(|file| file.document.get(section, &name))
            });
            if there == Some(content) {
                return Claimed {
                    name,
                    is_new: false,
                };
            }
            if !taken.contains(name.as_str()) {
                return Claimed { name, is_new: true };
            }
        }
        // The numbers do not run out before the names that can be taken.
        Claimed {
            name: suffixed,
            is_new: false,
        }
    }

    fn taken<'d>(&'d self, into: &'d Document, section: Section) -> BTreeSet<&'d str> {
        let files = self.files.iter().map(|file| &file.document);
        files
            .chain([into])
            .flat_map(|it| it.names(section))
            .collect()
    }
}
