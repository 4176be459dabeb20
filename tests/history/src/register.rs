//! The sequential specification of one object: a register that may be absent, with a version.

/// A value, by number.
pub(crate) type Value = u32;

/// The object at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Register {
    /// The highest version that the object is known to have had, deletions included.
    last: u64,
    content: Option<Content>,
}

/// The content of an object that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Content {
    /// `None` for a value that no answer shows: all of these are alike.
    pub(crate) value: Option<Value>,
    /// Known for a value that some answer shows.
    pub(crate) version: Option<u64>,
}

/// What a call does to the object, or says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    /// Creates it.
    Create(Content),
    /// Replaces its content if it is at the expected version.
    Update { to: Content, expected: Option<u64> },
    /// Removes it if it is at the expected version, by a write of this version.
    Delete {
        expected: Option<u64>,
        version: Option<u64>,
    },
    /// It has this content, or is absent.
    Read(Option<Content>),
    /// It is there.
    Exists,
    /// It is there, and not at the expected version.
    Conflicts(Option<u64>),
    /// An answer that does not belong to its question.
    Impossible,
}

impl Register {
    /// An object with this content.
    pub(crate) fn of(content: Content) -> Self {
        Self {
            last: content.version.unwrap_or_default(),
            content: Some(content),
        }
    }

    /// The object after this effect; `None` where the effect is impossible.
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

    /// The highest version after a write of this one, which must be higher than all before.
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
