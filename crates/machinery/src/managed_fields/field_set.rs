//! A set of paths, stored as a tree of the shape of FieldsV1.
//!
//! Each branch records whether the path that ends there is in the set, and which longer paths are.
//! Branches are sorted by the text of their step and are never empty. Therefore, two sets are equal
//! exactly when their trees are, and a set operation is one walk of both trees. A path and the
//! paths below it belong to the set independently: a set may have `.spec.list` and not
//! `.spec.list[="a"]`, or the other way round.
//!
//! Source: `fieldpath/set.go` and `fieldpath/serialize.go` of sigs.k8s.io/structured-merge-diff.

use serde_json::{Map, Value};

use super::path::{InvalidFields, Path, PathElement};

#[cfg(test)]
mod tests;

/// A set of paths into an object.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FieldSet {
    /// Sorted by step, with unique steps and without empty branches.
    branches: Vec<(PathElement, Branch)>,
}

/// The members of a set at one step and below it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Branch {
    /// True if the path that ends at this step is in the set.
    pub(super) owned: bool,
    /// The longer paths, relative to this step.
    pub(super) below: FieldSet,
}

impl FieldSet {
    /// Parses FieldsV1. Steps of an unknown kind are skipped, with everything below them.
    ///
    /// # Errors
    /// The value, or one nested in it, is not an object, or a key is malformed.
    pub fn from_fields_v1(fields: &Value) -> Result<Self, InvalidFields> {
        let object = fields
            .as_object()
            .ok_or_else(|| InvalidFields("expected an object".to_owned()))?;
        let mut branches = Vec::with_capacity(object.len());
        for (key, nested) in object {
            if key == SELF {
                continue;
            }
            if let Some(element) = PathElement::parse(key)? {
                let below = Self::from_fields_v1(nested)?;
                // A step with nothing below it is in the set. Otherwise, the marker says so.
                let owned = below.is_empty() || nested.get(SELF).is_some();
                branches.push((element, Branch { owned, below }));
            }
        }
        Ok(Self::from_branches(branches))
    }

    /// Converts the set to FieldsV1.
    pub fn to_fields_v1(&self) -> Value {
        self.clone().into_fields_v1()
    }

    /// Converts the set to FieldsV1 without a copy.
    pub fn into_fields_v1(self) -> Value {
        let nested = self.branches.into_iter().map(|(element, branch)| {
            let marked = branch.owned && !branch.below.is_empty();
            let mut fields = branch.below.into_fields_v1();
            if marked && let Value::Object(fields) = &mut fields {
                fields.insert(SELF.to_owned(), Value::Object(Map::new()));
            }
            (element.into_string(), fields)
        });
        Value::Object(nested.collect())
    }

    /// Returns whether no path is in the set.
    pub fn is_empty(&self) -> bool {
        self.branches.is_empty()
    }

    /// Returns whether exactly this path is in the set.
    pub fn contains(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.get(last).is_some_and(|branch| branch.owned),
            [first, rest @ ..] => self
                .get(first)
                .is_some_and(|branch| branch.below.contains(rest)),
        }
    }

    /// Adds a path, without the paths above it. The empty path is not a field and is ignored.
    pub fn insert(&mut self, path: &[PathElement]) {
        if let [first, rest @ ..] = path {
            let branch = self.entry(first);
            if rest.is_empty() {
                branch.owned = true;
            } else {
                branch.below.insert(rest);
            }
        }
    }

    /// Returns the paths in either set.
    pub fn union(mut self, other: &Self) -> Self {
        self.extend(other);
        self
    }

    /// Returns the paths in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        let common = self.branches.iter().filter_map(|(element, mine)| {
            let theirs = other.get(element)?;
            let branch = Branch {
                owned: mine.owned && theirs.owned,
                below: mine.below.intersection(&theirs.below),
            };
            (!branch.is_empty()).then(|| (element.clone(), branch))
        });
        Self {
            branches: common.collect(),
        }
    }

    /// Returns the paths of this set that are not in the other.
    pub fn difference(mut self, other: &Self) -> Self {
        self.subtract(other);
        self
    }

    /// Returns the paths that are not the beginning of another path of the set.
    pub fn leaves(&self) -> Self {
        let leaves = self.branches.iter().map(|(element, branch)| {
            let owned = branch.owned && branch.below.is_empty();
            (
                element.clone(),
                Branch {
                    owned,
                    below: branch.below.leaves(),
                },
            )
        });
        Self::from_branches(leaves.collect())
    }

    /// Returns all paths. At each level, the paths that end there come before those that continue
    /// below it.
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.append_paths(&mut Vec::new(), &mut paths);
        paths
    }

    /// Creates a set from branches in any order. Branches at the same step are merged, and empty
    /// ones are left out.
    pub(super) fn from_branches(mut branches: Vec<(PathElement, Branch)>) -> Self {
        branches.retain(|(_, branch)| !branch.is_empty());
        if !branches.is_sorted_by(|left, right| left.0 < right.0) {
            branches.sort_unstable_by(|left, right| left.0.cmp(&right.0));
            branches.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0;
                if same {
                    earlier.1.owned |= later.1.owned;
                    earlier.1.below.extend(&later.1.below);
                }
                same
            });
        }
        Self { branches }
    }

    /// Returns the branches in order.
    pub(super) fn branches(&self) -> impl Iterator<Item = (&PathElement, &Branch)> {
        self.branches
            .iter()
            .map(|(element, branch)| (element, branch))
    }

    /// Returns the branch at a step.
    pub(super) fn get(&self, element: &PathElement) -> Option<&Branch> {
        let position = self
            .branches
            .binary_search_by(|(at, _)| at.cmp(element))
            .ok()?;
        Some(&self.branches[position].1)
    }

    /// Adds the paths of the other set: one by one if they are few, otherwise in one walk of both
    /// sets.
    pub(super) fn extend(&mut self, other: &Self) {
        const FEW: usize = 16;
        if other.branches.len() <= FEW {
            for (element, theirs) in &other.branches {
                let mine = self.entry(element);
                mine.owned |= theirs.owned;
                mine.below.extend(&theirs.below);
            }
            return;
        }
        let mut theirs = other.branches.iter().peekable();
        let mut merged = Vec::with_capacity(self.branches.len() + other.branches.len());
        for (element, mut branch) in std::mem::take(&mut self.branches) {
            merged.extend(std::iter::from_fn(|| theirs.next_if(|(at, _)| *at < element)).cloned());
            if let Some((_, same)) = theirs.next_if(|(at, _)| *at == element) {
                branch.owned |= same.owned;
                branch.below.extend(&same.below);
            }
            merged.push((element, branch));
        }
        merged.extend(theirs.cloned());
        self.branches = merged;
    }

    /// Removes the paths of the other set.
    pub(super) fn subtract(&mut self, other: &Self) {
        if other.branches.is_empty() {
            return;
        }
        self.retain(|element, mine| {
            if let Some(theirs) = other.get(element) {
                mine.owned &= !theirs.owned;
                mine.below.subtract(&theirs.below);
            }
            true
        });
    }

    /// Keeps the branches for which `keep` returns true and that are not empty. `keep` may change
    /// them.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&PathElement, &mut Branch) -> bool) {
        self.branches
            .retain_mut(|(element, branch)| keep(element, branch) && !branch.is_empty());
    }

    fn entry(&mut self, element: &PathElement) -> &mut Branch {
        let position = match self.branches.binary_search_by(|(at, _)| at.cmp(element)) {
            Ok(found) => found,
            Err(gap) => {
                self.branches
                    .insert(gap, (element.clone(), Branch::default()));
                gap
            }
        };
        &mut self.branches[position].1
    }

    fn append_paths(&self, prefix: &mut Vec<PathElement>, paths: &mut Vec<Path>) {
        for (element, _) in self.branches().filter(|(_, branch)| branch.owned) {
            paths.push(Path(
                [prefix.as_slice(), std::slice::from_ref(element)].concat(),
            ));
        }
        for (element, branch) in self.branches() {
            prefix.push(element.clone());
            branch.below.append_paths(prefix, paths);
            prefix.pop();
        }
    }
}

impl Branch {
    /// Returns a branch whose path is in the set, with nothing below it.
    pub(super) fn leaf() -> Self {
        Self {
            owned: true,
            below: FieldSet::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.owned && self.below.is_empty()
    }
}

/// The FieldsV1 key that marks the path that ends at its step as a member of the set.
const SELF: &str = ".";
