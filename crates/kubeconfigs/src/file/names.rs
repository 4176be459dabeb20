use std::collections::BTreeSet;

/// Allocates names, each at most once.
///
/// clientcmd reads entries into a map by name. Of two entries with the same name one would be lost,
/// or worse, a context would be combined with the server of another entry.
pub(super) struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    /// Starts with a reserved name.
    pub(super) fn reserving(name: &str) -> Names {
        Names {
            taken: BTreeSet::from([name.to_owned()]),
        }
    }

    /// Returns `wanted`, or if that is taken, `wanted-SUFFIX`, then `wanted-SUFFIX-2` and so on.
    pub(super) fn claim(&mut self, wanted: &str, suffix: &str) -> String {
        let suffixed = format!("{wanted}-{suffix}");
        let numbered = (2_u64..).map(|number| format!("{suffixed}-{number}"));
        let mut candidates = [wanted.to_owned(), suffixed.clone()]
            .into_iter()
            .chain(numbered);
        // There are more numbers than names that can be taken.
        let name = candidates
            .find(|name| !self.taken.contains(name))
            .unwrap_or_default();
        self.taken.insert(name.clone());
        name
    }
}
