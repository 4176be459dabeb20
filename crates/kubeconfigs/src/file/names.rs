use std::collections::BTreeSet;

/// Gives out names, each at most once.
///
/// clientcmd reads entries into a map by name: of two with the same name one would be lost, or
/// worse, a context would be joined with the server of another.
pub(super) struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    /// Starts with a name that nobody may have.
    pub(super) fn reserving(name: &str) -> Names {
        Names {
            taken: BTreeSet::from([name.to_owned()]),
        }
    }

    /// `wanted`, or where that is taken `wanted-SUFFIX`, then `wanted-SUFFIX-2` and so on.
    pub(super) fn claim(&mut self, wanted: &str, suffix: &str) -> String {
        let suffixed = format!("{wanted}-{suffix}");
        let numbered = (2_u64..).map(|number| format!("{suffixed}-{number}"));
        let mut candidates = [wanted.to_owned(), suffixed.clone()]
            .into_iter()
            .chain(numbered);
        // The numbers do not run out before the names that can be taken.
        let name = candidates
            .find(|name| !self.taken.contains(name))
            .unwrap_or_default();
        self.taken.insert(name.clone());
        name
    }
}
