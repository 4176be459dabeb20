//! The sequential specification of one object: a register that may be absent, with a version.

/// A value, by number.
pub(crate) type Value = u32;

/// The state of the object at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Register {
    /// The highest version that the object is known to have had, including deletions.
    last: u64,
    content: Option<Content>,
}

/// The content of an existing object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Content {
    /// `None` for a value that no answer shows. All such values are equivalent.
    pub(crate) value: Option<Value>,
    /// `Some` if the value was shown by an answer.
    pub(crate) version: Option<u64>,
}

/// The effect of a call on the object, or its observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    /// Creates the object.
    Create(Content),
    /// Replaces its content if it is at the expected version.
    Update { to: Content, expected: Option<u64> },
    /// Removes the object if it is at the expected version, by a write at this version.
    Delete {
        expected: Option<u64>,
        version: Option<u64>,
    },
    /// Observes that the object has this content, or is absent.
    Read(Option<Content>),
    /// Observes that the object exists.
    Exists,
    /// Observes that the object exists and is not at the expected version.
    Conflicts(Option<u64>),
    /// An answer that does not match its request.
    Impossible,
}

impl Register {
    /// Returns an object with this content.
    pub(crate) fn of(content: Content) -> Self {
        Self {
            last: content.version.unwrap_or_default(),
            content: Some(content),
        }
    }

    /// Returns the object after this effect; `None` if the effect is impossible.
    pub(crate) fn apply(self, effect: Effect) -> Option<Self> {
        match (effect, self.content) {
            (Effect::Create(to), None) => self.put(to),
            (Effect::Update { to, expected }, Some(now)) if meets(now, expected) => self.put(to),
            (Effect::Delete { expected, version }, Some(now)) if meets(now, expected) => {
                Some(Self {
                    last: self.newer(version)?,
                    content: None,
                })
            }
            (Effect::Read(read), now) if read == now => Some(self),
            (Effect::Exists, Some(_)) => Some(self),
            (Effect::Conflicts(expected), Some(now))
                if expected.is_none() || !meets(now, expected) =>
            {
                Some(self)
            }
            _ => None,
        }
    }

    fn put(self, to: Content) -> Option<Self> {
        Some(Self {
            last: self.newer(to.version)?,
            content: Some(to),
        })
    }

    /// Returns the highest version after a write at this version, which must be higher than all
    /// before.
    fn newer(self, version: Option<u64>) -> Option<u64> {
        match version {
            Some(version) => (version > self.last).then_some(version),
            None => Some(self.last),
        }
    }
}

fn meets(now: Content, expected: Option<u64>) -> bool {
    expected.is_none() || now.version == expected
}
