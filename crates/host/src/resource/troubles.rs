//! Current problems with the host, in words for administrators.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::Verb;

/// The kind of a problem. There is at most one of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// The host does not answer, or only with server errors.
    Host,
    /// The namespace does not exist.
    Namespace,
    /// The host does not serve the resource.
    Resource,
    /// The host's revisions went backwards.
    Revisions,
    /// The host denies this verb.
    Denied(Verb),
}

/// The current problems. A problem is removed when the same operation works again.
#[derive(Default)]
pub(crate) struct Troubles(Mutex<BTreeMap<Topic, String>>);

impl Troubles {
    /// Records a problem, and logs it if it is new.
    pub(crate) fn set(&self, topic: Topic, text: String) {
        let mut all = self.0.lock();
        if all.get(&topic) != Some(&text) {
            tracing::warn!(trouble = text, "problem with the host");
            all.insert(topic, text);
        }
    }

    /// Removes a problem.
    pub(crate) fn clear(&self, topic: Topic) {
        let mut all = self.0.lock();
        if let Some(text) = all.remove(&topic) {
            tracing::info!(trouble = text, "a problem with the host is resolved");
        }
    }

    /// Returns the denied verbs.
    pub(crate) fn denied(&self) -> Vec<Verb> {
        let all = self.0.lock();
        let verb = |topic: &Topic| match topic {
            Topic::Denied(verb) => Some(*verb),
            Topic::Host | Topic::Namespace | Topic::Resource | Topic::Revisions => None,
        };
        all.keys().filter_map(verb).collect()
    }

    /// Returns all problems in one text, or `None`.
    pub(crate) fn text(&self) -> Option<String> {
        let all = self.0.lock();
        let texts: Vec<&str> = all.values().map(String::as_str).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}
