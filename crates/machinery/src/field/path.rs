//! Paths of fields.

use std::borrow::Cow;
use std::fmt;

/// The path of a field, from the root of the object: `spec.clusters[0]`, `metadata.labels[x]`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Path(Cow<'static, str>);

impl Path {
    /// Returns the path of a field of the object itself. A dotted path is allowed.
    #[must_use]
    pub fn root(name: impl Into<Cow<'static, str>>) -> Path {
        Path(name.into())
    }

    /// Returns the path of a field of the struct at this path.
    #[must_use]
    pub fn child(&self, name: &str) -> Path {
        Path(format!("{}.{name}", self.0).into())
    }

    /// Returns the path of an item of the list at this path.
    #[must_use]
    pub fn index(&self, index: usize) -> Path {
        Path(format!("{}[{index}]", self.0).into())
    }

    /// Returns the path of an entry of the map at this path.
    #[must_use]
    pub fn key(&self, key: &str) -> Path {
        Path(format!("{}[{key}]", self.0).into())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
