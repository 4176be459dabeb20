//! A set of paths, kept as a tree of the shape of FieldsV1.
//!
//! Each branch says whether the path that ends there is in the set, and which longer paths are. Branches are sorted by the text of
//! their step and none is empty, so two sets are equal exactly when their trees are, and set operations are one walk of both.
//! Belonging of a path and of what lies below it are independent: a set may hold `.spec.list` and not `.spec.list[="a"]`, or the
//! other way round.
//!
//! Source: `fieldpath/set.go` and `fieldpath/serialize.go` of sigs.k8s.io/structured-merge-diff.

use serde_json::{Map, Value};

use super::path::{InvalidFields, Path, PathElement};

#[cfg(test)]
mod tests;

/// A set of paths into an object.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FieldSet {
    /// Sorted by step, each step once, no branch empty.
    branches: Vec<(PathElement, Branch)>,
}

/// What a set holds at one step and below it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Branch {
    /// Whether the path that ends at this step is in the set.
    pub(super) owned: bool,
    /// The longer paths, relative to this step.
    pub(super) below: FieldSet,
}

impl FieldSet {
    /// Reads FieldsV1. Steps of an unknown kind are skipped, with everything below them.
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
                // A step with nothing below stands for itself; the marker is only needed beside others.
                let owned = below.is_empty() || nested.get(SELF).is_some();
                branches.push((element, Branch { owned, below }));
            }
        }
        Ok(Self::from_branches(branches))
    }

    /// The FieldsV1 of the set.
    pub fn to_fields_v1(&self) -> Value {
        self.clone().into_fields_v1()
    }

    /// The FieldsV1 of the set, which is used up.
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

    /// Whether no path is in the set.
    pub fn is_empty(&self) -> bool {
        self.branches.is_empty()
    }

    /// Whether exactly this path is in the set.
    pub fn contains(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.get(last).is_some_and(|branch| branch.owned),
            [first, rest @ ..] => self
                .get(first)
                .is_some_and(|branch| branch.below.contains(rest)),
        }
    }

    /// Adds a path. What lies above it is not added; the empty path is not a field and is ignored.
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

    /// The paths in either set.
    pub fn union(mut self, other: &Self) -> Self {
        self.extend(other);
        self
    }

    /// The paths in both sets.
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

    /// The paths of this set that are not in the other.
    pub fn difference(mut self, other: &Self) -> Self {
        self.subtract(other);
        self
    }

    /// The paths with no longer path of the set below them.
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

    /// Every path, those that end at a level before those that go on below it.
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.append_paths(&mut Vec::new(), &mut paths);
        paths
    }

    /// A set of these branches, each step at most once, in any order; empty ones are left out.
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

    /// The branches in order.
    pub(super) fn branches(&self) -> impl Iterator<Item = (&PathElement, &Branch)> {
        self.branches
            .iter()
            .map(|(element, branch)| (element, branch))
    }

    /// The branch at a step.
    pub(super) fn get(&self, element: &PathElement) -> Option<&Branch> {
        let position = self
            .branches
            .binary_search_by(|(at, _)| at.cmp(element))
            .ok()?;
        Some(&self.branches[position].1)
    }

    /// Adds the paths of the other set: one by one where they are few, else in one walk of both.
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

    /// Takes the paths of the other set out.
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

    /// Keeps the branches for which `keep` says so; it may change them.
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
    /// A path that is in the set, with nothing below.
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

/// The FieldsV1 key that says "the path that ends here too".
const SELF: &str = ".";
